"""Connections that break in mid-call: the WebSocket alone, and the page with everything that it has."""

from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from tests.browser.calls import A_SECOND, PagesInCall
from tests.browser.conftest import CONVERSATIONS, OpenPage
from tests.browser.pages import PATIENCE, STUDENT, TUTOR, RelayPage
from tests.kit.cuttable import HERE, CuttablePath
from tests.kit.server import RunningRelay, running_relay
from tests.kit.wait import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

IN_VAIN = ("net::ERR_", "WebSocket connection to")
"""A browser writes to its console whenever it could not connect."""


def port_of(relay: RunningRelay) -> int:
    return int(relay.url.rpartition(":")[2])


async def test_video_goes_on_without_a_websocket_and_texts_arrive_when_it_is_back(relay: RunningRelay, browser: Browser) -> None:
    async with (
        CuttablePath.to(port_of(relay)) as path,
        RelayPage.used_by(browser, f"http://{HERE}:{path.port}", STUDENT, *CONVERSATIONS[STUDENT]) as caller,
        RelayPage.used_by(browser, relay.url, TUTOR, *CONVERSATIONS[TUTOR]) as callee,
    ):
        call = await PagesInCall.connected(relay, "video", caller, callee)
        await call.media_flows()
        await caller.write("before")
        await callee.reads("before")
        await call.video_goes_on(1)
        await caller.page.evaluate("window.first = relayCall.peerConnection")

        async with call.uninterrupted():
            path.cut()
            await caller.connection_is("reconnecting")
            await caller.write("from the one who is away")
            await expect(caller.hook("chat-entry").last).to_have_attribute("data-state", "pending", timeout=PATIENCE)
            await callee.write("to the one who is away")
            await caller.press("mute")
            await call.video_goes_on(5 * A_SECOND)
        assert await caller.state() == "connected"
        path.mend()

        await caller.connection_is("online")
        await caller.reads("before", "from the one who is away", "to the one who is away")
        await callee.reads("before", "to the one who is away", "from the one who is away")
        await callee.shows("other-muted")
        assert await caller.page.evaluate("first === relayCall.peerConnection"), "the audio never stopped either"
        await call.video_goes_on(10)
        await caller.hang_up()
        await callee.shows("ended-card")
        caller.forgive(*IN_VAIN)
    row = await relay.finished_call()
    assert (row["status"], row["end_reason"]) == ("ended", "hangup")


async def test_a_call_that_is_hung_up_while_off_line_ends_when_the_page_is_back(relay: RunningRelay, browser: Browser) -> None:
    async with (
        CuttablePath.to(port_of(relay)) as path,
        RelayPage.used_by(browser, f"http://{HERE}:{path.port}", STUDENT, *CONVERSATIONS[STUDENT]) as caller,
        RelayPage.used_by(browser, relay.url, TUTOR, *CONVERSATIONS[TUTOR]) as callee,
    ):
        call = await PagesInCall.connected(relay, "voice", caller, callee)
        await call.media_flows()
        path.cut()
        await caller.connection_is("reconnecting")
        await caller.hang_up()
        await caller.shows("ended-card")
        path.mend()
        await callee.shows("ended-card")
        caller.forgive(*IN_VAIN)
    row = await relay.finished_call()
    assert (row["status"], row["end_reason"]) == ("ended", "hangup")


async def test_a_page_that_is_loaded_anew_while_it_rings_rings_again(relay: RunningRelay, open_page: OpenPage[RelayPage]) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    await caller.call("voice")
    await callee.ringing()
    await callee.page.reload()
    await callee.ringing()
    await callee.accept()
    call = PagesInCall(relay, "voice", caller, callee)
    await call.media_flows()
    await caller.hang_up()
    await callee.shows("ended-card")


@pytest.mark.settings(token_lifetime=4.0, jwt_leeway=5.0)
async def test_a_call_goes_on_when_the_sign_in_has_to_be_renewed(relay: RunningRelay, open_page: OpenPage[RelayPage]) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    call = await PagesInCall.connected(relay, "video", caller, callee)
    await call.media_flows()
    async with call.uninterrupted():
        await caller.connection_is("reconnecting")
        await caller.connection_is("online")
        await callee.write("still there?")
        await caller.reads("still there?")
        await call.video_goes_on(20)
    await caller.hang_up()
    await callee.shows("ended-card")
    for page in (caller, callee):
        page.forgive("401 (Unauthorized)", *IN_VAIN)


async def test_a_page_comes_back_at_another_server_when_its_own_drains_and_is_called_there(
    browser: Browser, no_errors_logged: None, tmp_path: Path
) -> None:
    """The load balancer leads new connections to the other one."""
    shared = {"jwt_secret": "s" * 32, "service_token": "t" * 32}
    async with (
        running_relay(tmp_path, **shared) as first,
        running_relay(tmp_path, **shared, node="second", journal=str(tmp_path / "second.journal")) as second,
        CuttablePath.to(port_of(first)) as path,
        RelayPage.used_by(browser, f"http://{HERE}:{path.port}", STUDENT, *CONVERSATIONS[STUDENT]) as callee,
        RelayPage.used_by(browser, second.url, TUTOR, *CONVERSATIONS[TUTOR]) as caller,
    ):
        assert (await first.counters())["relay_devices"] == 1
        path.lead_to(port_of(second))
        platform = {"Authorization": f"Bearer {shared['service_token']}"}
        async with aiohttp.ClientSession() as http:
            response = await http.post(f"{first.url}/api/admin/drain", json={"seconds": 60}, headers=platform)
            assert response.status == 202

        async def has_moved() -> bool:
            return [(await one.counters())["relay_devices"] for one in (first, second)] == [0, 2]

        await eventually(has_moved, "the page is at the other server")
        await callee.connection_is("online")
        call = await PagesInCall.connected(second, "voice", caller, callee)
        await call.media_flows()
        await caller.hang_up()
        await callee.shows("ended-card")
        assert (await second.finished_call())["end_reason"] == "hangup"
