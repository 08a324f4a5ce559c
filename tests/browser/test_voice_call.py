"""A voice call between two pages of the project."""

import pytest

from tests.browser.calls import PagesInCall, Record
from tests.browser.conftest import OpenPage
from tests.browser.pages import STUDENT, TUTOR, RelayPage
from tests.kit.axe import violations_at_both_ends
from tests.kit.server import RunningRelay

WIDENED = "(face) => new DOMMatrix(getComputedStyle(face, '::before').transform).a > 1.05"

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_two_pages_hear_each_other_until_the_callee_hangs_up(
    relay: RunningRelay, open_page: OpenPage[RelayPage], record_property: Record
) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    call = await PagesInCall.connected(relay, "voice", caller, callee)
    for page in (caller, callee):
        for part in ("call-screen", "call-timer", "mute", "end"):
            await page.shows(part)
    await call.media_flows()
    # The ring around the other's face is as wide as the voice is loud: Chromium's microphone beeps.
    await caller.page.wait_for_function(f"() => ({WIDENED})(document.querySelector('.call__persona'))")
    assert await violations_at_both_ends(caller.page) == []
    await call.hang_up(callee, record_property)
    for page in (caller, callee):
        await page.shows("ended-card")
