"""How much one connection may send within a second."""

from relay.edge.tcp.pace import Pace
from tests.edge.kit import RunningFront, limited
from tests.edge.tcp.test_arrival import BINDING
from tests.kit.media import connectivity_check


def test_so_many_are_admitted_until_the_next_second() -> None:
    one = Pace(100)
    assert [one.admits() for _ in range(102)] == [True] * 100 + [False, False]
    one.sweep()
    assert one.admits()


@limited(messages_per_second=50)
async def test_ice_tcp_that_floods_is_hung_up_on(front: RunningFront) -> None:
    relay = await front.transport()
    async with front.connected() as one:
        await one.check(relay)
        for _ in range(100):
            one.send_frame(bytes(connectivity_check(relay)))
        await one.rest()
    assert front.counters["refused_flood"] == 1
    assert front.counters["stream_packets_received"] <= 50


@limited(messages_per_second=50)
async def test_empty_frames_count_too(front: RunningFront) -> None:
    relay = await front.transport()
    async with front.connected() as one:
        await one.check(relay)
        one.send(bytes(2 * 100))
        assert await one.rest() == b""
    assert front.counters["refused_flood"] == 1


@limited(messages_per_second=50)
async def test_turn_that_floods_is_hung_up_on(front: RunningFront) -> None:
    async with front.connected() as one:
        one.send(BINDING + b"\x40\x00\x00\x00" * 100)
        await one.rest()
    assert front.counters["refused_flood"] == 1
