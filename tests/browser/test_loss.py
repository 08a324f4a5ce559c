"""Video calls over paths that lose packets, between browsers that ask for them again."""

import contextlib
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from tests.browser.calls import A_SECOND, PagesInCall, Record
from tests.browser.conftest import CONVERSATIONS
from tests.browser.pages import STUDENT, TUTOR, LargeVideoPage
from tests.kit.impair import ImpairedPath
from tests.kit.server import RunningRelay

HERE = "127.0.0.1"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.alone,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.settings(media_host=HERE),
]


@contextlib.asynccontextmanager
async def video_call(browser: Browser, relay: RunningRelay, loss: float) -> AsyncIterator[PagesInCall]:
    """A call whose media is lost on its way between either page and the relay, in both directions."""
    [port] = relay.media_ports
    async with (
        ImpairedPath.to((HERE, port), seed=1, loss=loss) as path,
        LargeVideoPage.used_by(browser, relay.url, STUDENT, *CONVERSATIONS[STUDENT], media_at=path.address) as caller,
        LargeVideoPage.used_by(browser, relay.url, TUTOR, *CONVERSATIONS[TUTOR], media_at=path.address) as callee,
    ):
        call = await PagesInCall.connected(relay, "video", caller, callee)
        for one in await call.statistics():
            assert one.remote == path.address
        yield call
        assert path.delivered < path.taken or not loss


async def test_video_goes_on_over_paths_that_lose_one_packet_in_twenty(
    relay: RunningRelay, browser: Browser, record_property: Record
) -> None:
    async with video_call(browser, relay, loss=0.05) as call:
        both = await call.video_goes_on(5 * A_SECOND)
        counted = await relay.counters()
        assert counted["relay_media_packets_resent_total"] > 0
        assert min(one.nacks for one in both) > 0
    for name, one in zip(("caller", "callee"), both, strict=True):
        record_property(f"5 % loss: frames decoded at the {name}", one.frames_decoded)
        record_property(f"5 % loss: freezes at the {name}", one.freezes)
        record_property(f"5 % loss: packets that the {name} asked for again", one.nacks)
        record_property(f"5 % loss: the {name}'s estimate of its bandwidth [Mbit/s]", round(one.estimate / 1e6, 2))
    record_property("5 % loss: packets resent by the relay", int(counted["relay_media_packets_resent_total"]))
    record_property("5 % loss: requests answered by the relay alone", int(counted["relay_media_nacks_answered_total"]))


async def test_no_packet_is_retransmitted_over_a_path_without_loss(relay: RunningRelay, browser: Browser) -> None:
    async with video_call(browser, relay, loss=0.0) as call:
        await call.media_flows(frames=5 * A_SECOND)
        both = await call.statistics()
        assert [one.nacks for one in both] == [0, 0]
        assert (await relay.counters())["relay_media_packets_resent_total"] == 0
