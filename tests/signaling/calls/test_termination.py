"""How calls end, in virtual time: one row, one last message to each device, and a party that missed it learns of it."""

import asyncio
from dataclasses import replace

import pytest

from relay.media.api import WORKER_LOST, TransportClosed, TransportDown
from tests.signaling.harness import MemoryHarness, in_memory
from tests.signaling.people import (
    DECLINE,
    HANG_UP,
    STUDENT,
    TIMERS,
    TUTOR,
    answer,
    finals,
    invitation,
)

# -- one row, one last message ----------------------------------------------------------------------------------------


@in_memory
async def test_every_device_hears_of_the_end_once(harness: MemoryHarness) -> None:
    tablet = await harness.connect(TUTOR)
    caller, phone = await harness.connect(STUDENT), await harness.connect(TUTOR)
    await harness.say(caller, invitation(TUTOR))
    await harness.say(phone, answer())
    await asyncio.sleep(10)
    await harness.say(caller, HANG_UP)
    assert finals(tablet) == ["call_ended answered_elsewhere"]
    assert finals(phone) == ["call_ended hangup"]
    assert finals(caller) == ["call_state hangup"]
    [row] = await harness.rows()
    assert (row.status, row.end_reason, row.duration_seconds) == ("ended", "hangup", 10)


@pytest.mark.parametrize("timers", [replace(TIMERS, max_call_minutes=10.0)])
@in_memory
async def test_a_call_ends_when_it_has_lasted_as_long_as_calls_may_and_both_are_told(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await asyncio.sleep(590)
    assert not finals(caller) + finals(callee)
    await asyncio.sleep(11)
    assert finals(caller) == finals(callee) == ["call_ended time_limit"]
    [row] = await harness.rows()
    assert (row.status, row.end_reason, row.duration_seconds) == ("ended", "time_limit", 600)


@in_memory
async def test_a_device_that_was_away_at_the_end_learns_of_it(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.lose(callee)
    await harness.say(caller, HANG_UP)
    await harness.resume(callee)
    assert finals(callee) == ["call_ended hangup"]


@in_memory
async def test_a_ringing_device_that_was_away_at_the_end_learns_of_it(harness: MemoryHarness) -> None:
    tablet = await harness.connect(TUTOR)
    caller, phone = await harness.connect(STUDENT), await harness.connect(TUTOR)
    await harness.say(caller, invitation(TUTOR))
    await harness.lose(tablet)
    await harness.say(phone, DECLINE)
    await harness.resume(tablet)
    assert finals(tablet) == ["call_ended rejected"]
    assert finals(caller) == ["call_declined rejected"]


@pytest.mark.parametrize("seconds", [3.0, 4.9])
@in_memory
async def test_a_ringing_device_that_comes_back_in_time_rings_on(harness: MemoryHarness, seconds: float) -> None:
    caller, callee = await harness.ringing()
    await harness.lose(callee)
    await asyncio.sleep(seconds)
    await harness.resume(callee)
    await asyncio.sleep(20)
    assert callee.types() == ["call_invitation"]
    await harness.say(callee, answer())
    assert caller.types()[-1] == "call_state answered"


@in_memory
async def test_a_callee_whose_devices_are_all_away_for_5_seconds_is_offline(harness: MemoryHarness) -> None:
    caller, callee = await harness.ringing()
    await harness.lose(callee)
    await asyncio.sleep(5.1)
    assert finals(caller) == ["call_declined offline"]
    await harness.resume(callee)
    assert finals(callee) == ["call_ended offline"]


@in_memory
async def test_a_caller_who_is_away_for_5_seconds_while_it_rings_has_gone(harness: MemoryHarness) -> None:
    caller, callee = await harness.ringing()
    await harness.lose(caller)
    await asyncio.sleep(4.9)
    assert finals(callee) == []
    await asyncio.sleep(0.2)
    assert finals(callee) == ["call_ended signaling_lost"]


@in_memory
async def test_a_caller_who_comes_back_in_time_may_be_answered(harness: MemoryHarness) -> None:
    caller, callee = await harness.ringing()
    await harness.lose(caller)
    await harness.say(callee, answer())
    await asyncio.sleep(2)
    await harness.resume(caller)
    assert caller.types() == ["call_state ringing", "call_answer", "call_state answered", "call_state answered"]


@in_memory
async def test_media_and_signaling_have_separate_lives(harness: MemoryHarness) -> None:
    """A lost WebSocket never stops sound; one that stays away for 30 seconds ends the call."""
    caller, callee = await harness.connected()
    await harness.lose(caller)
    await asyncio.sleep(29)
    assert callee.types()[-1] == "call_state connected"
    assert harness.engine.flows()
    await harness.resume(caller)
    await asyncio.sleep(60)
    assert harness.calls.call_count == 1
    await harness.lose(caller)
    await asyncio.sleep(30.1)
    assert finals(callee) == ["call_ended signaling_lost"]


@in_memory
async def test_a_page_that_vanished_is_waited_for_5_seconds(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.lose(caller)
    await asyncio.sleep(10)
    await harness.media(TransportDown(harness.engine.opened[0]))
    await asyncio.sleep(4.8)
    assert finals(callee) == []
    await asyncio.sleep(0.3)
    assert finals(callee) == ["call_ended signaling_lost"]


@pytest.mark.parametrize("stage", ["ringing", "answered", "connected"])
@in_memory
async def test_a_worker_that_dies_takes_the_call_along_at_any_stage(harness: MemoryHarness, stage: str) -> None:
    caller, callee = await getattr(harness, stage)()
    # All of its transports are lost, one after another.
    await harness.media(*(TransportClosed(one, WORKER_LOST) for one in harness.engine.opened))
    assert finals(caller) == finals(callee) == ["call_ended worker_lost"]
    [row] = await harness.rows()
    assert row.end_reason == "worker_lost"


@in_memory
async def test_a_call_that_is_ended_in_two_ways_at_once_ends_once(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    harness.calls.media_event(TransportClosed(harness.engine.opened[0], "dtls_failed"))
    await asyncio.gather(harness.say(caller, HANG_UP), harness.say(callee, HANG_UP))
    await asyncio.sleep(1)
    assert len(finals(caller)) == len(finals(callee)) == 1
    assert len(await harness.rows()) == 1
