"""Microphones, cameras and speakers: which are used, what happens when one goes, and what both sides are told."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Playwright, expect

from tests.browser.calls import PagesInCall
from tests.browser.conftest import CONVERSATIONS
from tests.browser.pages import PATIENCE, STUDENT, TUTOR, RelayPage
from tests.kit.axe import violations_at_both_ends
from tests.kit.browsers import INSTRUMENTS, LOOK, SMALL_CAMERA, chromium
from tests.kit.server import RunningRelay, running_relay
from tests.kit.wait import eventually
from tests.lab.firefox import Firefox, ThisMachine
from tests.lab.pages import FirefoxPage

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("media devices"),
    pytest.mark.usefixtures("no_errors_logged"),
]

UNPLUG: Final = """
(input) => {
  // As when the device is pulled out: its track ends, and browsers find no other.
  const devices = navigator.mediaDevices;
  const open = MediaDevices.prototype.getUserMedia;
  devices.getUserMedia = (wanted) =>
    wanted[input] ? Promise.reject(new DOMException("", "NotFoundError")) : open.call(devices, wanted);
  const track = relayCall.peerConnection.getSenders().find((sender) => sender.track?.kind === input).track;
  track.dispatchEvent(new Event("ended")); // Firefox tells no one of it afterwards
  track.stop();
}
"""
PLUG_IN: Final = """
() => {
  delete navigator.mediaDevices.getUserMedia;
  navigator.mediaDevices.dispatchEvent(new Event("devicechange"));
}
"""
ONE_OF_SEVERAL: Final = """
() => {
  // As when a microphone is pulled out, and there are others.
  const { track } = relayCall.peerConnection.getSenders().find((sender) => sender.track?.kind === "audio");
  track.dispatchEvent(new Event("ended"));
  track.stop();
  return track.label;
}
"""
SWITCH_AT_THE_MICROPHONE: Final = """
(isOff) => {
  // As when the system, or a switch at a headset, silences it: the track goes on, and there is nothing to hear.
  const { track } = relayCall.peerConnection.getSenders().find((sender) => sender.track?.kind === "audio");
  Object.defineProperty(track, "muted", { configurable: true, get: () => isOff });
  track.dispatchEvent(new Event(isOff ? "mute" : "unmute"));
}
"""
NEW_HEADSET: Final = """
() => {
  // As when a headset is plugged in: one more device of each kind, both of one group.
  const devices = navigator.mediaDevices;
  const list = MediaDevices.prototype.enumerateDevices;
  devices.enumerateDevices = async () => {
    const known = await list.call(devices);
    // A headless Firefox has no speakers.
    const kinds = ["audioinput", "audiooutput"].filter((kind) => known.some((one) => one.kind === kind));
    const parts = kinds.map((kind) => {
      const id = known.filter((one) => one.kind === kind).at(-1).deviceId;
      return { kind, deviceId: id + "-headset", groupId: "headset", label: "Bright Headset" };
    });
    return [...known, ...parts];
  };
  // The browser has no such device: another one stands in for it.
  const open = MediaDevices.prototype.getUserMedia;
  devices.getUserMedia = ({ audio, ...wanted }) => {
    window.wanted = audio?.deviceId?.exact;
    return open.call(devices, { audio: audio && { ...audio, deviceId: undefined }, ...wanted });
  };
  devices.dispatchEvent(new Event("devicechange"));
}
"""
OBEY: Final = """
() => {
  // Without a user interface, Chromium knows what is allowed, and gives devices all the same.
  const open = MediaDevices.prototype.getUserMedia;
  MediaDevices.prototype.getUserMedia = async function (wanted) {
    for (const [kind, name] of [["audio", "microphone"], ["video", "camera"]]) {
      const { state } = await navigator.permissions.query({ name });
      if (wanted[kind] && state !== "granted") throw new DOMException("Permission denied", "NotAllowedError");
    }
    return open.call(this, wanted);
  };
}
"""
BREAK: Final = "() => { RTCPeerConnection.prototype.createAnswer = () => Promise.reject(new Error('broken')); }"
SENT: Final = """
(kind) => {
  const track = relayCall.peerConnection.getSenders().find((sender) => sender.track?.kind === kind)?.track;
  return track && { label: track.label, id: track.getSettings().deviceId, live: track.readyState };
}
"""


class DevicePage(RelayPage):
    async def sends(self, kind: str) -> dict[str, Any] | None:
        """The track that goes to the relay."""
        found: dict[str, Any] | None = await self.page.evaluate(SENT, kind)
        return found

    async def choices(self, kind: str) -> list[str]:
        """What the dialog offers, the system's choice not counted."""
        options = self.hook(f"choose-{kind}").locator("option")
        await expect(options).not_to_have_count(1, timeout=PATIENCE)
        return [str(await one.get_attribute("value")) for one in await options.all()][1:]

    async def choose(self, kind: str, device: str) -> None:
        await self.hook(f"choose-{kind}").select_option(device)

    async def change(self, kind: str, device: str) -> None:
        """Choose another device than the one that is used, and wait until it is."""
        before = await self.sends(kind)
        assert before is not None
        # The last one: Chromium's second camera sends MJPEG, of which its headless build shows two frames.
        *_, another = [one for one in await self.choices(device) if one != before["id"]]
        await self.choose(device, another)

        async def changed() -> bool:
            now = await self.sends(kind)
            return now is not None and now["live"] == "live" and now["id"] != before["id"]

        await eventually(changed, f"another {device}", every=LOOK)

    async def hears_more(self) -> None:
        before = (await self.talking()).audio_energy

        async def more() -> bool:
            return (await self.talking()).audio_energy > before

        await eventually(more, "the other party is heard", every=LOOK)

    async def renegotiated(self) -> bool:
        """Whether an offer was ever sent or received in mid-call."""
        moments = await self.page.evaluate("Object.keys(moments)")
        return bool({"sent call_update", "received call_update"} & {*moments})


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def three(driver: Playwright, relay: RunningRelay) -> AsyncIterator[Browser]:
    """A browser with three cameras, microphones and speakers."""
    async with chromium("--use-fake-device-for-media-stream=device-count=3", driver=driver) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningRelay]:
    async with running_relay(tmp_path_factory.mktemp("relay")) as running:
        yield running


@contextlib.asynccontextmanager
async def used(browser: Browser, relay: RunningRelay, key: str, *permissions: str) -> AsyncIterator[DevicePage]:
    """A page whose user has allowed these devices, and blocked others."""
    async with DevicePage.used_by(browser, relay.url, key, *CONVERSATIONS[key]) as page:
        await page.page.context.clear_permissions()
        await page.page.context.grant_permissions(list(permissions))
        await page.page.evaluate(OBEY)
        yield page


# -- before a call ----------------------------------------------------------------------------------------------------


async def test_users_see_and_hear_themselves_before_their_first_call_and_their_choice_is_remembered(
    three: Browser, relay: RunningRelay
) -> None:
    async with used(three, relay, STUDENT, "camera", "microphone") as page:
        await page.hook("check-devices").click()
        await expect(page.page.get_by_role("dialog", name="Camera and sound")).to_be_visible(timeout=PATIENCE)
        await page.page.wait_for_function("() => document.querySelector('[data-testid=camera-preview]').videoWidth > 0")
        await expect(page.hook("microphone-hint")).to_have_text("Your microphone works.", timeout=PATIENCE)
        cameras = await page.choices("camera")
        assert len(cameras) == 3
        await page.choose("camera", cameras[2])
        shown = "document.querySelector('[data-testid=camera-preview]').srcObject?.getVideoTracks()[0]"
        preview = f"(id) => {shown}?.getSettings().deviceId === id"
        await page.page.wait_for_function(preview, arg=cameras[2])
        speakers = await page.choices("speaker")
        await page.choose("speaker", speakers[0])
        await page.hook("test-speaker").click()
        await expect(page.hook("speaker-hint")).to_contain_text("Nothing heard?", timeout=PATIENCE)
        await page.hook("devices-done").click()
        await page.hides("devices")
        await page.hides("check-devices-strip")

        await page.page.reload()
        await page.connection_is("online")
        await page.hides("check-devices-strip")
        await page.hook("tab-settings").click()
        await page.hook("open-devices").click()
        # By their names: the ids are others where the browser kept nothing of the site.
        for device, name in (("camera", "fake_device_2"), ("speaker", "Fake Audio Output 1")):
            await expect(page.hook(f"choose-{device}").locator("option:checked")).to_have_text(name, timeout=PATIENCE)
        await page.page.keyboard.press("Escape")
        await page.hides("devices")


# -- in a call --------------------------------------------------------------------------------------------------------


async def test_devices_are_changed_lost_and_found_again_in_a_call_without_a_new_offer(
    three: Browser, relay: RunningRelay
) -> None:
    async with (
        used(three, relay, STUDENT, "camera", "microphone") as caller,
        used(three, relay, TUTOR, "camera", "microphone") as callee,
    ):
        call = await PagesInCall.connected(relay, "video", caller, callee)
        await call.media_flows()
        # Chosen from the call's menu: another camera and another microphone.
        await caller.press_more("choose-devices")
        await caller.change("video", "camera")
        await caller.change("audio", "microphone")
        await caller.choose("speaker", (await caller.choices("speaker"))[1])
        heard_on = "(id) => document.querySelector('[data-testid=remote-video]').sinkId === id"
        await caller.page.wait_for_function(heard_on, arg=(await caller.choices("speaker"))[1])
        await caller.hook("devices-done").click()
        await call.more_frames(callee)

        # Of several, one goes: that which the system prefers takes over at once, with a word about it.
        gone = await caller.page.evaluate(ONE_OF_SEVERAL)
        await caller.hears(f"{gone} is gone. Your microphone is now Fake")
        await callee.hears_more()

        # A new headset is offered, and taken by one click.
        await caller.page.evaluate(NEW_HEADSET)
        await expect(caller.hook("device-arrived")).to_contain_text("Bright Headset is connected.", timeout=PATIENCE)
        await caller.hook("device-arrived-action").click()
        await caller.page.wait_for_function("() => window.wanted?.endsWith('-headset')")
        await caller.hides("device-arrived")

        # The microphone goes, and there is no other: both are told. It comes back, and is used by itself.
        await callee.page.evaluate(UNPLUG, "audio")
        await expect(callee.hook("microphone-problem")).to_contain_text(
            "No microphone found. Maya can’t hear you.", timeout=PATIENCE
        )
        await caller.shows("other-unheard")
        await caller.hides("other-muted")
        await callee.page.evaluate(PLUG_IN)
        await callee.hides("microphone-problem")
        await caller.hides("other-unheard")
        await caller.hears_more()

        # One that is switched off at its cable is not heard either, although nothing has ended.
        await callee.page.evaluate(SWITCH_AT_THE_MICROPHONE, True)
        await expect(callee.hook("microphone-problem")).to_contain_text(
            "Your microphone is silent. Maya can’t hear you.", timeout=PATIENCE
        )
        await caller.shows("other-unheard")
        await callee.page.evaluate(SWITCH_AT_THE_MICROPHONE, False)
        await callee.hides("microphone-problem")
        await caller.hides("other-unheard")

        # The camera goes: the other side sees why there is no picture.
        await callee.page.evaluate(UNPLUG, "video")
        await expect(callee.hook("camera-problem")).to_contain_text("No camera found. Maya can’t see you.", timeout=PATIENCE)
        await expect(caller.hook("other-camera-off")).to_have_text("No camera", timeout=PATIENCE)
        await callee.page.evaluate(PLUG_IN)
        await callee.press("camera")
        await call.more_frames(caller)
        await callee.hides("camera-problem")
        assert not await caller.renegotiated()
        assert not await callee.renegotiated()
        await caller.hang_up()
        await callee.shows("ended-card")


async def test_a_call_goes_on_without_a_blocked_camera_and_without_any_device(three: Browser, relay: RunningRelay) -> None:
    async with used(three, relay, STUDENT, "microphone") as caller, used(three, relay, TUTOR, "notifications") as callee:
        call = await PagesInCall.connected(relay, "video", caller, callee)
        await expect(caller.hook("camera-problem")).to_contain_text(
            "Your camera is blocked. Daniel can’t see you.", timeout=PATIENCE
        )
        await expect(caller.hook("camera-problem")).to_contain_text("Press the icon to the left of the address")
        await caller.hides("microphone-problem")
        for device in ("microphone", "camera"):
            await expect(callee.hook(f"{device}-problem")).to_contain_text(f"Your {device} is blocked.", timeout=PATIENCE)
        await caller.shows("other-unheard")
        assert await violations_at_both_ends(callee.page) == []
        await callee.hides("other-unheard")
        await expect(callee.hook("other-camera-off")).to_have_text("No camera", timeout=PATIENCE)
        for page in (caller, callee):
            await page.reaches("connected")

        await callee.hears_more()
        # Allowed in the browser's settings meanwhile: it is heard at once, and without a new offer.
        await callee.page.context.grant_permissions(["microphone"])
        await callee.hides("microphone-problem")
        await caller.hides("other-unheard")
        await caller.hears_more()
        assert not await callee.renegotiated()
        await caller.hang_up()
        await callee.shows("ended-card")

        # The other way round: without the microphone, the camera is seen.
        await caller.put_away_the_ended_call()
        await caller.page.context.clear_permissions()
        await caller.page.context.grant_permissions(["camera"])
        await callee.page.context.grant_permissions(["microphone", "camera"])
        call = await PagesInCall.connected(relay, "video", caller, callee)
        await expect(caller.hook("microphone-problem")).to_contain_text(
            "Your microphone is blocked. Daniel can’t hear you.", timeout=PATIENCE
        )
        await caller.hides("camera-problem")
        await callee.shows("other-unheard")
        await call.more_frames(callee)
        await caller.hang_up()
        await callee.shows("ended-card")


async def test_a_callee_answers_without_video_and_declines_with_a_few_words(three: Browser, relay: RunningRelay) -> None:
    async with (
        used(three, relay, STUDENT, "camera", "microphone") as caller,
        used(three, relay, TUTOR, "camera", "microphone") as callee,
    ):
        await caller.call("video")
        await callee.ringing()
        await callee.hook("decline-with-message").click()
        await callee.hook("reply-field").fill("I’ll call you back in 10 minutes 👋")
        await callee.hook("reply-send").click()
        await callee.hides("incoming")
        assert "I’ll call you back in 10 minutes 👋" in await caller.said()
        await caller.put_away_the_ended_call()
        for page in (caller, callee):
            await page.hook("tab-recents").click()
            await expect(page.hook("recent-call").first.get_by_test_id("decline-message")).to_have_text(
                "I’ll call you back in 10 minutes 👋", timeout=PATIENCE
            )
        await caller.hook("tab-people").click()

        await caller.call("video")
        await callee.ringing()
        await callee.page.get_by_role("button", name="Answer without video").click()
        await callee.reaches("connected")
        assert await callee.sends("video") is None
        await expect(caller.hook("other-camera-off")).to_have_text("Camera off", timeout=PATIENCE)
        await callee.hides("camera-problem")
        call = PagesInCall(relay, "video", caller, callee)
        await call.more_frames(callee)
        await callee.press("camera")
        await call.more_frames(caller)
        await caller.hang_up()
        await callee.shows("ended-card")


async def test_what_fails_is_no_refusal(three: Browser, relay: RunningRelay) -> None:
    async with (
        used(three, relay, STUDENT, "camera", "microphone") as caller,
        used(three, relay, TUTOR, "camera", "microphone") as callee,
    ):
        await caller.call("voice")
        await callee.ringing()
        await callee.page.evaluate(BREAK)
        await callee.accept()
        said = await caller.said()
        assert "declined" not in said.lower()
        assert "Daniel wanted to answer" in said

        async def ended() -> dict[str, Any] | None:
            [*_, row] = await relay.call_logs()
            return row if row["end_reason"] else None

        row = await eventually(ended, "the end of the call is written down")
        assert (row["status"], row["end_reason"]) == ("missed", "media_unavailable")


# -- Firefox ----------------------------------------------------------------------------------------------------------

BLOCKED_CAMERA: Final = {
    # Asked for in earnest: the microphone is allowed for good, the camera forbidden.
    "media.navigator.permission.disabled": False,
    "permissions.default.microphone": 1,
    "permissions.default.camera": 2,
}


async def test_firefox_calls_with_its_camera_blocked_and_goes_on_when_its_microphone_is_gone(
    three: Browser, relay: RunningRelay
) -> None:
    async with (
        Firefox.started(ThisMachine(), BLOCKED_CAMERA) as firefox,
        used(three, relay, TUTOR, "camera", "microphone") as callee,
    ):
        await firefox.before_every_page(INSTRUMENTS + SMALL_CAMERA)
        caller = FirefoxPage(firefox)
        await firefox.goto(f"{relay.url}/")
        await caller.press(f"user-{STUDENT}")
        await caller.call("video")
        await callee.ringing()
        await callee.accept()

        await caller.says("camera-problem", "Your camera is blocked. Daniel can’t see you.")
        await caller.says("camera-problem", "crossed-out camera")
        await expect(callee.hook("other-camera-off")).to_have_text("No camera", timeout=PATIENCE)
        await callee.hides("other-unheard")

        await callee.hears_more()
        await firefox.evaluate(UNPLUG, "audio")
        await caller.says("microphone-problem", "No microphone found. Daniel can’t hear you.")
        await callee.shows("other-unheard")
        await firefox.evaluate(PLUG_IN)
        await callee.hides("other-unheard")
        await caller.says("microphone-problem", "")
        await callee.hang_up()
        await caller.says("ended-card", "Call ended")
