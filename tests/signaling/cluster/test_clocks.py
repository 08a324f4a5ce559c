"""A call goes on at a node whose clock is another."""

import asyncio
from datetime import timedelta

import pytest

from tests.signaling.cluster.test_death import asked_to_rejoin, die, rejoin
from tests.signaling.cluster.test_outages import come_back
from tests.signaling.cluster.town import Town, in_town
from tests.signaling.harness import MemoryHarness, VirtualClock
from tests.signaling.people import HANG_UP, STUDENT, TUTOR


def set_clock(town: Town, node: MemoryHarness, seconds: float) -> None:
    """Set the wall's clock of a node so much ahead of all others, which the engine's clock agrees with."""
    clock = node.calls._context.clock
    assert isinstance(clock, VirtualClock)
    clock.ahead = town.bus.nodes[node.cluster.me].clock_ahead = seconds


@in_town
@pytest.mark.parametrize("seconds", [-10.0, 10.0])
async def test_a_call_lasts_as_long_as_it_did_if_the_clock_of_the_next_node_is_another(town: Town, seconds: float) -> None:
    set_clock(town, town.c, seconds)
    caller, callee = await town.connected(town.b, town.c)
    assert town.owner(STUDENT) is town.b
    [row] = await town.rows()
    answered_at = row.answered_at
    await asyncio.sleep(20)
    await die(town, town.b)
    back = await come_back(town, caller, town.a)
    for one in sorted((back, callee), key=asked_to_rejoin, reverse=True):
        await rejoin(town, one)
    await town.media_up(STUDENT, TUTOR)
    await asyncio.sleep(10)
    await town.say(callee, HANG_UP)
    [row] = await town.rows()
    assert (row.owner_epoch, row.answered_at) == (town.c.cluster.me.incarnation, answered_at)
    assert row.duration_seconds == 40
    assert row.answered_at is not None and row.ended_at is not None
    assert timedelta(seconds=40) <= row.ended_at - row.answered_at < timedelta(seconds=41)
