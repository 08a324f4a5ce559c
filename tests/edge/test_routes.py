"""From the address that the media plane sees to the way that the media takes."""

import pytest

from relay.edge.edge import Edge
from relay.edge.reach import ReachableEngine
from relay.edge.routes import route_of
from relay.ip import family_of
from relay.media.api import Route
from relay.media.engine import LocalEngine
from relay.settings.edge import EdgeSettings
from relay.settings.turn import TurnSettings
from tests.edge.kit import RunningEdge
from tests.edge.test_turn import allocation
from tests.kit.media import connectivity_check
from tests.kit.wait import eventually


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "127.0.0.1", "127.63.255.255", "127.128.0.0"])
def test_a_peer_with_an_address_of_its_own_comes_by_udp(host: str) -> None:
    route = route_of((host, 5000), lambda _: pytest.fail("no stream has that address"))
    assert route == Route("udp", family_of(host))


@pytest.mark.parametrize("host", ["127.64.0.1", "127.64.200.3", "127.127.255.255"])
def test_a_peer_with_a_tunnel_address_comes_by_the_transport_that_the_edge_names(host: str) -> None:
    expected = Route("turn-tls", "ipv6")
    packed = bytes(int(part) for part in host.split("."))
    assert route_of((host, 5000), lambda stream: expected if stream == packed else None) == expected
    assert route_of((host, 5000), lambda _: None) is None, "the stream has just gone"


async def test_the_edge_knows_an_ice_tcp_connection_as_long_as_it_is_open(edge: RunningEdge) -> None:
    relay = await edge.transport()
    async with edge.connected() as one:
        await one.check(relay)
        seen_at = edge.media._transports["one"].destination.host_port
        assert edge.edge.route_of(seen_at) == Route("tcp", "ipv4")
    await eventually(lambda: edge.edge.route_of(seen_at) is None, "the connection is forgotten")


@pytest.mark.parametrize("way", ["udp", "tcp", "tls"])
async def test_the_edge_knows_how_a_client_reaches_turn(secure: RunningEdge, way: str) -> None:
    relay = await secure.transport()
    async with allocation(secure, way) as (transport, heard):
        transport.sendto(bytes(connectivity_check(relay)), (relay.candidates[0].address, relay.candidates[0].port))
        await eventually(lambda: heard.datagrams, "the check is answered")
        seen_at = secure.media._transports["one"].destination.host_port
        assert secure.edge.route_of(seen_at) == Route(f"turn-{way}", "ipv4")  # type: ignore[arg-type]


async def test_an_edge_that_serves_nothing_knows_peers_that_come_by_udp() -> None:
    edge = Edge(EdgeSettings(), TurnSettings(), ReachableEngine(LocalEngine(lambda _: None)), lambda: ())
    assert edge.route_of(("192.0.2.1", 5000)) == Route("udp", "ipv4")
    assert edge.route_of(("127.64.0.1", 5000)) is None
