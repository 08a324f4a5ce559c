"""A server that is to stop, in virtual time."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.signaling.calls.draining import COME_BACK, SPREAD, TICK, share
from tests.signaling.harness import MemoryHarness, in_memory
from tests.signaling.people import (
    AGREE,
    HANG_UP,
    PARENT,
    STUDENT,
    TO_PARENT,
    TUTOR,
    Client,
    answer,
    error,
    frame,
    invitation,
)

LIMIT = 60.0
SOON = 2 * TICK


def sent_away(*clients: Client) -> list[bool]:
    return [one.connection is not None and one.connection.closed == COME_BACK for one in clients]


async def leave(harness: MemoryHarness, *clients: Client) -> None:
    """Those that were sent away are gone."""
    for one in clients:
        if one.connection is not None and one.connection.closed is not None:
            await harness.lose(one)


@in_memory
async def test_a_server_without_calls_and_clients_is_drained_at_once(harness: MemoryHarness) -> None:
    harness.calls.draining.begin(LIMIT)
    await asyncio.sleep(0.01)
    assert harness.calls.draining.drained.is_set()


@pytest.mark.parametrize("version", [1, 2])
@in_memory
async def test_clients_without_a_call_are_sent_away_evenly(harness: MemoryHarness, version: int) -> None:
    clients = [await harness.connect(STUDENT, version) for _ in range(200)]
    harness.calls.draining.begin(LIMIT)
    away = [0]
    for _ in range(int(SPREAD)):
        await asyncio.sleep(1)
        away.append(sum(sent_away(*clients)) + sum(one.connection is None for one in clients))
        await leave(harness, *clients)
    assert away[-1] == 200
    assert all(15 <= later - before <= 25 for before, later in pairwise(away)), f"{away} after 0, 1, 2… s"
    await asyncio.sleep(SOON)
    assert harness.calls.draining.drained.is_set()


@in_memory
async def test_a_call_goes_on_and_its_parties_are_sent_away_once_it_has_ended(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    other = await harness.connect(PARENT)
    harness.calls.draining.begin(LIMIT)
    await asyncio.sleep(SPREAD + SOON)
    assert sent_away(caller, callee, other) == [False, False, True]
    await leave(harness, other)
    await harness.lose(caller)
    await harness.resume(caller)
    await harness.say(caller, frame("call_chat", text="still here"))
    assert callee.types()[-1] == "call_chat"
    assert not harness.calls.draining.drained.is_set()
    await harness.say(caller, HANG_UP)
    await asyncio.sleep(SOON)
    assert callee.types()[-1] == "call_ended hangup", "and then it is sent away"
    assert sent_away(caller, callee) == [True, True]
    await leave(harness, caller, callee)
    await asyncio.sleep(SOON)
    assert harness.calls.draining.drained.is_set()


@in_memory
async def test_a_call_that_rings_is_answered_all_the_same(harness: MemoryHarness) -> None:
    caller, callee = await harness.ringing()
    harness.calls.draining.begin(LIMIT)
    await asyncio.sleep(SPREAD + SOON)
    await harness.say(callee, answer())
    assert caller.types()[-2:] == ["call_answer", "call_state answered"]


@in_memory
async def test_no_call_begins(harness: MemoryHarness) -> None:
    _, caller, callee = [await harness.connect(one) for one in (PARENT, STUDENT, TUTOR)]
    harness.calls.draining.begin(LIMIT)
    await harness.say(caller, invitation(TUTOR))
    assert (error(caller), callee.types()) == ("unavailable", [])
    assert await harness.rows() == []


@in_memory
async def test_an_invitation_that_cannot_be_taken_does_not_end_the_call_before_it(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    harness.calls.draining.begin(LIMIT)
    await harness.say(caller, invitation(PARENT))
    assert error(caller) == "unavailable"
    assert callee.types()[-1] == "call_state connected"


@in_memory
async def test_a_transfer_would_end_this_call_for_one_that_cannot_begin(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    harness.calls.draining.begin(LIMIT)
    await harness.say(callee, TO_PARENT)
    assert error(callee) == "unavailable"
    assert caller.types()[-1] == "call_state connected"


@in_memory
async def test_a_transfer_that_was_asked_for_before_is_not_agreed_to(harness: MemoryHarness) -> None:
    await harness.connect(PARENT)
    caller, callee = await harness.connected()
    await harness.say(callee, TO_PARENT)
    assert caller.said("call_transfer"), callee.types()
    harness.calls.draining.begin(LIMIT)
    await harness.say(caller, AGREE)
    assert error(caller) == "unavailable"
    assert harness.calls.call_count == 1


@in_memory
async def test_calls_that_do_not_end_are_waited_for_until_the_time_is_over(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    harness.calls.draining.begin(LIMIT)
    await asyncio.sleep(LIMIT - 1)
    assert not harness.calls.draining.drained.is_set()
    assert harness.calls.draining.seconds_left == pytest.approx(1.0)
    await asyncio.sleep(1 + SOON)
    assert harness.calls.draining.drained.is_set()
    assert harness.calls.call_count == 1, "the end of the server ends it"
    await harness.calls.close()
    assert [one.types()[-1] for one in (caller, callee)] == ["call_ended server_shutdown"] * 2


@in_memory
async def test_the_latest_limit_counts(harness: MemoryHarness) -> None:
    await harness.connected()
    harness.calls.draining.begin(3600)
    await asyncio.sleep(5)
    harness.calls.draining.begin(10)
    await asyncio.sleep(10 + SOON)
    assert harness.calls.draining.drained.is_set()


@given(waiting=st.integers(0, 10_000), left=st.floats(-1.0, 100.0))
def test_every_client_that_waits_is_sent_away_in_time_and_none_twice(waiting: int, left: float) -> None:
    looks = 0
    while waiting and left > -TICK:
        now = share(waiting, left)
        assert 1 <= now <= waiting
        waiting, left, looks = waiting - now, left - TICK, looks + 1
    assert share(waiting, 0.0) == waiting
