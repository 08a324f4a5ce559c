"""Two calls whose media two processes forward, one of which dies."""

import os
import signal

import pytest
from playwright.async_api import Browser

from tests.browser.calls import A_SECOND, PagesInCall
from tests.browser.conftest import CONVERSATIONS
from tests.browser.pages import ADVERTISER, PARENT, STUDENT, TUTOR, RelayPage, Version1Page
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

pytestmark = [
    pytest.mark.browser,
    pytest.mark.alone,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.settings(workers=2),
]


@pytest.fixture
def no_errors_logged() -> None:
    """The death of a worker is an error, and logged as one."""


async def media_port(call: PagesInCall) -> int:
    """The relay's, which is the same for both pages."""
    caller, callee = await call.statistics()
    assert caller.remote[1] == callee.remote[1]
    return caller.remote[1]


async def test_a_worker_that_dies_ends_its_own_call_and_no_other(relay: RunningRelay, browser: Browser) -> None:
    conversation = await relay.new_conversation(PARENT, ADVERTISER)
    async with (
        RelayPage.used_by(browser, relay.url, STUDENT, *CONVERSATIONS[STUDENT]) as student,
        Version1Page.used_by(browser, relay.url, TUTOR, *CONVERSATIONS[TUTOR]) as tutor,
        RelayPage.used_by(browser, relay.url, PARENT, ADVERTISER, conversation) as parent,
        RelayPage.used_by(browser, relay.url, ADVERTISER, PARENT, conversation) as advertiser,
    ):
        doomed = await PagesInCall.connected(relay, "video", student, tutor)
        other = await PagesInCall.connected(relay, "video", parent, advertiser)
        await doomed.video_goes_on(1)
        await other.video_goes_on(1)
        ports = await media_port(doomed), await media_port(other)
        assert set(ports) == set(relay.media_ports), "each worker has one of the calls"

        async with other.uninterrupted():
            [victim] = (one.pid for one, port in zip(relay.workers, relay.media_ports, strict=True) if port == ports[0])
            assert victim is not None
            os.kill(victim, signal.SIGKILL)
            await tutor.reaches("ended")
            assert await tutor.reasons_of_ends() == ["worker_lost"]
            await student.shows("ended-card")
            await other.video_goes_on(3 * A_SECOND)

        await eventually(lambda: all(one.pid not in (None, victim) for one in relay.workers), "the worker is replaced")
        await student.put_away_the_ended_call()
        again = await PagesInCall.connected(relay, "video", student, tutor)
        await again.video_goes_on(1)
        assert await media_port(again) != ports[1], "the worker with the fewest calls has this one"
        await student.hang_up()
        await parent.hang_up()
    rows = await relay.finished_calls(3)
    assert {row["status"] for row in rows} == {"ended"}
    assert [row["end_reason"] for row in rows] == ["worker_lost", "hangup", "hangup"]
