"""What a page does about a call that is over for it, and that a server still has: one of a cluster may not know of the end."""

from collections.abc import Awaitable, Callable

import pytest

from tests.browser.conftest import OpenPage
from tests.browser.pages import STUDENT, TUTOR, RelayPage
from tests.browser.tapped import TappedSocket
from tests.kit.wait import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def decline(page: RelayPage) -> None:
    await page.decline()


async def decline_with_words(page: RelayPage) -> None:
    await page.hook("decline-with-message").click()
    await page.hook("reply").first.click()


@pytest.mark.parametrize("refuse", [decline, decline_with_words])
async def test_a_call_that_its_user_has_declined_is_declined_again_when_it_rings_again(
    open_page: OpenPage[RelayPage], refuse: Callable[[RelayPage], Awaitable[None]]
) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    socket = await TappedSocket.of(callee)
    await caller.call("voice")
    await callee.ringing()
    await refuse(callee)
    await caller.shows("ended-card")
    await callee.hides("incoming")
    [invitation], [declined] = socket.heard("call_invitation"), socket.said("call_declined")
    await eventually(lambda: [one for one in socket.heard("call_state") if one["state"] == "ended"], "the relay has confirmed it")

    socket.tell_page(invitation)
    await eventually(lambda: len(socket.said("call_declined")) > 1, "it is declined again")
    assert socket.said("call_declined") == [declined, declined]
    assert await callee.state() == "idle"


async def test_a_call_that_its_user_has_ended_is_ended_again_while_the_next_one_goes_on(open_page: OpenPage[RelayPage]) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    socket = await TappedSocket.of(caller)
    await caller.call("voice")
    await callee.ringing()
    await callee.accept()
    await caller.reaches("connected")
    state = socket.heard("call_state")[-1]
    await caller.hang_up()
    await callee.shows("ended-card")
    await caller.put_away_the_ended_call()
    await caller.call("voice")
    await callee.ringing()
    before = len(socket.said("call_ended"))

    socket.tell_page(state)
    await eventually(lambda: len(socket.said("call_ended")) > before, "it is ended again")
    assert {one["call_id"] for one in socket.said("call_ended")} == {state["call_id"]}
    await callee.accept()
    await caller.reaches("connected")
    assert await caller.page.evaluate("relayCall.callId") != state["call_id"]


async def test_a_call_that_another_device_has_answered_and_lost_can_be_taken_by_one_that_rang(
    open_page: OpenPage[RelayPage],
) -> None:
    caller, rang, answered = [await open_page(RelayPage, one) for one in (STUDENT, TUTOR, TUTOR)]
    socket = await TappedSocket.of(rang)
    await caller.call("voice")
    for page in (rang, answered):
        await page.ringing()
    await answered.accept()
    await answered.reaches("connected")
    await rang.hides("incoming")
    await answered.page.goto("about:blank")
    await caller.reaches("reconnecting")
    await socket.cut()
    await eventually(lambda: socket.heard("call_state"), "the relay lets it have the call")
    await rang.press("take-over")
    for page in (rang, caller):
        await page.reaches("connected")
    assert socket.said("call_ended") == []
    assert [one.get("move", False) for one in socket.said("call_rejoin")] == [False]
