"""Answers, and other messages, that are lost with the server of a cluster that was to have them."""

import pytest

from tests.browser.conftest import OpenPage
from tests.browser.pages import PARENT, STUDENT, TUTOR, CallPage, RelayPage, Version1Page
from tests.browser.tapped import Message, TappedSocket, losing_first
from tests.kit.browsers import LOOK
from tests.kit.wait import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

HOLD_MEDIA = """() => {
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  const goOn = new Promise((resolve) => { window.goOn = resolve; });
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    window.isAsked = true;
    await goOn;
    return open(wanted);
  };
}"""


async def both_hear(*pages: CallPage) -> None:
    """Wait until audio has come both ways. The relay may count packets of a peer connection that was given up."""

    async def heard() -> bool:
        return min([(await page.talking()).audio_energy for page in pages]) > 0

    await eventually(heard, "both hear each other", every=LOOK)


async def test_a_callee_answers_again_when_the_next_server_rings_anew(open_page: OpenPage[CallPage]) -> None:
    """With another offer, as when a caller of version 1 presses twice."""
    caller, callee = await open_page(Version1Page, STUDENT), await open_page(RelayPage, TUTOR)
    assert isinstance(callee, RelayPage)
    socket = await TappedSocket.of(callee)
    socket.alter_sent = losing_first("call_answer")
    await caller.call("voice")
    await callee.ringing()
    await callee.accept()
    await eventually(lambda: socket.said("call_answer"), "the answer goes to a server that is dead")
    await caller.call("voice")
    await callee.reaches("connected")
    await both_hear(caller, callee)
    assert len(socket.said("call_answer")) == 2


async def test_a_callee_whose_devices_are_still_being_opened_answers_the_latest_offer(
    open_page: OpenPage[CallPage],
) -> None:
    caller, callee = await open_page(Version1Page, STUDENT), await open_page(RelayPage, TUTOR)
    assert isinstance(callee, RelayPage)
    await callee.page.evaluate(HOLD_MEDIA)
    await caller.call("voice")
    await callee.ringing()
    await callee.accept()
    await callee.page.wait_for_function("() => window.isAsked")
    await caller.call("voice")
    await callee.receives("call_invitation", 2)
    await callee.page.evaluate("goOn()")
    await both_hear(caller, callee)


async def test_a_caller_that_has_not_heard_of_the_answer_comes_into_the_call_at_the_next_server(
    open_page: OpenPage[RelayPage],
) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    socket = await TappedSocket.of(caller)
    await caller.call("voice")
    await callee.ringing()
    await caller.reaches("ringing")

    def lost(message: Message) -> Message | None:
        return None if message["type"] in {"call_answer", "call_state"} else message

    socket.alter_received = lost
    await callee.accept()
    await eventually(lambda: socket.heard("call_answer"), "the answer is there")
    assert await caller.state() == "ringing"
    socket.alter_received = lambda message: message
    socket.tell_page(socket.heard("call_state")[-1], state="reconnecting", yours=False)
    await both_hear(caller, callee)
    for page in (caller, callee):
        await page.reaches("connected")


async def test_a_camera_whose_offer_is_lost_with_its_server_is_offered_to_the_next_one(open_page: OpenPage[RelayPage]) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    socket = await TappedSocket.of(caller)
    await caller.call("voice")
    await callee.ringing()
    await callee.accept()
    await caller.reaches("connected")
    socket.alter_sent = losing_first("call_update")
    await caller.press("camera")
    await eventually(lambda: socket.said("call_update"), "the page has offered")
    socket.tell_page(socket.heard("call_state")[-1], yours=False)

    def is_taken() -> bool:
        return any("answer" in one for one in socket.heard("call_update"))

    await eventually(is_taken, lambda: f"the camera is taken: {socket.story}")
    await caller.reaches("connected")


async def test_a_transfer_that_was_asked_for_at_a_server_that_has_died_is_said_to_have_failed(
    open_page: OpenPage[RelayPage],
) -> None:
    caller, callee, _ = [await open_page(RelayPage, one) for one in (STUDENT, TUTOR, PARENT)]
    socket = await TappedSocket.of(callee)
    await caller.call("voice")
    await callee.ringing()
    await callee.accept()
    await callee.reaches("connected")
    socket.alter_sent = losing_first("call_transfer")
    await callee.press_more("transfer")
    await callee.hook(f"transfer-to-{PARENT}").click()
    await callee.shows("transferring")
    socket.tell_page(socket.heard("call_state")[-1], state="reconnecting", yours=False)
    await callee.hears("can’t be transferred there now")
    await callee.hides("transferring")


async def test_a_call_that_was_answered_at_another_device_rings_anew_if_the_next_server_does_not_know(
    open_page: OpenPage[RelayPage],
) -> None:
    caller, rang, answered = [await open_page(RelayPage, one) for one in (STUDENT, TUTOR, TUTOR)]
    socket = await TappedSocket.of(rang)
    await caller.call("voice")
    await rang.ringing()
    await answered.ringing()
    await answered.accept()
    await rang.hides("incoming")
    socket.tell_page(socket.heard("call_invitation")[0])
    await rang.ringing()
