"""What two people give each other in a call: links, files, screens with sound; and the call to another device of one of them."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.calls import PagesInCall
from tests.browser.conftest import OpenPage
from tests.browser.pages import PATIENCE, STUDENT, TUTOR, RelayPage
from tests.kit.axe import violations_at_both_ends
from tests.kit.browsers import LOOK
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SCREEN_WITH_SOUND = """
// A screen that plays a tone: the browser of the tests has a picture of one only.
(() => {
  const open = MediaDevices.prototype.getDisplayMedia;
  MediaDevices.prototype.getDisplayMedia = async function (wanted) {
    const stream = await open.call(this, { video: wanted.video });
    if (!wanted.audio || stream.getAudioTracks().length) return stream;
    const context = new AudioContext();
    const [tone, out] = [context.createOscillator(), context.createMediaStreamDestination()];
    tone.connect(out);
    tone.start();
    stream.addTrack(out.stream.getAudioTracks()[0]);
    return stream;
  };
})();
"""

SOUND = """
// Of the microphone (0) or the screen (1) of the other party.
async (index) => {
  const connection = window.relayCall.peerConnection;
  const section = connection.getTransceivers().filter(({ receiver }) => receiver.track.kind === "audio")[index];
  if (!section?.mid) return 0;
  const report = [...(await connection.getStats()).values()];
  return report.find((entry) => entry.type === "inbound-rtp" && entry.mid === section.mid)?.totalAudioEnergy ?? 0;
}
"""


HOW_THE_MICROPHONE_IS_HEARD = """
async () => {
  const [sender] = window.relayCall.peerConnection.getSenders().filter(({ track }) => track?.kind === "audio");
  const report = await sender.getStats();
  const sent = [...report.values()].find(({ type }) => type === "outbound-rtp");
  const format = report.get(sent?.codecId)?.sdpFmtpLine ?? "";
  const { echoCancellation, noiseSuppression, autoGainControl } = sender.track.getSettings();
  const stereo = /(^|;)stereo=1(;|$)/.test(format) && format.includes("maxaveragebitrate=192000");
  return { stereo, echoCancellation, noiseSuppression, autoGainControl };
}
"""

SPEECH = {"stereo": False, "echoCancellation": True, "noiseSuppression": True, "autoGainControl": True}
MUSIC = {"stereo": True, "echoCancellation": False, "noiseSuppression": False, "autoGainControl": False}

APART = """(names) => {
  const [one, other] = names.map((name) => document.querySelector(`[data-testid=${name}]`).getBoundingClientRect());
  return one.left >= other.right || other.left >= one.right || one.top >= other.bottom || other.top >= one.bottom;
}"""


async def is_told_beside_the_quality_on_a_phone(caller: RelayPage) -> None:
    """That the own screen is shared."""
    await caller.press("chat")  # which hides both
    before = caller.page.viewport_size
    assert before is not None
    await caller.page.set_viewport_size({"width": 320, "height": 640})
    await caller.shows("quality")
    assert await caller.page.evaluate(APART, ["sharing", "quality"])
    await caller.page.set_viewport_size(before)


async def a_closer_look_at_the_screen(callee: RelayPage) -> None:
    """It is zoomed and moved by keys, buttons, wheel and mouse."""
    screen = callee.page.get_by_label("Shared screen:")
    await screen.focus()
    await callee.page.keyboard.press("+")
    await expect(callee.hook("zoom-size")).to_have_text("140 %")
    await callee.page.get_by_role("button", name="Zoom in").click()
    await expect(callee.hook("zoom-size")).to_have_text("196 %")
    await callee.page.mouse.move(300, 300)
    await callee.page.mouse.wheel(0, -500)
    await expect(callee.hook("zoom-size")).to_have_text("436 %")
    place = "(video) => { const { m41, m42 } = new DOMMatrix(getComputedStyle(video).transform); return [m41, m42]; }"
    x, y = await screen.evaluate(place)
    await callee.page.mouse.down()
    await callee.page.mouse.move(340, 280)
    await callee.page.mouse.up()
    assert await screen.evaluate(place) == pytest.approx([x + 40, y - 20])
    await screen.press("ArrowRight")
    assert await screen.evaluate(place) == pytest.approx([x - 20, y - 20])
    await callee.page.get_by_role("button", name="Show the whole screen").click()
    await expect(callee.hook("zoom-size")).to_have_text("100 %")


async def test_links_files_and_a_screen_with_its_sound_reach_the_other_side(
    relay: RunningRelay, open_page: OpenPage[RelayPage], tmp_path: Path
) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    await caller.page.evaluate(SCREEN_WITH_SOUND)
    call = await PagesInCall.connected(relay, "voice", caller, callee)
    for page in (caller, callee):
        await page.reaches("connected")

    await caller.write("Page 12 of https://example.org/book?page=12.")
    await callee.reads("Page 12 of")
    await expect(callee.hook("chat-kept")).to_contain_text("Messages are kept with this call", timeout=PATIENCE)
    link = callee.page.get_by_role("link", name="https://example.org/book?page=12", exact=True)
    await expect(link).to_have_attribute("href", "https://example.org/book?page=12")
    await expect(link).to_have_attribute("rel", "noopener noreferrer nofollow")
    await callee.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await callee.page.get_by_role("button", name="Copy").click()
    await expect(callee.page.get_by_role("button", name="Copied")).to_be_visible(timeout=PATIENCE)
    assert await callee.page.evaluate("navigator.clipboard.readText()") == "Page 12 of https://example.org/book?page=12."
    await callee.page.get_by_role("button", name="Close chat").first.click()

    content = bytes(range(256)) * 1200
    report = tmp_path / "report.html"
    report.write_bytes(content)
    await caller.hook("file-picker").set_input_files(report)
    await callee.hears("You are offered a file")
    await callee.page.get_by_role("button", name="Open chat, 1 unread").click()
    await expect(callee.hook("file-state")).to_have_text("307 kB · Maya would like to send you this", timeout=PATIENCE)
    assert await violations_at_both_ends(callee.page) == []
    async with callee.page.expect_download() as saving:
        await callee.page.get_by_role("button", name="Save report.html").click()
    saved = await saving.value
    assert saved.suggested_filename == "report.html"
    arrived = await saved.path()
    assert await asyncio.to_thread(arrived.read_bytes) == content
    await expect(caller.hook("file-state")).to_have_text("307 kB · Received by Daniel, unchanged", timeout=PATIENCE)
    assert (await relay.counters())["relay_media_data_dropped_total"] == 0

    await callee.hook("file-picker").set_input_files(report)
    await caller.page.get_by_role("button", name="Decline report.html").click()
    await expect(callee.hook("file-state").last).to_have_text("Maya declined it", timeout=PATIENCE)
    await callee.page.get_by_role("button", name="Close chat").first.click()

    await caller.press("share")
    await expect(callee.hook("call-screen")).to_have_attribute("data-view", "screen", timeout=PATIENCE)

    async def heard() -> bool:
        return float(await callee.page.evaluate(SOUND, 1)) > 0

    await eventually(heard, "the sound of the screen is heard", every=LOOK)
    for page in (callee, caller):
        assert await violations_at_both_ends(page.page) == []
    await is_told_beside_the_quality_on_a_phone(caller)
    await a_closer_look_at_the_screen(callee)
    await caller.press("share")
    await callee.hides("zoom")

    for item, expected in (
        ("noise", {**SPEECH, "noiseSuppression": False}),
        ("noise", SPEECH),
        ("music", MUSIC),
        ("music", SPEECH),
    ):
        await caller.press_more(item)

        async def heard_so(expected: dict[str, bool] = expected) -> bool:
            return bool(await caller.page.evaluate(HOW_THE_MICROPHONE_IS_HEARD) == expected)

        await eventually(heard_so, f"the microphone is heard so: {expected}", every=LOOK)
    energy = float(await callee.page.evaluate(SOUND, 0))

    async def goes_on() -> bool:
        return float(await callee.page.evaluate(SOUND, 0)) > energy

    await eventually(goes_on, "the microphone is heard", every=LOOK)
    await caller.hang_up()
    await callee.shows("ended-card")
    await call.relay.finished_call()


async def test_a_call_moves_to_another_device_when_the_one_in_it_allows_that(
    relay: RunningRelay, open_page: OpenPage[RelayPage]
) -> None:
    laptop, phone, tutor = [await open_page(RelayPage, key) for key in (STUDENT, STUDENT, TUTOR)]
    call = await PagesInCall.connected(relay, "video", laptop, tutor)
    await laptop.write("Before")
    await phone.shows("elsewhere")
    await expect(phone.hook("elsewhere")).to_contain_text("You are in a call with Daniel Okafor on another device.")
    assert await violations_at_both_ends(phone.page) == []
    await phone.call("voice")
    await phone.hears("You are in a call on another device")

    for answer, says in (("Keep it here", "Your other device keeps the call"), ("Move it now", "")):
        await phone.page.get_by_role("button", name="Move it here").click()
        await expect(phone.hook("call-status")).to_have_text("Asking your other device…", timeout=PATIENCE)
        await expect(laptop.page.get_by_role("button", name=answer)).to_be_visible(timeout=PATIENCE)
        if says:
            assert await violations_at_both_ends(laptop.page) == []
        await laptop.page.get_by_role("button", name=answer).click()
        if says:
            await phone.hears(says)
    await laptop.hears("The call goes on on your other device")
    call = PagesInCall(relay, "video", phone, tutor)
    await call.video_goes_on(20)
    await laptop.shows("elsewhere")
    await tutor.write("After")
    await phone.reads("After")
    await phone.hang_up()
    await tutor.shows("ended-card")
    await laptop.hides("elsewhere")
    row = await relay.finished_call()
    assert (row["status"], row["end_reason"]) == ("ended", "hangup")
