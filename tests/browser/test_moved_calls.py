"""A node of a cluster stops during a video call between two pages: it goes on at another node, and neither page sees a gap."""

import asyncio
from typing import Final

import pytest

from tests.browser.calls import Record
from tests.browser.test_lost_nodes import CallAcross, Death, call, cluster, ends, firefox, nodes, postgresql, shared_redis
from tests.kit.browsers import LOOK
from tests.kit.wait import eventually
from tests.lab.pages import FRAME_GAPS

__all__ = ["call", "cluster", "firefox", "nodes", "postgresql", "shared_redis"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.servers,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("deaths of nodes"),
]

PHASES: Final = """() => {
  window.phases = [];
  const look = () => { const now = relayCall.state; if (phases.at(-1) !== now) phases.push(now); };
  setInterval(look, 20);
}"""

FORMER: Final = """() => {
  window.former = relayCall.peerConnection;
  const close = former.close.bind(former);
  former.close = () => { window.closedWhen ??= relayCall.peerConnection.connectionState; close(); };
}"""


@pytest.mark.parametrize("death", [Death("owner"), Death("owner", caller="firefox")], ids=["Chromium", "Firefox and Chromium"])
async def test_a_video_call_goes_on_without_a_gap_when_its_node_stops(call: CallAcross, record_property: Record) -> None:
    await call.media_goes_on()
    owner = await call.owner()
    for page in call.pages:
        await page.run(FRAME_GAPS)
        await page.run(PHASES)
        await page.run(FORMER)
    owner.drain()

    async def moved() -> bool:
        return all([await page.run("() => relayCall.peerConnection !== former") for page in call.pages])

    await eventually(moved, lambda: f"the call is elsewhere: {owner.log[-2000:]}", every=LOOK)
    await asyncio.wait_for(owner.process.wait(), 60)
    await call.media_goes_on()
    gaps = [await page.run("() => frameGaps.longest") for page in call.pages]
    phases = [await page.run("() => phases") for page in call.pages]
    record_property("longest gap in the video when its node stopped [ms]", [round(gap) for gap in gaps])
    assert phases == [["connected"], ["connected"]]
    closed = [await page.run("() => closedWhen") for page in call.pages]
    assert closed == ["connected", "connected"], "the next peer connection was there before the former one ended"
    await ends(call)
