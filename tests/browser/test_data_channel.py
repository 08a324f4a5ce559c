"""Data channels between pages cross the relay beside their sound and pictures."""

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
    record_property("data channel: packets that waited in vain for the other party", counted["relay_media_data_dropped_total"])
    assert counted["relay_media_dtls_overflow_total"] == 0
