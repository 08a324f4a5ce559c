"""Clients of protocol version 1, written for the peer-to-peer backend, keep working unchanged."""

import pytest

from tests.browser.calls import PagesInCall, Record
from tests.browser.conftest import OpenPage
from tests.browser.pages import STUDENT, TUTOR, CallPage, CallType, RelayPage, Version1Page
from tests.kit.server import RunningRelay

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize(
    ("kinds", "call_type"),
    [
        pytest.param((Version1Page, RelayPage), "video", id="an old page calls a new one"),
        pytest.param((RelayPage, Version1Page), "video", id="a new page calls an old one"),
        pytest.param((Version1Page, Version1Page), "video", id="two old pages, with video"),
        pytest.param((Version1Page, Version1Page), "voice", id="two old pages, voice only"),
    ],
)
async def test_a_page_of_version_1_can_call_and_be_called(
    relay: RunningRelay,
    open_page: OpenPage[CallPage],
    record_property: Record,
    kinds: tuple[type[CallPage], type[CallPage]],
    call_type: CallType,
) -> None:
    caller, callee = await open_page(kinds[0], STUDENT), await open_page(kinds[1], TUTOR)
    call = await PagesInCall.connected(relay, call_type, caller, callee)
    await call.media_flows()
    if call_type == "video":
        await call.report_first_frames(record_property)
    await call.hang_up(callee, record_property)


@pytest.mark.parametrize("kind", [RelayPage, Version1Page])
async def test_a_double_click_on_an_old_page_makes_one_call(
    relay: RunningRelay, open_page: OpenPage[CallPage], record_property: Record, kind: type[CallPage]
) -> None:
    """It makes two peer connections, and goes on with the second."""
    caller, callee = await open_page(Version1Page, STUDENT), await open_page(kind, TUTOR)
    for _ in range(2):
        await caller.call("voice")
    # Until then the callee may answer the offer of the first one.
    await callee.receives("call_invitation", 2)
    await callee.ringing()
    await callee.accept()
    call = PagesInCall(relay, "voice", caller, callee)
    await call.media_flows()
    await call.hang_up(callee, record_property)


async def test_no_candidate_of_one_page_reaches_the_other(relay: RunningRelay, open_page: OpenPage[Version1Page]) -> None:
    caller, callee = await open_page(Version1Page, STUDENT), await open_page(Version1Page, TUTOR)
    await PagesInCall.connected(relay, "voice", caller, callee)
    for page in (caller, callee):
        await page.moment("sent ice_candidate")
        assert "ice_candidate" not in await page.types_received()
        assert "error" not in await page.types_received()


async def test_an_old_page_learns_that_its_call_was_declined(relay: RunningRelay, open_page: OpenPage[Version1Page]) -> None:
    caller, callee = await open_page(Version1Page, STUDENT), await open_page(Version1Page, TUTOR)
    await caller.call("voice")
    await callee.ringing()
    await callee.decline()
    await caller.reaches("declined: rejected")
    row = await relay.finished_call()
    assert (row["status"], row["end_reason"]) == ("missed", "rejected")


@pytest.mark.settings(vanished_grace=2.0)
async def test_an_old_page_that_is_closed_without_a_word_ends_its_call(
    relay: RunningRelay, open_page: OpenPage[Version1Page]
) -> None:
    caller, callee = await open_page(Version1Page, STUDENT), await open_page(Version1Page, TUTOR)
    call = await PagesInCall.connected(relay, "video", caller, callee)
    await call.media_flows()
    await caller.close()
    await callee.reaches("ended")
    row = await relay.finished_call()
    assert (row["status"], row["end_reason"]) == ("ended", "signaling_lost")


async def test_a_new_page_opens_no_camera_for_an_old_one_that_cannot_take_it(
    relay: RunningRelay, open_page: OpenPage[CallPage]
) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(Version1Page, TUTOR)
    assert isinstance(caller, RelayPage)
    await PagesInCall.connected(relay, "voice", caller, callee)
    await caller.reaches("connected")
    await caller.page.evaluate(
        """() => {
          const open = navigator.mediaDevices.getUserMedia;
          window.opened = 0;
          navigator.mediaDevices.getUserMedia = (wanted) => {
            window.opened++;
            return open.call(navigator.mediaDevices, wanted);
          };
        }"""
    )
    await caller.press("camera")
    await caller.hears("can’t do that in mid-call")
    assert await caller.page.evaluate("opened") == 0
