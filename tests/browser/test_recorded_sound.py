"""What was said and shown stands at its seconds in the recording, whatever happened in the call."""

import contextlib
import json
import statistics
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from tests.browser.calls import PagesInCall, Record
from tests.browser.conftest import CONVERSATIONS, OpenPage
from tests.browser.pages import PARENT, PATIENCE, STUDENT, TUTOR, RelayPage
from tests.kit.clapper import Clapper, arrived_apart, seconds_heard, seconds_seen, tones_in, tones_played
from tests.kit.impair import ImpairedPath
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

HERE: Final = "127.0.0.1"
SERVICE_TOKEN: Final = "the platform's own token, which is long"

AUDIO_RECEIVED: Final = """async () => {
  const report = [...(await relayCall.peerConnection.getStats()).values()];
  const { packetsLost, packetsReceived } = report.find(({ type, kind }) => type === "inbound-rtp" && kind === "audio");
  return [packetsLost, packetsReceived];
}"""

SEND_NOTHING_IN_SILENCE: Final = """
// A sender of Opus leaves out what is silent (DTX) if the other party has asked for that (RFC 7587, section 6.1).
(() => {
  const set = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    return set.call(this, { type, sdp: sdp.replace(/(a=rtpmap:(\\d+) opus[^]*?a=fmtp:\\2 )/g, "$1usedtx=1;") });
  };
})();
"""


class Platform:
    """What the platform asks of the relay about recordings."""

    def __init__(self, relay: RunningRelay, http: aiohttp.ClientSession) -> None:
        self._path = f"{relay.url}/api/admin/recordings"
        self._http = http

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, relay: RunningRelay) -> AsyncIterator[Self]:
        headers = {"Authorization": f"Bearer {SERVICE_TOKEN}"}
        async with aiohttp.ClientSession(headers=headers, raise_for_status=True) as http:
            yield cls(relay, http)

    async def ready(self, number: int = 1) -> list[dict[str, Any]]:
        """That many recordings, oldest first, once they are assembled and verified."""

        async def looked() -> list[dict[str, Any]] | None:
            async with self._http.get(self._path) as response:
                found = (await response.json())["recordings"]
            done = [one for one in found if one["state"] == "ready" and one["job"] is None]
            return done[::-1] if len(done) == number else None

        return await eventually(looked, "they are assembled and verified", within=60)

    async def url_of(self, recording_id: str, name: str) -> str:
        """Of a file, for an element of a page."""
        path = f"{self._path}/{recording_id}"
        async with self._http.post(f"{path}/ticket") as response:
            return f"{path}/files/{name}?ticket={(await response.json())['ticket']}"


def in_milliseconds(values: Iterable[float]) -> list[int]:
    return [round(1000 * one) for one in values]


def lateness(folder: Path, due: Mapping[int, float], record_property: Record) -> dict[str, dict[int, float]]:
    """How late each second of a recording's first party is heard and seen; its sound and its video are together."""
    heard, seen = seconds_heard(tones_in(folder / "A.webm"), due), seconds_seen(folder / "A.webm", due)
    apart = statistics.median(heard[one] - seen[one] for one in {*heard} & {*seen})
    record_property("a call of many parts: how much later the sound of each recording is [ms]", in_milliseconds([apart]))
    assert abs(apart) <= 0.040
    return {"heard": {s: at - due[s] for s, at in heard.items()}, "seen": {s: at - due[s] for s, at in seen.items()}}


@pytest.mark.alone
@pytest.mark.settings(media_host=HERE, recording="always", service_token=SERVICE_TOKEN)
async def test_each_tone_sounds_at_its_second_though_packets_were_lost_and_the_microphone_started_late_and_was_muted(
    relay: RunningRelay, browser: Browser, open_page: OpenPage[RelayPage], record_property: Record, tmp_path: Path
) -> None:
    [port] = relay.media_ports
    callee = await open_page(RelayPage, TUTOR)
    clapper = Clapper(late=True)
    async with (
        ImpairedPath.to((HERE, port), seed=1, loss=0.05) as path,
        RelayPage.used_by(browser, relay.url, STUDENT, *CONVERSATIONS[STUDENT], media_at=path.address) as caller,
    ):
        await clapper.held_by(caller.page)
        call = await PagesInCall.connected(relay, "video", caller, callee)
        await call.more_frames(callee)
        await clapper.passes(caller.page, 1)
        first = await clapper.start(caller.page)
        before = await clapper.passes(caller.page, 3)
        await caller.press("mute")
        muted = await clapper.passes(caller.page, 2)
        await caller.press("mute")
        last = await clapper.passes(caller.page, 4)
        lost, received = await callee.page.evaluate(AUDIO_RECEIVED)
        await caller.hang_up()
        await callee.shows("ended-card")

    async with Platform.of(relay) as platform:
        [recording] = await platform.ready()
        file = await platform.url_of(recording["recording_id"], "A.webm")
    folder = tmp_path / "recordings" / recording["recording_id"]
    sidecar, report = (json.loads((folder / name).read_text()) for name in ("sidecar.json", "report.json"))
    assert recording["verdict"] == "passed", report["reasons"]
    # As much is missing as the receiver missed.
    [audio] = [one for one in sidecar["tracks"] if one["party"] == "A" and one["kind"] == "audio"]
    assert abs(audio["lost"] - lost) <= 0.01 * (lost + received)
    assert audio["inserted_for"]["lost"] == pytest.approx(0.02 * audio["lost"], abs=0.03)
    assert audio["inserted_for"]["start"] > 0.5

    tones, due = await tones_played(callee.page, file), clapper.due(sidecar, last)
    heard = seconds_heard(tones, due)
    assert not {*range(before + 2, muted + 1)} & {*heard}, "the microphone was muted"
    late = statistics.median(time - due[second] for second, time in heard.items())
    begins = {second: at + late for second, at in due.items()}
    # Of some, the first packet or the second one was lost. A decoder has nothing to go on from then: in the call, too, such a
    # tone was faint, or not heard.
    cut = {
        second
        for second, begin in begins.items()
        if any(gap < begin + 0.03 and gap + lasted > begin - 0.01 for gap, lasted in audio["inserted"])
    }
    sounded = {*range(first, before + 1), *range(muted + 2, last + 1)}
    assert sounded - cut <= {*heard}, f"{tones}, due: {due}, filled: {audio['inserted']}"
    heard = {second: time for second, time in heard.items() if second not in cut}
    record_property("played: how far each tone is from its second [ms]", in_milliseconds(t - begins[s] for s, t in heard.items()))
    assert max(abs(time - begins[second]) for second, time in heard.items()) <= 0.060
    # The video of each second is seen when its tone is heard.
    seen = seconds_seen(folder / "A.webm", clapper.due(sidecar))
    offsets = [heard[second] - seen[second] for second in heard if second in seen]
    record_property("played: how much later than seen each tone is heard [ms]", in_milliseconds(offsets))
    record_property("in the file: the same, median [ms]", in_milliseconds([report["av_offsets"]["A"]["median"]]))
    believed = arrived_apart(folder.parent / f"{folder.name}.pcapng", "A")
    record_property("by how much more the sound arrived later [ms]", in_milliseconds([believed]))
    because = f"the sound arrived {believed:+.3f} s later than the browser's sender reports say"
    assert abs(statistics.median(offsets)) <= 0.040, because
    assert abs(report["av_offsets"]["A"]["median"]) <= 0.040, because


@pytest.mark.settings(recording="always", service_token=SERVICE_TOKEN)
@pytest.mark.alone
async def test_camera_screen_hold_a_reloaded_page_and_a_transfer_are_each_at_their_time_in_the_recordings(
    relay: RunningRelay, open_page: OpenPage[RelayPage], record_property: Record, tmp_path: Path
) -> None:
    await relay.new_conversation(STUDENT, PARENT)
    student, tutor, parent = [await open_page(RelayPage, key) for key in (STUDENT, TUTOR, PARENT)]
    clapper = Clapper()
    await clapper.held_by(student.page)
    await student.page.add_init_script(SEND_NOTHING_IN_SILENCE)
    await student.page.evaluate(SEND_NOTHING_IN_SILENCE)
    call = await PagesInCall.connected(relay, "voice", student, tutor)
    await student.reaches("connected")
    parts: dict[str, range] = {}

    @contextlib.asynccontextmanager
    async def part(name: str, seconds: int) -> AsyncIterator[None]:
        """Seconds of the call that begin when what was done before has come to the other party."""
        first = await clapper.second(student.page) + 1
        yield
        parts[name] = range(first, await clapper.passes(student.page, seconds) + 1)

    async with part("voice", 2):
        pass
    await student.press("camera")
    await call.more_frames(tutor)
    async with part("camera", 2):
        await student.press("share")
        await call.more_frames(tutor, "screen_frames_decoded")
        await student.press("stop-sharing")
    await student.press("camera")
    await tutor.shows("other-camera-off")
    async with part("camera off", 5):
        pass
    await student.press("camera")
    await call.more_frames(tutor)
    await student.press_more("hold")
    await expect(tutor.hook("call-status")).to_contain_text("has put the call on hold", timeout=PATIENCE)
    async with part("hold", 2):
        pass
    await student.press("resume")
    await call.more_frames(tutor)
    await student.page.reload()
    await student.talking()
    await call.more_frames(tutor)
    await clapper.passes(student.page, 1)
    async with part("reloaded", 2):
        pass
    await tutor.press_more("transfer")
    await tutor.hook(f"transfer-to-{PARENT}").click()
    await student.hook("transfer-accept").click()
    await parent.ringing()
    await parent.accept()
    await PagesInCall(relay, "video", student, parent).more_frames(parent)
    async with part("transferred", 2):
        pass
    await student.hang_up()
    await parent.shows("ended-card")

    async with Platform.of(relay) as platform:
        recordings = await platform.ready(2)
    lates: dict[str, dict[int, float]] = {"heard": {}, "seen": {}}
    sidecars = []
    for recording in recordings:
        folder = tmp_path / "recordings" / recording["recording_id"]
        assert recording["verdict"], recording["note"]
        sidecar, report = (json.loads((folder / name).read_text()) for name in ("sidecar.json", "report.json"))
        assert recording["verdict"] == "passed", report["reasons"]
        due = clapper.due(sidecar)
        sidecars.append(sidecar)
        for sense, late in lateness(folder, due, record_property).items():
            lates[sense] |= late
    heard, seen = {*lates["heard"]}, {*lates["seen"]}
    silent, dark = {"hold"}, {"voice", "camera off", "hold"}
    for name, seconds in parts.items():
        assert ({*seconds} & heard) == (set() if name in silent else {*seconds}), f"heard: {name}"
        assert ({*seconds} & seen) == (set() if name in dark else {*seconds}), f"seen: {name}"
    for sense, late in lates.items():
        record_property(f"a call of many parts: how late each second is {sense} [ms]", in_milliseconds(late.values()))
        assert max(map(abs, late.values())) < 0.25
    assert abs(statistics.median(lates["heard"][one] - lates["seen"][one] for one in heard & seen)) <= 0.040

    tracks = {one["id"]: one for one in sidecars[0]["tracks"]}
    for track in (tracks["A/audio/0/opus"], tracks["A/video/0/vp8"]):
        assert (track["transports"], len(track["ssrcs"]), track["lost"]) == (["A", "A2"], 2, 0)
    audio = tracks["A/audio/0/opus"]
    sent = audio["packets"] / 50 / audio["duration"]
    record_property("a sender that leaves out silence: the share of the time that its packets are of", round(sent, 2))
    assert 0.1 < sent < 0.5
    screen, due = tracks["A/video/1/vp8"], clapper.due(sidecars[0])
    assert due[parts["camera"].start - 1] < screen["start"] < screen["start"] + screen["duration"] < due[parts["camera"].stop]
    assert {*tracks["B/audio/0/opus"]["inserted_for"]} <= {"start", "pause", "clock", "end"}, "only what was held is missing"
