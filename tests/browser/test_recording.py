"""A call is recorded with the consent of both parties, and both see that it is."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from playwright.async_api import expect
from sqlalchemy.ext.asyncio import create_async_engine

from tests.browser.calls import PagesInCall
from tests.browser.conftest import OpenPage
from tests.browser.pages import PATIENCE, STUDENT, TUTOR, RelayPage, Version1Page
from tests.kit.axe import violations_at_both_ends
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

InCall = Callable[[], Awaitable[tuple[RelayPage, RelayPage]]]


@pytest.fixture
def in_call(relay: RunningRelay, open_page: OpenPage[Any]) -> InCall:
    """`await in_call()`: the pages of a caller and a callee in a call."""

    async def in_call() -> tuple[RelayPage, RelayPage]:
        caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
        await PagesInCall.connected(relay, "voice", caller, callee)
        for page in (caller, callee):
            await page.reaches("connected")
        return caller, callee

    return in_call


async def says(page: RelayPage, words: str, detail: str) -> None:
    """Wait until the sign of the recording says so."""
    await expect(page.hook("recording-words")).to_have_text(words, timeout=PATIENCE)
    await expect(page.hook("recording-detail")).to_have_text(detail, timeout=PATIENCE)


async def answer_by_keyboard(page: RelayPage, button: str) -> None:
    """Go to a button of the question by the keyboard, and press it."""
    for _ in range(6):
        if await page.page.evaluate("document.activeElement.textContent") == button:
            break
        await page.page.keyboard.press("Tab")
    await page.page.keyboard.press("Enter")


async def ends(relay: RunningRelay) -> list[str | None]:
    """Why the recordings ended, oldest first."""
    engine = create_async_engine(relay.database_url)
    try:
        async with engine.connect() as connection:
            rows = await connection.execute(sa.text("SELECT end_reason FROM recordings ORDER BY started_at"))
            return [row.end_reason for row in rows]
    finally:
        await engine.dispose()


@pytest.mark.settings(assemblers=0, recording_policy_text="Lessons are kept for 30 days.", recording_policy_version="7")
async def test_both_see_that_the_call_is_recorded_until_the_one_who_agreed_withdraws(
    relay: RunningRelay, in_call: InCall
) -> None:
    caller, callee = await in_call()
    await caller.press_more("record")
    await says(caller, "Waiting for Daniel’s consent", "to record this call")
    question = callee.page.get_by_role("alertdialog", name="Maya asks to record this call")
    await expect(question).to_be_visible(timeout=PATIENCE)
    await expect(callee.hook("consent-policy")).to_have_text("Lessons are kept for 30 days.")
    assert await violations_at_both_ends(callee.page) == []
    # The keyboard is in the question, on neither answer, and does not leave it.
    await expect(question).to_be_focused()
    for _ in range(6):
        await callee.page.keyboard.press("Tab")
        focused = "document.activeElement === document.body || document.activeElement.closest('[role=alertdialog]') !== null"
        assert await callee.page.evaluate(focused)
    await answer_by_keyboard(callee, "Allow recording")
    await says(caller, "Recording", "you started it")
    await says(callee, "Recording", "Maya started it")
    await expect(question).to_be_hidden()

    await callee.page.reload()
    await says(callee, "Recording", "Maya started it")
    await callee.talking()
    assert await violations_at_both_ends(callee.page) == []
    await expect(callee.page.get_by_role("status").filter(has_text="Recording")).to_have_count(1)
    await callee.press("stop-recording")
    for page in (caller, callee):
        await says(page, "Recording stopped", "Consent was withdrawn.")

    async def withdrawn() -> bool:
        return await ends(relay) == ["consent_withdrawn"]

    await eventually(withdrawn, "the recording has ended for that reason")
    # Later on, the call's page leads to it.
    await caller.hang_up()
    await callee.put_away_the_ended_call()
    await callee.hook("tab-recents").click()
    await callee.hook("open-call").click()
    await callee.hook("past-recording").click()
    await expect(callee.hook("title")).to_contain_text("Maya", timeout=PATIENCE)
    callee.forgive("frame is sandboxed")  # it does not run the instruments of these tests either


@pytest.mark.settings(recording_consent_timeout=5)
async def test_a_call_is_not_recorded_when_the_other_party_leaves_the_question_by_escape_or_does_not_answer(
    relay: RunningRelay, in_call: InCall
) -> None:
    caller, callee = await in_call()
    await caller.press_more("record")
    await callee.shows("consent-dialog")
    await callee.page.keyboard.press("Escape")
    await says(caller, "Not recorded", "Daniel does not want this call to be recorded.")
    await callee.hides("consent-dialog")
    await says(callee, "Not recorded", "You declined.")

    await caller.press_more("record")
    await callee.shows("consent-dialog")
    await expect(callee.hook("consent-left")).to_have_text(re.compile("counts as declined in 0:0[1-5]"), timeout=PATIENCE)
    await says(caller, "Not recorded", "Daniel did not answer in time.")
    await callee.hides("consent-dialog")
    await says(callee, "Not recorded", "You did not answer in time.")
    assert await ends(relay) == []
    assert await caller.state() == "connected"


@pytest.mark.settings(assemblers=0)
async def test_the_one_who_asks_may_take_the_question_back_and_a_device_that_takes_the_call_over_is_asked_anew(
    in_call: InCall, open_page: OpenPage[Any]
) -> None:
    caller, callee = await in_call()
    await callee.press_more("record")
    await caller.shows("consent-dialog")
    await callee.press("stop-recording")
    await caller.hides("consent-dialog")
    await says(callee, "Not recorded", "You took the request back.")
    await says(caller, "Not recorded", "Daniel took the request back.")

    await caller.press_more("record")
    await callee.shows("consent-dialog")
    await callee.crash()
    second = await open_page(RelayPage, TUTOR)
    await second.hook("take-over").click()
    await second.shows("consent-dialog")
    await says(caller, "Waiting for Daniel’s consent", "to record this call")
    await answer_by_keyboard(second, "Allow recording")
    await says(caller, "Recording", "you started it")
    await says(second, "Recording", "Maya started it")


@pytest.mark.settings(recording="off")
async def test_a_call_cannot_be_recorded_where_the_server_records_none(in_call: InCall) -> None:
    caller, _ = await in_call()
    await caller.press("more")
    await caller.shows("hold")
    await caller.hides("record")


async def test_a_call_with_a_client_that_cannot_show_it_cannot_be_recorded(relay: RunningRelay, open_page: OpenPage[Any]) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(Version1Page, TUTOR)
    await PagesInCall.connected(relay, "voice", caller, callee)
    await caller.reaches("connected")
    await caller.press("more")
    await caller.shows("hold")
    await caller.hides("record")


@pytest.mark.settings(recording="always", assemblers=0)
async def test_where_every_call_is_recorded_both_know_before_the_answer(relay: RunningRelay, open_page: OpenPage[Any]) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    await caller.call("voice")
    await callee.shows("will-be-recorded")
    await says(caller, "This call will be recorded", "by the service")
    await callee.accept()
    for page in (caller, callee):
        await says(page, "Recording", "by the service")
        await page.hides("stop-recording")
