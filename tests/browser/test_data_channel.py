"""Data channels between pages cross the relay beside audio and video."""

from random import Random

import pytest

from tests.browser.calls import PagesInCall, Record
from tests.browser.conftest import OpenPage
from tests.browser.pages import STUDENT, TUTOR, DataPage
from tests.kit.server import RunningRelay

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_text_and_a_hundred_kilobytes_cross_both_ways_beside_a_video_call(
    relay: RunningRelay, open_page: OpenPage[DataPage], record_property: Record
) -> None:
    caller, callee = await open_page(DataPage, STUDENT), await open_page(DataPage, TUTOR)
    call = await PagesInCall.connected(relay, "video", caller, callee)
    await call.media_flows()
    for sender, receiver in ((caller, callee), (callee, caller)):
        large = Random(1).randbytes(100_000)
        await sender.send("0123456789")
        await sender.send(large)
        assert await receiver.receive() == "0123456789"
        assert await receiver.receive() == large
    await call.video_goes_on(1)
    counted = await relay.counters()
    assert counted["relay_media_data_messages_total"] > 2 * 100_000 / 1_500, "all went through the relay, packet by packet"
    record_property("data channel: packets that waited for the other party", counted["relay_media_data_held_total"])
    assert counted["relay_media_data_dropped_total"] == 0
    assert counted["relay_media_dtls_overflow_total"] == 0


LISTEN = """
() => {
  window.theirs = [];
  window.heard = [];
  versionOne.peerConnection.addEventListener("datachannel", ({ channel }) => {
    window.theirs.push(channel);
    channel.addEventListener("message", ({ data }) => window.heard.push(`${channel.label}: ${data}`));
  });
}
"""

OPEN_ANOTHER = """
(name) => {
  window.mine = versionOne.peerConnection.createDataChannel(`of the ${name}`);
  window.mine.addEventListener("open", () => window.mine.send(`from the ${name}`));
}
"""


async def test_two_pages_that_each_open_a_channel_have_two(relay: RunningRelay, open_page: OpenPage[DataPage]) -> None:
    """The DTLS client takes even ids and the server odd ones (RFC 8832 section 6): two clients would take the same."""
    caller, callee = await open_page(DataPage, STUDENT), await open_page(DataPage, TUTOR)
    call = await PagesInCall.connected(relay, "voice", caller, callee)
    for page in (caller, callee):
        await page.page.evaluate(LISTEN)
    for page, name in ((caller, "caller"), (callee, "callee")):
        await page.page.evaluate(OPEN_ANOTHER, name)
    for page, other in ((caller, "callee"), (callee, "caller")):
        await page.page.wait_for_function("() => window.heard.length > 0")
        assert await page.page.evaluate("window.theirs.map((channel) => channel.label)") == [f"of the {other}"]
        assert await page.page.evaluate("window.heard") == [f"of the {other}: from the {other}"]
    ids = [await page.page.evaluate("window.mine.id") for page in (caller, callee)]
    assert sorted(one % 2 for one in ids) == [0, 1]
    await call.media_flows()
    counted = await relay.counters()
    assert counted["relay_media_data_dropped_total"] == 0
