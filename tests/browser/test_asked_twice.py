"""A page that has its call back by a new peer connection, and the question for it, or the offer, that is lost or comes twice.

One video call from test to test, of which one page has someone between it and its relay (`tests/browser/tapped.py`).
"""

from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser.calls import A_SECOND, PagesInCall
from tests.browser.conftest import call_of_a_module
from tests.browser.pages import RelayPage
from tests.browser.tapped import Message, TappedSocket, as_it_is, losing_first
from tests.kit.browsers import LOOK
from tests.kit.wait import eventually

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("a call that is asked for twice"),
    pytest.mark.usefixtures("no_errors_logged"),
]

REMEMBER: Final = """() => {
  window.former = relayCall.peerConnection;
  const close = former.close.bind(former);
  former.close = () => { window.closedWhen = relayCall.peerConnection.connectionState; close(); };
}"""


class TappedCall:
    """The call, and the socket of its caller."""

    def __init__(self, call: PagesInCall, caller: RelayPage, socket: TappedSocket) -> None:
        self.pages, self.caller, self.socket = call, caller, socket

    async def may_rejoin(self) -> None:
        """A server says that the call is elsewhere, and that the page may have it back."""
        self.socket.tell_page(self.socket.heard("call_state")[-1], yours=False)

    async def settled(self) -> None:
        """Wait until the page has another peer connection than before, by which both see each other."""

        async def other() -> bool:
            now = "former !== relayCall.peerConnection && relayCall.peerConnection.connectionState"
            return bool(await self.caller.page.evaluate(f"() => {now}") == "connected")

        await eventually(other, lambda: f"the page has another peer connection: {self.socket.story}")
        await self.pages.video_goes_on(A_SECOND)
        assert await self.caller.state() == "connected"

    async def screen_is_seen(self) -> None:
        """Wait until the callee has decoded a few more frames of the caller's screen."""
        callee = self.pages.callee
        before = (await callee.talking()).screen_frames_decoded

        async def more() -> bool:
            return (await callee.talking()).screen_frames_decoded > before + 5

        await eventually(more, lambda: f"the screen is seen: {self.socket.story}", every=LOOK)

    def questions(self) -> int:
        return len(self.socket.said("call_rejoin"))

    def rejoin_offers(self) -> list[Message]:
        return [one for one in self.socket.heard("call_update") if one.get("rejoin")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def whole_call(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TappedCall]:
    sockets: list[TappedSocket] = []

    async def tap(caller: RelayPage) -> None:
        sockets.append(await TappedSocket.of(caller))

    async with call_of_a_module(browser, tmp_path_factory.mktemp("relay"), tap) as call:
        assert isinstance(call.caller, RelayPage)
        yield TappedCall(call, call.caller, sockets[0])
    row = await call.relay.finished_call()
    assert (row["status"], row["end_reason"]) == ("ended", "hangup"), "it was one call to the end"


@pytest_asyncio.fixture(loop_scope="session")
async def call(whole_call: TappedCall) -> AsyncIterator[TappedCall]:
    """The call, as it is now; nothing is altered any more after the test."""
    await whole_call.caller.page.evaluate(REMEMBER)
    yield whole_call
    whole_call.socket.alter_sent = whole_call.socket.alter_received = as_it_is


async def test_a_call_is_asked_for_again_when_the_server_that_was_asked_has_died(call: TappedCall) -> None:
    before = call.questions()
    call.socket.alter_sent = losing_first("call_rejoin")
    await call.may_rejoin()
    await eventually(lambda: call.questions() == before + 1, "the page asks the first server, which is dead")
    await call.may_rejoin()
    await call.settled()
    assert call.questions() == before + 2


async def test_a_call_that_was_asked_for_twice_goes_on_by_the_second_offer(call: TappedCall) -> None:
    """The relay has given up the first one when the page answers it."""
    before = len(call.rejoin_offers())
    question = call.socket.said("call_rejoin")[-1]
    await call.may_rejoin()
    call.socket.tell_relay(question)
    await eventually(lambda: len(call.rejoin_offers()) == before + 2, "the relay has offered twice")
    await call.settled()


async def test_a_call_goes_on_by_an_offer_that_the_page_does_not_wait_for(call: TappedCall) -> None:
    before = call.questions()
    question = call.socket.said("call_rejoin")[-1]
    call.socket.tell_relay(question)
    await call.settled()
    assert call.questions() == before


async def test_the_former_peer_connection_stays_until_the_one_of_the_second_offer_is_there(call: TappedCall) -> None:
    question = call.socket.said("call_rejoin")[-1]
    answers = len(call.socket.said("call_update"))

    def asking_twice(message: Message) -> Message | None:
        if message["type"] == "call_update" and len(call.socket.said("call_update")) == answers + 1:
            call.socket.tell_relay(question)  # before it has the answer to its first offer
        return message

    call.socket.alter_sent = asking_twice
    call.socket.tell_relay(question)
    await call.settled()
    assert await call.caller.page.evaluate("closedWhen") == "connected", "the next one was there before the former one ended"


async def test_a_screen_is_seen_although_the_first_offer_of_it_is_refused_and_when_the_call_is_had_back(call: TappedCall) -> None:
    refused: list[Message] = []

    def refusing_first(message: Message) -> Message | None:
        if message["type"] != "call_update" or "offer" not in message or refused:
            return message
        refused.append(message)
        call.socket.tell_page({"type": "error", "code": "update_glare", "message": "not now", "ref": message["ref"]})
        return None

    call.socket.alter_sent = refusing_first
    await call.caller.press("share")
    await call.screen_is_seen()
    assert refused, "it was offered twice"
    await call.may_rejoin()
    await call.settled()
    await call.screen_is_seen()
    await call.caller.press("share")


async def test_a_chat_message_that_was_lost_with_its_server_is_sent_to_the_next_one(call: TappedCall) -> None:
    call.socket.alter_sent = losing_first("call_chat")
    await call.caller.write("Are you still there?")
    await eventually(lambda: call.socket.said("call_chat"), "it is sent")
    await call.may_rejoin()
    await call.settled()
    for page in (call.pages.callee, call.caller):
        assert isinstance(page, RelayPage)
        await page.reads("Are you still there?")


async def test_an_answer_that_cannot_be_sent_is_no_end_of_the_call(call: TappedCall) -> None:
    """The WebSocket breaks between the offer and the answer."""
    page = call.caller.page
    before = len(call.rejoin_offers())
    await page.evaluate("""() => {
      const set = RTCPeerConnection.prototype.setRemoteDescription;
      const goOn = new Promise((resolve) => { window.goOn = resolve; });
      RTCPeerConnection.prototype.setRemoteDescription = async function (description) {
        RTCPeerConnection.prototype.setRemoteDescription = set;
        await set.call(this, description);
        window.isSet = true;
        await goOn;
      };
    }""")
    await call.may_rejoin()
    await page.wait_for_function("() => window.isSet")
    await call.socket.cut()
    await call.caller.connection_is("reconnecting")
    await page.evaluate("goOn()")
    await call.caller.connection_is("online")
    await call.settled()
    assert len(call.rejoin_offers()) > before + 1


async def test_an_older_relay_does_not_say_which_offers_are_for_a_new_peer_connection(call: TappedCall) -> None:
    def unsaid(message: Message) -> Message | None:
        return {name: value for name, value in message.items() if name != "rejoin"}

    call.socket.alter_received = unsaid
    await call.may_rejoin()
    await call.settled()


async def test_a_camera_that_was_off_when_the_page_was_loaded_anew_stays_on_when_the_call_is_had_back(call: TappedCall) -> None:
    page = call.caller
    await page.press("camera")
    await page.page.reload()
    await page.reaches("connected")
    await page.press("camera")
    await call.pages.more_frames(call.pages.callee)
    await page.page.evaluate(REMEMBER)
    await call.may_rejoin()
    await call.settled()
