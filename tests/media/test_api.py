"""What the media plane says of where a peer is."""

import time

import pytest

from relay.media.api import Address, Route, TransportReport, TransportUp
from relay.media.quality.statistics import SNAPSHOT_INTERVAL
from tests.kit.media import IPV4, IPV6, RunningEngine
from tests.kit.wait import eventually

HERE: Address = ("192.0.2.1", 5000)


@pytest.mark.parametrize("host", [IPV4, IPV6])
async def test_a_transport_that_comes_up_reports_its_address(relay: RunningEngine, host: str) -> None:
    first, _ = await relay.call(first_host=host)
    up = await relay.says("TransportUp", first)
    assert isinstance(up, TransportUp)
    assert up.remote == first.path.address


async def test_a_report_says_where_the_peer_is_by_then(relay: RunningEngine) -> None:
    first, _ = await relay.call()
    first.path = first.another_path()
    await first.check()
    transport = relay.engine._transports["first"]
    await eventually(lambda: transport.destination.host_port == first.path.address, "the relay follows the peer")
    relay.events.clear()
    transport.tick(time.monotonic() + SNAPSHOT_INTERVAL)
    [report] = [one for one in relay.events if isinstance(one, TransportReport) and one.transport_id == "first"]
    assert report.remote == first.path.address


def test_where_a_peer_is_gets_into_no_log() -> None:
    assert HERE[0] not in repr(TransportUp("one", HERE))
    assert TransportUp("one", HERE) == TransportUp("one"), "what has happened is the same wherever the peer is"


def test_routes_have_an_order_to_be_shown_in() -> None:
    routes = [Route("udp", "ipv6"), Route("tcp", "ipv4"), Route("udp", "ipv4")]
    assert sorted(routes) == [routes[1], routes[2], routes[0]]
