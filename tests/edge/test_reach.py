"""The engine that is also reached over TCP."""

from functools import partial

from relay.edge.reach import MAX_UFRAGS, ReachableEngine, tcp_candidates
from relay.media.api import Candidate
from relay.media.engine import LocalEngine
from tests.kit.operations import lines_of

UDP = (Candidate("192.0.2.1", 40000), Candidate("2001:db8::1", 40000), Candidate("127.0.0.1", 40000))


def addresses(hosts: tuple[str, ...]) -> list[str]:
    found = tcp_candidates(UDP, hosts, 443)
    assert {(one.port, one.transport) for one in found} <= {(443, "tcp")}
    return [one.address for one in found]


def test_a_listener_on_every_address_is_offered_on_every_address() -> None:
    assert addresses(("0.0.0.0", "::")) == ["192.0.2.1", "2001:db8::1", "127.0.0.1"]


def test_a_listener_of_one_family_is_offered_in_that_family() -> None:
    assert addresses(("0.0.0.0",)) == ["192.0.2.1", "127.0.0.1"]
    assert addresses(("::",)) == ["2001:db8::1"]


def test_a_listener_on_one_address_is_offered_there() -> None:
    assert addresses(("127.0.0.1",)) == ["127.0.0.1"]
    assert addresses(("198.51.100.1",)) == []


async def test_without_a_listener_no_tcp_candidate_is_offered() -> None:
    media = LocalEngine(lambda _: None, hosts=["127.0.0.1"])
    await media.start()
    engine = ReachableEngine(media)
    before = await engine.open_transport("call", "one")
    engine.offer_tcp(("127.0.0.1",), 443)
    after = await engine.open_transport("call", "two")
    assert [one.transport for one in before.candidates] == ["udp"]
    assert [one.transport for one in after.candidates] == ["udp", "tcp"]
    await engine.close()


async def test_a_transport_is_found_by_its_latest_credentials_until_it_is_closed() -> None:
    media = LocalEngine(lambda _: None, hosts=["127.0.0.1"])
    [port] = await media.start()
    engine = ReachableEngine(media)
    ufrags = [(await engine.open_transport("call", "one")).ufrag]
    ufrags += [(await engine.restart_transport("one")).ufrag for _ in range(3)]
    assert [engine.port_of(one) for one in ufrags] == [None] * (len(ufrags) - MAX_UFRAGS) + [port] * MAX_UFRAGS
    other = (await engine.open_transport("call", "two")).ufrag
    await engine.close_transport("one")
    assert [engine.port_of(one) for one in ufrags] == [None] * len(ufrags)
    assert engine.port_of(other) == port
    await engine.close_router("call")
    assert engine.port_of(other) is None
    await engine.close()


async def test_nothing_is_kept_of_calls_that_have_ended() -> None:
    media = LocalEngine(lambda _: None, hosts=["127.0.0.1"])
    await media.start()
    engine = ReachableEngine(media)
    for number in range(20):
        await engine.open_transport(f"call {number}", f"transport {number}")
        await engine.close_router(f"call {number}")
    assert not (engine._ports or engine._ufrags or engine._routers)
    await engine.close()


async def test_closing_a_transport_costs_as_much_however_many_others_there_are() -> None:
    media = LocalEngine(lambda _: None, hosts=["127.0.0.1"])
    await media.start()
    engine = ReachableEngine(media)

    async def close_one(number: int) -> int:
        await engine.open_transport(f"call {number}", f"one {number}")
        await engine.open_transport(f"call {number}", f"two {number}")
        return await lines_of(partial(engine.close_transport, f"one {number}"))

    async def cost(first: int) -> int:
        """The least of three: the engine's timer, or a finalizer of the garbage collector, may run in between."""
        return min([await close_one(first + more) for more in range(3)])

    alone = await cost(1000)
    for number in range(200):
        await engine.open_transport(f"call {number}", f"other {number}")
    assert await cost(2000) == alone
    await engine.close()
