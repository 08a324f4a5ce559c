"""How much one connection may send within a second."""

from relay.edge.tcp.pace import Pace
from tests.edge.kit import RunningEdge, limited
from tests.edge.tcp.test_arrival import BINDING
from tests.kit.media import connectivity_check


def test_so_many_are_admitted_until_the_next_second() -> None:
    one = Pace(100)
    assert [one.admits() for _ in range(102)] == [True] * 100 + [False, False]
    one.sweep()
    assert one.admits()


@limited(messages_per_second=50)
async def test_ice_tcp_that_floods_is_hung_up_on(edge: RunningEdge) -> None:
    relay = await edge.transport()
    async with edge.connected() as one:
        await one.check(relay)
        for _ in range(100):
            one.send_frame(bytes(connectivity_check(relay)))
        await one.rest()
    assert edge.counters["refused_flood"] == 1
    assert edge.counters["stream_packets_received"] <= 50


@limited(messages_per_second=50)
async def test_empty_frames_count_too(edge: RunningEdge) -> None:
    relay = await edge.transport()
    async with edge.connected() as one:
        await one.check(relay)
        one.send(bytes(2 * 100))
        assert await one.rest() == b""
    assert edge.counters["refused_flood"] == 1


@limited(messages_per_second=50)
async def test_turn_that_floods_is_hung_up_on(edge: RunningEdge) -> None:
    async with edge.connected() as one:
        one.send(BINDING + b"\x40\x00\x00\x00" * 100)
        await one.rest()
    assert edge.counters["refused_flood"] == 1
