"""What a call says of itself, how it is laid out, and its keys. All tests share one call, which goes on."""

import contextlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Dialog, Locator, expect

from tests.browser.calls import PagesInCall
from tests.browser.conftest import call_of_a_module
from tests.browser.pages import PATIENCE, RelayPage
from tests.kit.axe import violations

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("one call"),
    pytest.mark.usefixtures("no_errors_logged"),
]

TALKING = """
// A microphone into which a person talks, with breaks; and note what is asked of the screen.
() => {
  const context = new AudioContext();
  const [voice, breaks] = [context.createOscillator(), context.createOscillator()];
  const [mouth, depth] = [context.createGain(), context.createGain()];
  breaks.type = "square";
  breaks.frequency.value = 1.5;
  mouth.gain.value = depth.gain.value = 0.15;
  breaks.connect(depth).connect(mouth.gain);
  const air = context.createMediaStreamDestination();
  voice.connect(mouth).connect(air);
  voice.start();
  breaks.start();
  const open = MediaDevices.prototype.getUserMedia;
  MediaDevices.prototype.getUserMedia = async function (wanted) {
    const stream = await open.call(this, wanted);
    if (!wanted.audio) return stream;
    stream.getAudioTracks().forEach((track) => (track.stop(), stream.removeTrack(track)));
    air.stream.getAudioTracks().forEach((track) => stream.addTrack(track.clone()));
    return stream;
  };
  window.locks = [];
  const request = WakeLock.prototype.request;
  WakeLock.prototype.request = async function (type) {
    const lock = await request.call(this, type);
    window.locks.push(lock);
    return lock;
  };
}
"""


async def prepare(caller: RelayPage) -> None:
    await caller.page.context.grant_permissions(["camera", "microphone", "screen-wake-lock"])
    await caller.page.evaluate(TALKING)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def call(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PagesInCall]:
    async with call_of_a_module(browser, tmp_path_factory.mktemp("relay"), prepare) as call:
        yield call


def button(page: RelayPage, name: str) -> Locator:
    return page.page.get_by_role("button", name=name, exact=True)


async def sees(page: RelayPage, text: str) -> None:
    await expect(page.page.get_by_text(text).first).to_be_visible(timeout=PATIENCE)


async def choose(page: RelayPage, name: str) -> None:
    """An entry of the menu of rarer things."""
    await page.press("more")
    await page.hook("more-menu").get_by_role("button", name=name, exact=True).click()


async def is_clean(page: RelayPage) -> None:
    """By axe-core, in both colour schemes."""
    for scheme in ("dark", "light"):
        await page.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        assert await violations(page.page) == [], scheme


async def test_who_talks_while_muted_is_told_and_the_own_picture_says_so_all_the_time(
    caller: RelayPage, callee: RelayPage
) -> None:
    await expect(caller.hook("muted-sign")).to_be_hidden()
    await caller.page.keyboard.press("m")
    await expect(caller.page.get_by_role("group", name="Your picture")).to_contain_text("Muted", timeout=PATIENCE)
    await callee.shows("other-muted")
    await sees(caller, "You are muted")
    await is_clean(caller)
    await button(caller, "Unmute").click()
    await callee.hides("other-muted")
    await caller.hides("muted-sign")
    await caller.hides("own-muted")

    await choose(caller, "Hide your picture")
    await caller.hides("local-video")
    await caller.page.keyboard.press("m")
    await expect(caller.hook("muted-sign")).to_contain_text("uted", timeout=PATIENCE)
    await choose(caller, "Show your picture")
    await caller.shows("local-video")
    await caller.page.keyboard.press("m")
    await callee.hides("other-muted")


async def test_the_space_bar_is_for_talking_while_it_is_held(caller: RelayPage, callee: RelayPage) -> None:
    await caller.press("mute")  # the button has the focus from now on, and must not be pressed by the space bar
    await callee.shows("other-muted")
    await caller.page.keyboard.down("Space")
    await callee.hides("other-muted")
    await sees(caller, "You can be heard")
    await caller.page.keyboard.up("Space")
    await callee.shows("other-muted")
    await expect(caller.hook("mute")).to_have_attribute("aria-label", "Unmute microphone")

    await caller.page.keyboard.down("Space")
    await callee.hides("other-muted")
    await caller.page.evaluate("dispatchEvent(new Event('blur'))")
    await callee.shows("other-muted")
    await caller.page.keyboard.up("Space")
    await caller.page.keyboard.press("m")
    await callee.hides("other-muted")


async def test_single_keys_press_what_buttons_press_and_never_while_the_user_types(caller: RelayPage, callee: RelayPage) -> None:
    keys = caller.page.keyboard
    await keys.press("v")
    await callee.shows("other-camera-off")
    await keys.press("v")
    await callee.hides("other-camera-off")
    await keys.press("s")
    await caller.shows("sharing")
    await keys.press("s")
    await caller.hides("sharing")
    await keys.press("c")
    await expect(caller.page.get_by_role("textbox", name="Message")).to_be_focused(timeout=PATIENCE)
    await keys.type("mvscf? ")
    await expect(caller.page.get_by_role("textbox", name="Message")).to_have_value("mvscf? ")
    await caller.page.get_by_role("textbox", name="Message").fill("")
    await keys.press("Escape")
    await caller.hides("chat-panel")
    for name in ("Mute microphone", "Turn camera off", "Share your screen"):
        await expect(button(caller, name)).to_be_visible()

    await keys.press("f")
    await caller.page.wait_for_function("() => document.fullscreenElement")
    await choose(caller, "Leave full screen")
    await caller.page.wait_for_function("() => !document.fullscreenElement")


async def test_a_question_mark_lists_the_keys_and_they_can_be_turned_off(caller: RelayPage) -> None:
    keys = caller.page.keyboard
    await keys.press("?")
    listed = caller.page.get_by_role("dialog", name="Keyboard shortcuts")
    for text in ("Mute or unmute", "hold it to talk", "Full screen"):
        await expect(listed).to_contain_text(text)
    await is_clean(caller)
    await listed.get_by_role("switch", name="Use these keys").click()
    await keys.press("Escape")
    await expect(listed).to_be_hidden()
    await keys.press("m")
    await choose(caller, "Keyboard shortcuts")
    await listed.get_by_role("switch", name="Use these keys").click()
    await listed.get_by_role("button", name="Close").click()
    await expect(button(caller, "Mute microphone")).to_be_visible()


CUT_OFF = """() => {
  const entries = [...document.querySelectorAll("[data-testid=more-menu] button")].filter((one) => one.checkVisibility());
  const isWhole = (one) => {
    one.scrollIntoView({ block: "nearest" });
    const { left, right, top, bottom } = one.getBoundingClientRect();
    const points = [left + 4, (left + right) / 2, right - 4].map((x) => document.elementFromPoint(x, (top + bottom) / 2));
    return points.every((at) => one.contains(at)) && one.scrollWidth <= one.clientWidth;
  };
  return { number: entries.length, cut: entries.filter((one) => !isWhole(one)).map((one) => one.innerText) };
}"""


async def test_every_entry_of_the_menu_of_a_call_is_whole_on_phones(caller: RelayPage) -> None:
    before = caller.page.viewport_size
    assert before is not None
    for width, height in ((320, 568), (390, 844), (740, 360)):
        await caller.page.set_viewport_size({"width": width, "height": height})
        await caller.press("more")
        found = await caller.page.evaluate(CUT_OFF)
        assert found["number"] > 10
        assert found["cut"] == [], f"{width} × {height}"
        assert await violations(caller.page) == []
        await caller.page.keyboard.press("Escape")
    await caller.page.set_viewport_size(before)


async def test_the_own_picture_goes_to_any_corner_and_beside_the_other_one(caller: RelayPage) -> None:
    own = caller.page.get_by_role("group", name="Your picture")

    async def centre() -> tuple[float, float]:
        box = await own.bounding_box()
        assert box is not None
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    size = caller.page.viewport_size
    assert size is not None
    x, y = await centre()
    assert x > size["width"] / 2
    assert y > size["height"] / 2
    await own.focus()
    await own.press("ArrowLeft")
    await own.press("ArrowUp")
    await caller.page.wait_for_function(
        "() => { const box = document.querySelector('.own').getBoundingClientRect(); return box.left < 100 && box.top < 200; }"
    )
    x, y = await centre()
    await caller.page.mouse.move(x, y)
    await caller.page.mouse.down()
    await caller.page.mouse.move(size["width"] - 200, y + 20, steps=4)
    await caller.page.mouse.up()
    await expect(caller.hook("call-screen")).to_have_attribute("data-corner", "top-right")

    await choose(caller, "Side by side")
    await caller.page.wait_for_function(
        """() => {
          const [own, other] = [".own", ".call__person"].map((name) => document.querySelector(name).getBoundingClientRect());
          return Math.abs(own.width - other.width) < 2 && Math.abs(own.top - other.top) < 2 && other.right < own.left;
        }"""
    )
    await caller.press("more")
    await is_clean(caller)
    await button(caller, "Your picture in a corner").click()

    await choose(caller, "Show the whole picture")
    await expect(caller.hook("remote-video")).to_have_attribute("data-fit", "contain")
    await choose(caller, "Fill the screen")
    await expect(caller.hook("remote-video")).to_have_attribute("data-fit", "cover")


async def test_the_call_is_to_be_seen_and_muted_in_a_small_window_above_others(caller: RelayPage, callee: RelayPage) -> None:
    async with caller.page.context.expect_page() as opened:
        await choose(caller, "Picture in picture")
    small = await opened.value
    await expect(small.get_by_text("Daniel Okafor")).to_be_visible(timeout=PATIENCE)
    await small.wait_for_function("() => document.querySelector('video').currentTime > 0.2")
    await small.get_by_role("button", name="Mute microphone").click()
    await callee.shows("other-muted")
    assert await violations(small) == []
    await small.get_by_role("button", name="Unmute microphone").click()
    await callee.hides("other-muted")
    async with small.expect_event("close"):
        await choose(caller, "Close the small window")


async def test_a_picture_that_is_missing_is_named_while_audio_goes_on(caller: RelayPage, callee: RelayPage) -> None:
    sender = "relayCall.peerConnection.getSenders().find(({ track }) => track?.kind === 'video')"
    await callee.page.evaluate(
        f"async () => {{ window.sender = {sender}; window.kept = sender.track; await sender.replaceTrack(null); }}"
    )
    await expect(caller.page.get_by_role("status").filter(has_text="No picture from Daniel")).to_be_visible(timeout=PATIENCE)
    assert await caller.state() == "connected"
    await is_clean(caller)
    await callee.page.evaluate("sender.replaceTrack(kept)")
    await expect(caller.page.get_by_text("No picture from Daniel")).to_be_hidden(timeout=PATIENCE)
    await expect(caller.hook("call-screen")).to_have_attribute("data-view", "video", timeout=PATIENCE)


async def test_back_and_closing_the_page_ask_first(call: PagesInCall, caller: RelayPage) -> None:
    await caller.page.evaluate("history.back()")
    asks = caller.page.get_by_role("dialog", name="Leave the call?")
    await expect(asks).to_contain_text("This ends your call with Daniel.", timeout=PATIENCE)
    await is_clean(caller)
    await asks.get_by_role("button", name="Stay in the call").click()
    await expect(asks).to_be_hidden()
    await caller.page.evaluate("history.back()")
    await expect(asks).to_be_visible(timeout=PATIENCE)
    await caller.page.keyboard.press("Escape")

    asked: list[str] = []

    async def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        await dialog.dismiss()

    async with contextlib.AsyncExitStack() as stack:
        caller.page.on("dialog", stay)
        stack.callback(caller.page.remove_listener, "dialog", stay)
        async with caller.page.expect_event("dialog"):
            await caller.page.close(run_before_unload=True)
    assert asked == ["beforeunload"]
    await call.more_frames(caller)


async def test_the_screen_stays_on_for_as_long_as_the_call_lasts(caller: RelayPage) -> None:
    await caller.page.wait_for_function("() => locks.length > 0 && !locks.at(-1).released")


async def test_the_end_of_a_call_gives_all_of_that_back(call: PagesInCall, caller: RelayPage, callee: RelayPage) -> None:
    await caller.page.evaluate("history.back()")
    await caller.page.get_by_role("button", name="Leave the call").click()
    await callee.shows("ended-card")
    await caller.page.wait_for_function("() => locks.at(-1).released && !history.state?.call")
    await caller.page.keyboard.press("m")
    await caller.page.keyboard.press("?")
    await expect(caller.page.get_by_role("dialog")).to_have_count(0)
    await callee.put_away_the_ended_call()
    await button(caller, "Call again").click()
    await callee.ringing()
    shaking = "(button) => getComputedStyle(button.firstElementChild).animationName"
    await callee.page.mouse.move(1, 1)  # it stands still below the pointer
    await callee.page.emulate_media(reduced_motion="no-preference")
    assert await callee.hook("accept").evaluate(shaking) == "shake"
    await callee.page.emulate_media(reduced_motion="reduce")
    assert await callee.hook("accept").evaluate(shaking) == "none"
    await callee.accept()
    await caller.reaches("connected")
