"""Key frames in a call between two Chromiums with their default codecs, which wrap video in RED."""

import pytest

from relay.media.quality.statistics import StreamStatistics
from tests.browser.calls import PagesInCall
from tests.browser.conftest import OpenPage
from tests.browser.pages import STUDENT, TUTOR, RelayPage
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

VIDEO = """async (connection) => {
  const report = [...(await connection.getStats()).values()];
  const find = (type) => report.find((entry) => entry.type === type && entry.kind === "video") ?? {};
  const [seen, shown] = [find("inbound-rtp"), find("outbound-rtp")];
  const asked = (seen.pliCount ?? 0) + (seen.firCount ?? 0);
  return { decoded: seen.framesDecoded ?? 0, asked, was_asked: shown.pliCount ?? 0 };
}"""


async def video(page: RelayPage) -> dict[str, int]:
    """Frames decoded, key frames that this page has requested, and that were requested of it."""
    return dict(await page.page.evaluate(f"({VIDEO})({page.connection})"))


async def test_the_relay_requests_key_frames_after_a_hold_before_the_browsers_do(
    relay: RunningRelay, open_page: OpenPage[RelayPage], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    count = StreamStatistics.keyframe

    def keyframe(stream: StreamStatistics, timestamp: int) -> None:
        counted.append(stream.ssrc)
        count(stream, timestamp)

    monkeypatch.setattr(StreamStatistics, "keyframe", keyframe)
    pages = [await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)]
    call = await PagesInCall.connected(relay, "video", *pages)
    await call.media_flows()
    assert len(set(counted)) == 2, "the first key frame of either camera is counted"

    await pages[0].press_more("hold")
    await pages[1].page.get_by_test_id("call-status").filter(has_text="has put the call on hold").wait_for()

    async def still() -> list[dict[str, int]] | None:
        before = [await video(page) for page in pages]
        await pages[0].page.wait_for_timeout(500)
        return before if before == [await video(page) for page in pages] else None

    before = await eventually(still, "no frames arrive")
    counted.clear()
    await pages[0].press("resume")

    # A decoder that this machine gave no time to may still have frames from before the hold.
    await eventually(lambda: len(set(counted)) == 2, "the key frames that come are counted")

    async def moves() -> list[dict[str, int]] | None:
        now = [await video(page) for page in pages]
        return now if all(one["decoded"] > old["decoded"] + 5 for one, old in zip(now, before, strict=True)) else None

    after = await eventually(moves, "frames arrive again")
    assert [one["asked"] for one in after] == [one["asked"] for one in before], "neither browser had to ask for a key frame"
    assert all(one["was_asked"] > old["was_asked"] for one, old in zip(after, before, strict=True)), "the relay asked for it"
    assert (await relay.counters())["relay_media_keyframes_requested_total"] >= 2
