"""Calls last as long as has passed, whatever the wall's clock is set to meanwhile."""

import asyncio
from datetime import timedelta

import pytest

from relay.clock import Clock
from tests.kit.clock import in_virtual_time
from tests.signaling.harness import EPOCH, MemoryHarness, VirtualClock, in_memory
from tests.signaling.people import HANG_UP, STUDENT, TUTOR, answer, frame, invitation

JUMPS = [3600.0, -100.0]
"""Seconds by which the wall's clock is set."""


def set_clock(harness: MemoryHarness, seconds: float) -> None:
    clock = harness.calls._context.clock
    assert isinstance(clock, VirtualClock)
    clock.ahead += seconds


def milliseconds(passed: float) -> object:
    """Since 1970, that long after the test began."""
    return pytest.approx((EPOCH.timestamp() + passed) * 1000, abs=50)


@pytest.mark.parametrize("seconds", JUMPS)
@in_memory
async def test_a_call_lasts_as_long_as_has_passed(harness: MemoryHarness, seconds: float) -> None:
    caller, callee = await harness.connected()
    set_clock(harness, seconds)
    await asyncio.sleep(6)
    await harness.say(caller, frame("call_chat", text="hello"))
    await harness.say(caller, HANG_UP)
    [row] = await harness.rows()
    assert row.duration_seconds == callee.last("call_ended")["duration_seconds"] == 6
    assert row.answered_at is not None
    assert row.ended_at is not None
    assert row.call.started_at <= row.answered_at
    assert row.ended_at - row.answered_at == pytest.approx(timedelta(seconds=6), abs=timedelta(seconds=0.1))
    assert callee.last("call_chat")["sent_at"] == milliseconds(6)


@pytest.mark.parametrize("seconds", JUMPS)
@in_memory
async def test_a_page_that_comes_back_counts_on_from_the_answer(harness: MemoryHarness, seconds: float) -> None:
    caller, _ = await harness.connected()
    set_clock(harness, seconds)
    await asyncio.sleep(6)
    await harness.lose(caller)
    await harness.resume(caller)
    await harness.say(caller, '{"type": "ping"}')
    state = caller.last("call_state")
    assert state["server_time"] - state["answered_at"] == pytest.approx(6000, abs=50)
    assert caller.welcome["server_time"] == caller.last("pong")["server_time"] == state["server_time"]


@pytest.mark.parametrize("seconds", JUMPS)
@in_memory
async def test_a_call_that_rings_has_the_time_that_it_has(harness: MemoryHarness, seconds: float) -> None:
    caller, callee = await harness.ringing()
    set_clock(harness, seconds)
    await asyncio.sleep(20)
    late = await harness.connect(TUTOR)
    invited = late.last("call_invitation")
    assert invited["expires_at"] - invited["server_time"] == pytest.approx(25_000, abs=50)
    assert invited["expires_at"] == callee.last("call_invitation")["expires_at"]
    await harness.say(caller, HANG_UP)
    [row] = await harness.rows()
    assert row.call.started_at == pytest.approx(EPOCH, abs=timedelta(seconds=0.1))
    assert callee.last("call_missed")["call"]["started_at"] == milliseconds(0)


@pytest.mark.parametrize("seconds", JUMPS)
@in_memory
async def test_a_server_that_dies_after_the_clock_was_set_leaves_a_true_sign_of_life(
    harness: MemoryHarness, seconds: float
) -> None:
    await harness.connected()
    await asyncio.sleep(6)
    set_clock(harness, seconds)
    await asyncio.sleep(5)
    [row] = await harness.rows()
    assert row.heartbeat_at == pytest.approx(EPOCH + timedelta(seconds=10), abs=timedelta(seconds=0.1))


@in_memory
async def test_a_call_that_begins_after_the_clock_was_set_is_dated_by_it(harness: MemoryHarness) -> None:
    caller, callee = await harness.connect(STUDENT), await harness.connect(TUTOR)
    set_clock(harness, 3600)
    await harness.say(caller, invitation(TUTOR))
    await harness.say(callee, answer())
    await asyncio.sleep(6)
    await harness.say(caller, HANG_UP)
    [row] = await harness.rows()
    assert row.call.started_at == pytest.approx(EPOCH + timedelta(hours=1), abs=timedelta(seconds=0.1))
    assert row.duration_seconds == 6


@in_virtual_time
async def test_a_clock_that_runs_a_little_off_is_not_one_that_was_set() -> None:
    clock = VirtualClock()
    first = clock.timeline()
    clock.ahead = 0.9
    assert clock.timeline() is first
    clock.ahead = 1.1
    assert clock.timeline() is not first
    assert clock.timeline() is clock.timeline()


@in_virtual_time
async def test_dates_are_in_utc() -> None:
    now = Clock().timeline().at(asyncio.get_running_loop().time())
    assert now.utcoffset() == timedelta(0)
