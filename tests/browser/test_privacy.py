"""Privacy settings: what a user sets, and what that user and the callers see of it."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.pages import PATIENCE, STUDENT, TUTOR, RelayPage
from tests.kit.server import RunningRelay

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def reason(relay: RunningRelay) -> str:
    row = await relay.finished_call()
    assert row["status"] == "missed"
    return str(row["end_reason"])


async def test_the_call_of_a_blocked_caller_is_declined_without_ringing(
    relay: RunningRelay, open_page: OpenPage[RelayPage]
) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    await callee.hook("menu-123").click()
    await callee.hook("block-123").click()
    await callee.hears("Maya Lindgren can’t call you any more")
    await callee.shows("blocked-123")
    await expect(callee.hook("call-video-123")).to_be_disabled()
    await caller.call("voice")
    assert "declined" in await caller.said()
    assert not await callee.was_asked()
    assert await reason(relay) == "blocked"

    await callee.hook("tab-settings").click()
    await callee.hook(f"unblock-{STUDENT}").click()
    await callee.hears("Maya Lindgren can call you again")
    await callee.hook("tab-people").click()
    await callee.hides("blocked-123")
    await caller.put_away_the_ended_call()
    await caller.call("voice")
    await callee.ringing()


async def test_a_callee_with_do_not_disturb_is_busy(relay: RunningRelay, open_page: OpenPage[RelayPage]) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    await callee.hook("tab-settings").click()
    await callee.hook("do-not-disturb").check()
    await callee.page.reload()
    await callee.hook("tab-settings").click()
    await expect(callee.hook("do-not-disturb")).to_be_checked(timeout=PATIENCE)
    await caller.call("voice")
    assert "busy" in await caller.said()
    assert not await callee.was_asked()
    assert await reason(relay) == "busy"


async def test_a_callee_who_allows_no_calls_declines_them_all(relay: RunningRelay, open_page: OpenPage[RelayPage]) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    await callee.hook("tab-settings").click()
    async with callee.page.expect_response(lambda response: response.request.method == "PUT"):
        await callee.hook("privacy-nobody").check()
    await caller.call("voice")
    assert "declined" in await caller.said()
    assert not await callee.was_asked()
    assert await reason(relay) == "rejected"
