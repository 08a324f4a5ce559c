"""A call goes on, whatever becomes of its path and its pages: one call, from test to test."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser.calls import A_SECOND, PagesInCall
from tests.browser.conftest import call_of_a_module
from tests.browser.pages import RelayPage
from tests.kit.wait import eventually

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("a call that goes on"),
    pytest.mark.usefixtures("no_errors_logged"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def call(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PagesInCall]:
    async with call_of_a_module(browser, tmp_path_factory.mktemp("relay")) as call:
        yield call
    row = await call.relay.finished_call()
    assert (row["status"], row["end_reason"]) == ("ended", "hangup"), "it was one call to the end"


async def test_a_path_that_breaks_is_found_anew(call: PagesInCall, callee: RelayPage) -> None:
    credentials = "/a=ice-ufrag:(.*)/.exec(relayCall.peerConnection.currentRemoteDescription.sdp)[1]"
    before = await callee.page.evaluate(credentials)
    await callee.page.evaluate("dispatchEvent(new Event('online'))")

    async def restarted() -> bool:
        return bool(await callee.page.evaluate(credentials) != before)

    await eventually(restarted, "the page has asked for another path")
    await call.video_goes_on(2 * A_SECOND)
    assert await callee.state() == "connected"


async def test_a_tab_that_is_duplicated_is_a_device_of_its_own(call: PagesInCall, callee: RelayPage) -> None:
    # What "Duplicate tab" does: the same address, with a copy of what the tab remembers.
    memory = await callee.page.evaluate("JSON.stringify(sessionStorage)")
    copy = RelayPage(await callee.page.context.new_page())
    await copy.page.add_init_script(f"if (!sessionStorage.length) Object.assign(sessionStorage, {memory})")
    await copy.page.goto(f"{call.relay.url}/")
    await copy.connection_is("online")
    assert await copy.state() == "idle", "the call stays with the tab that has it"
    await callee.connection_is("online")
    await call.video_goes_on(20)
    assert not copy.problems
    await copy.close()


async def test_a_page_that_is_loaded_anew_rejoins_its_call(call: PagesInCall, caller: RelayPage, callee: RelayPage) -> None:
    name = await callee.page.evaluate("relayCall.callId")
    said: list[str] = []
    for page, other in ((caller, callee), (callee, caller)):
        said.append("I will be right back")
        await page.write(said[-1])
        await other.reads(*said)

        await page.page.reload()
        await page.shows("call-screen")
        await page.reaches("connected")
        await other.reaches("connected")
        assert await page.page.evaluate("relayCall.callId") == name
        await call.video_goes_on(2 * A_SECOND)
        for one in (page, other):
            await one.shows("remote-video")
            await one.hides("ended-card")
        await page.reads(*said)
        said.append("here I am again")
        await page.write(said[-1])
        await other.reads(*said)
