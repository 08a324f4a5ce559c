"""A video call between two pages of the project."""

import pytest

from tests.browser.calls import A_SECOND, PagesInCall, Record
from tests.browser.conftest import OpenPage
from tests.browser.pages import STUDENT, TUTOR, LargeVideoPage
from tests.kit.server import RunningRelay

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_two_pages_see_and_hear_each_other_until_the_caller_hangs_up(
    relay: RunningRelay, open_page: OpenPage[LargeVideoPage], record_property: Record
) -> None:
    caller, callee = await open_page(LargeVideoPage, STUDENT), await open_page(LargeVideoPage, TUTOR)
    call = await PagesInCall.connected(relay, "video", caller, callee)
    for page in (caller, callee):
        for part in ("call-screen", "remote-video", "local-video", "call-timer", "mute", "camera", "end"):
            await page.shows(part)
    await call.media_flows()
    await call.video_goes_on(5 * A_SECOND)
    await call.report_first_frames(record_property)
    await call.hang_up(caller, record_property)
    for page in (caller, callee):
        await page.shows("ended-card")
