"""A call is transferred to a third party if the party to be transferred agrees."""

import pytest
from playwright.async_api import expect

from tests.browser.calls import PagesInCall
from tests.browser.conftest import CONVERSATIONS, OpenPage
from tests.browser.pages import PARENT, PATIENCE, STUDENT, TUTOR, RelayPage
from tests.kit.axe import violations_at_both_ends
from tests.kit.server import RunningRelay

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_the_call_goes_on_if_a_transfer_is_refused_and_the_page_calls_its_target_once_its_user_has_agreed(
    relay: RunningRelay, open_page: OpenPage[RelayPage]
) -> None:
    student, tutor, parent = [await open_page(RelayPage, key) for key in (STUDENT, TUTOR, PARENT)]
    call = await PagesInCall.connected(relay, "video", student, tutor)
    await call.media_flows()

    async def asked(*, chosen_before: bool) -> None:
        """The tutor would like the parent to take over."""
        await tutor.press_more("transfer")
        await expect(tutor.hook(f"transfer-to-{PARENT}")).to_be_enabled(timeout=PATIENCE)
        if not chosen_before:
            assert await violations_at_both_ends(tutor.page) == []
        await tutor.hook(f"transfer-to-{PARENT}").click()
        await tutor.shows("transferring")
        await student.shows("transfer-request")

    await asked(chosen_before=False)
    assert await violations_at_both_ends(student.page) == []
    await student.hook("transfer-refuse").click()
    await student.hides("transfer-request")
    await tutor.hears("would rather stay")
    await tutor.hides("transferring")
    await call.video_goes_on(20)

    await asked(chosen_before=True)
    await student.hook("transfer-accept").click()
    assert "transferred" in await tutor.said()
    await parent.ringing()
    await parent.accept()
    call = PagesInCall(relay, "video", student, parent)
    await call.video_goes_on(20)
    await student.hang_up()
    await parent.shows("ended-card")
    rows = await relay.finished_calls(2)
    assert [row["end_reason"] for row in rows] == ["transferred", "hangup"]
    assert rows[0]["conversation_id"] == CONVERSATIONS[STUDENT][1]
