"""A callee without a connection is woken, where something reaches it."""

import asyncio

import pytest

from tests.signaling.harness import MemoryHarness, in_memory
from tests.signaling.people import (
    HANG_UP,
    STUDENT,
    TUTOR,
    answer,
    finals,
    invitation,
)


@in_memory
async def test_a_callee_without_a_connection_is_woken_and_may_come(harness: MemoryHarness) -> None:
    harness.waker.reaches.add(TUTOR)
    caller = await harness.connect(STUDENT)
    await harness.say(caller, invitation(TUTOR))
    assert caller.types() == ["call_state invited"]
    [(call, callee)] = harness.waker.woken
    assert (call.caller.name, call.reason, callee) == ("Maya Lindgren", "", TUTOR)
    await asyncio.sleep(20)
    phone = await harness.connect(TUTOR)
    assert phone.types() == ["call_invitation"]
    assert phone.last("call_invitation")["expires_at"] - phone.last("call_invitation")["server_time"] == pytest.approx(
        25_000, abs=5
    )
    assert caller.types() == ["call_state invited", "call_state ringing"]
    await harness.say(phone, answer())
    assert caller.types()[-1] == "call_state answered"


@in_memory
async def test_a_callee_who_does_not_wake_up_is_offline_after_45_seconds_and_hears_of_it(harness: MemoryHarness) -> None:
    harness.waker.reaches.add(TUTOR)
    caller = await harness.connect(STUDENT)
    await harness.say(caller, invitation(TUTOR))
    await asyncio.sleep(44.9)
    assert finals(caller) == []
    await asyncio.sleep(0.2)
    assert finals(caller) == ["call_declined offline"]
    [(call, callee)] = harness.waker.told
    assert (call.reason, callee) == ("offline", TUTOR)


@in_memory
async def test_a_callee_whom_nothing_can_wake_is_offline_at_once(harness: MemoryHarness) -> None:
    caller = await harness.connect(STUDENT)
    await harness.say(caller, invitation(TUTOR))
    assert finals(caller) == ["call_declined offline"]
    await asyncio.sleep(1)
    assert len(harness.waker.told) == 1


@in_memory
async def test_a_callee_who_is_there_is_not_woken(harness: MemoryHarness) -> None:
    caller, _ = await harness.ringing()
    await harness.say(caller, HANG_UP)
    await asyncio.sleep(1)
    assert harness.waker.woken == harness.waker.told == []
