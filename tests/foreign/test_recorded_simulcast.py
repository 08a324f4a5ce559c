"""Chromium sends its camera in layers, which the relay forwards and records; the recording shows the highest one."""

from pathlib import Path
from typing import Any

import pytest

from relay.recording.assemble import assemble
from relay.recording.limits import VerificationLimits
from relay.recording.verify import verify
from tests.browser.calls import PagesInCall
from tests.browser.conftest import OpenPage
from tests.browser.pages import STUDENT, TUTOR, Version1Page
from tests.foreign.client import ForeignClient
from tests.kit.browsers import LOOK
from tests.kit.clapper import Clapper, seconds_seen
from tests.kit.recorded import finished_capture
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.settings(recording="always", recording_legacy_clients=True, assemblers=0),
]

SIZE = (640, 360)
"""Of the camera; Chromium makes two layers of it at most."""

Layer = dict[str, Any]
"""What the sender counts of it: `ssrc`, `rid`, `width`, `frames`."""

ENOUGH = 60
"""Frames of each layer."""

BY_SSRC = """() => {
  const make = RTCPeerConnection.prototype.createOffer;
  RTCPeerConnection.prototype.createOffer = async function (...options) {
    const { type, sdp } = await make.apply(this, options);
    const [group, first, again] = /a=ssrc-group:FID (\\d+) (\\d+)\\r\\n/.exec(sdp);
    const [second, secondAgain] = [Number(first) + 2, Number(again) + 2];
    const said = (ssrc) => sdp.match(new RegExp(`a=ssrc:${ssrc} .*\\r\\n`, "g")).join("");
    const more = said(first).replaceAll(first, second) + said(again).replaceAll(again, secondAgain);
    const groups = `a=ssrc-group:SIM ${first} ${second}\\r\\n${group}a=ssrc-group:FID ${second} ${secondAgain}\\r\\n`;
    return { type, sdp: sdp.replace(group, groups).replace(said(again), said(again) + more) };
  };
}"""
"""An application that names the SSRCs of two layers in its offer, as they did before there were RIDs."""

BY_RID = """() => {
  const add = RTCPeerConnection.prototype.addTrack;
  RTCPeerConnection.prototype.addTrack = function (track, ...streams) {
    if (track.kind !== "video") return add.call(this, track, ...streams);
    const sendEncodings = [{ rid: "q", scaleResolutionDownBy: 2 }, { rid: "f" }];
    return this.addTransceiver(track, { streams, sendEncodings }).sender;
  };
}"""
"""An application that has its camera sent in two layers."""

LAYERS = """async (connection) => {
  const report = [...(await connection.getStats()).values()];
  const layers = report.filter(({ type, kind }) => type === "outbound-rtp" && kind === "video");
  return layers.map(({ ssrc, rid, frameWidth, framesEncoded }) => ({ ssrc, rid, width: frameWidth, frames: framesEncoded }));
}"""


STOP_HIGHER = """async (connection) => {
  const sender = connection.getSenders().find(({ track }) => track?.kind === "video");
  const parameters = sender.getParameters();
  parameters.encodings[1].active = false;
  await sender.setParameters(parameters);
}"""


async def layers_sent(page: Version1Page) -> list[Layer]:
    """Wait until the page has sent enough frames of two layers: these, the lower one first."""

    async def sent() -> list[Layer] | None:
        layers: list[Layer] = await page.page.evaluate(f"({LAYERS})({page.connection})")
        return layers if len(layers) == 2 and min(one["frames"] for one in layers) > ENOUGH else None

    found = await eventually(sent, "two layers are sent", within=60, every=LOOK)
    found.sort(key=lambda one: int(one["width"]))
    assert [one["width"] for one in found] == [SIZE[0] // 2, SIZE[0]]
    return found


async def the_recording_shows(tmp_path: Path, clapper: Clapper, *layers: Layer) -> None:
    """These layers in this order, and each second from the first frame of the first one on."""
    capture = await finished_capture(tmp_path / "recordings")
    made = assemble(capture, capture.with_suffix(""))
    [track] = [one for one in made.sidecar["tracks"] if (one["party"], one["kind"]) == ("A", "video")]
    taken = track["layers"][-len(layers) :]
    assert [ssrc for _, ssrc in taken] == [one["ssrc"] for one in layers]
    assert [width for _, width, _ in track["sizes"][-len(layers) :]] == [one["width"] for one in layers]

    strict = VerificationLimits(max_loss=0, max_missing_frames=0)
    result = verify(made.folder, limits=strict, out=tmp_path / "report")
    assert (result.verdict, result.reasons) == ("passed", ())
    [shown] = [one for one in result.report.tracks if (one.party, one.kind) == ("A", "video")]
    assert [one.lost for one in shown.packets] == [0, 0]
    assert shown.video is not None
    assert shown.video.counter is not None
    # Each frame shows a number that was before the camera, and each second is seen in its time.
    assert (shown.video.counter.readable, shown.video.counter.unreadable) == (shown.video.frames, 0)
    due = clapper.due(made.sidecar)
    seen = seconds_seen(made.folder / track["file"], due)
    [whole] = [one.duration for one in result.report.products if one.name == track["file"]]
    assert {second for second, time in due.items() if taken[0][0] < time < whole - 0.5} <= {*seen}


async def test_of_layers_that_an_offer_names_by_ssrc_the_recording_has_the_higher_one_and_once_that_stops_the_lower_one(
    relay: RunningRelay, open_page: OpenPage[Version1Page], tmp_path: Path
) -> None:
    caller, callee = await open_page(Version1Page, STUDENT), await open_page(Version1Page, TUTOR)
    clapper = Clapper(size=SIZE)
    await clapper.held_by(caller.page)
    await caller.page.evaluate(BY_SSRC)
    call = await PagesInCall.connected(relay, "video", caller, callee)
    lower, higher = await layers_sent(caller)
    await call.more_frames(callee)
    # Of layers that are told apart by SSRCs, Chromium shows the first one.
    assert (await callee.talking()).size_received[0] == lower["width"]
    await caller.page.evaluate(f"({STOP_HIGHER})({caller.connection})")
    await clapper.passes(caller.page, 2)
    await caller.hang_up()
    await the_recording_shows(tmp_path, clapper, higher, lower)


async def test_layers_that_packets_name_by_rid_all_cross_and_the_recording_has_the_higher_one(
    relay: RunningRelay, open_page: OpenPage[Version1Page], media: Path, tmp_path: Path
) -> None:
    caller = await open_page(Version1Page, STUDENT)
    clapper = Clapper(size=SIZE)
    await clapper.held_by(caller.page)
    await caller.page.evaluate(BY_RID)
    async with ForeignClient.started("werift", relay.url, TUTOR, media, SIMULCAST="yes") as callee:
        await caller.call("video")
        await callee.answer_call()
        lower, higher = await layers_sent(caller)
        assert (lower["rid"], higher["rid"]) == ("q", "f")

        async def both_arrive() -> bool:
            heard = (await callee.heard()).layers
            return {*heard} == {"q", "f"} and min(heard.values()) > ENOUGH

        await eventually(both_arrive, "both layers arrive at the callee", every=LOOK)
        await caller.hang_up()
    await the_recording_shows(tmp_path, clapper, higher)
