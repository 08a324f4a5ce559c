"""Video calls over paths that lose packets, between browsers that ask for them again."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from relay.recording.assemble import assemble
from tests.browser.calls import A_SECOND, PagesInCall, Record
from tests.browser.conftest import CONVERSATIONS
from tests.browser.pages import STUDENT, TUTOR, LargeVideoPage
from tests.kit.impair import ImpairedPath
from tests.kit.recorded import NOTE_FRAMES, finished_capture, missing_frames
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


@pytest.mark.settings(media_host=HERE, recording="always", assemblers=0)
async def test_video_goes_on_over_paths_that_lose_one_packet_in_twenty_and_the_recording_has_all_that_was_shown(
    relay: RunningRelay, browser: Browser, record_property: Record, tmp_path: Path
) -> None:
    async with video_call(browser, relay, loss=0.05) as call:
        for page in (call.caller, call.callee):
            await page.page.evaluate(NOTE_FRAMES)
        both = await call.video_goes_on(6 * A_SECOND)
        counted = await relay.counters()
        assert counted["relay_media_packets_resent_total"] > 0
        assert min(one.nacks for one in both) > 0
        shown = [await page.page.evaluate("shownFrames") for page in (call.callee, call.caller)]
        await call.caller.hang_up()
    capture = await finished_capture(tmp_path / "recordings")
    result = assemble(capture, tmp_path / "assembled")
    for frames, party in zip(shown, "AB", strict=True):
        assert missing_frames(frames, result.folder / f"{party}.webm", capture) == []
    for name, one in zip(("caller", "callee"), both, strict=True):
        record_property(f"5 % loss: frames decoded at the {name}", one.frames_decoded)
        record_property(f"5 % loss: freezes at the {name}", one.freezes)
        record_property(f"5 % loss: packets that the {name} asked for again", one.nacks)
        record_property(f"5 % loss: the {name}'s estimate of its bandwidth [Mbit/s]", round(one.estimate / 1e6, 2))
    record_property("5 % loss: packets resent by the relay", int(counted["relay_media_packets_resent_total"]))
    record_property("5 % loss: requests answered by the relay alone", int(counted["relay_media_nacks_answered_total"]))


async def test_no_packet_is_retransmitted_over_a_path_without_loss(relay: RunningRelay, browser: Browser) -> None:
    async with video_call(browser, relay, loss=0.0) as call:
        await call.media_flows()
        both = await call.video_goes_on(5 * A_SECOND)
        assert [one.nacks for one in both] == [0, 0]
        assert (await relay.counters())["relay_media_packets_resent_total"] == 0
