"""How a call between two pages can end, other than by hanging up."""

import pytest

from tests.browser.calls import PagesInCall
from tests.browser.conftest import OpenPage
from tests.browser.pages import PARENT, STUDENT, TUTOR, RelayPage
from tests.kit.axe import violations_at_both_ends
from tests.kit.server import RunningRelay

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def missed(relay: RunningRelay, reason: str) -> None:
    row = await relay.finished_call()
    assert (row["status"], row["end_reason"], row["duration_seconds"]) == ("missed", reason, None)


async def test_a_declined_call_ends_at_the_caller(relay: RunningRelay, open_page: OpenPage[RelayPage]) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    await caller.call("voice")
    await callee.ringing()
    await callee.decline()
    await caller.shows("ended-card")
    await callee.hides("incoming")
    await missed(relay, "rejected")


async def test_a_callee_without_devices_is_offline(relay: RunningRelay, open_page: OpenPage[RelayPage]) -> None:
    caller = await open_page(RelayPage, STUDENT)
    await caller.call("voice")
    await caller.shows("ended-card")
    await missed(relay, "offline")


async def test_a_callee_in_another_call_is_busy(relay: RunningRelay, open_page: OpenPage[RelayPage]) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    third = await open_page(RelayPage, PARENT)
    call = await PagesInCall.connected(relay, "voice", caller, callee)

    await third.call("voice")
    assert "busy" in await third.said()
    await callee.hears("Elena Lindgren tried to call you")
    await call.media_flows()
    await callee.hides("incoming")

    await caller.hang_up()
    rows = {row["conversation_id"]: row for row in await relay.finished_calls(2)}
    assert (rows[123]["status"], rows[124]["status"]) == ("ended", "missed")
    assert rows[124]["end_reason"] == "busy"


async def test_the_ringing_stops_when_the_caller_hangs_up(relay: RunningRelay, open_page: OpenPage[RelayPage]) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    await caller.call("voice")
    await callee.ringing()
    assert await violations_at_both_ends(caller.page) == []
    await caller.hang_up()
    await callee.hides("incoming")
    await missed(relay, "cancelled")


@pytest.mark.settings(vanished_grace=2.0)
async def test_a_page_that_is_closed_ends_its_call_when_it_does_not_come_back(
    relay: RunningRelay, open_page: OpenPage[RelayPage]
) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    call = await PagesInCall.connected(relay, "voice", caller, callee)
    await call.media_flows()
    await callee.close()
    await caller.reaches("reconnecting")
    await caller.shows("ended-card")
    row = await relay.finished_call()
    assert (row["status"], row["end_reason"]) == ("ended", "signaling_lost")


async def test_a_page_that_is_closed_while_it_calls_stops_the_ringing(
    relay: RunningRelay, open_page: OpenPage[RelayPage]
) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    await caller.call("voice")
    await callee.ringing()
    await caller.page.goto("about:blank")
    await callee.hides("incoming")
    await missed(relay, "cancelled")


@pytest.mark.settings(vanished_grace=2.0)
async def test_a_page_that_crashes_ends_its_call(relay: RunningRelay, open_page: OpenPage[RelayPage]) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    call = await PagesInCall.connected(relay, "voice", caller, callee)
    await call.media_flows()
    await callee.crash()
    await caller.shows("ended-card")
    row = await relay.finished_call()
    assert (row["status"], row["end_reason"]) == ("ended", "signaling_lost")
