"""Who has missed a call, and when each device is told."""

import asyncio

import pytest

from tests.signaling.harness import EPOCH, MemoryHarness, in_memory
from tests.signaling.people import (
    DECLINE,
    HANG_UP,
    PARENT,
    PARENTS_EVENING,
    STUDENT,
    TUTOR,
    WHITEBOARD,
    finals,
    invitation,
)


@in_memory
async def test_who_is_busy_learns_who_tried(harness: MemoryHarness) -> None:
    _, callee = await harness.connected()
    tablet = await harness.connect(TUTOR)
    parent = await harness.connect(PARENT)
    await asyncio.sleep(7)
    await harness.say(parent, invitation(TUTOR, PARENTS_EVENING))
    assert finals(parent) == ["call_declined busy"]
    for device in (callee, tablet):
        call = device.last("call_missed")["call"]
        assert call.pop("call_id") == parent.last("call_declined")["call_id"]
        assert call == {
            "conversation_id": 124,
            "call_type": "voice",
            "from_profile_id": 321,
            "from_profile_type": "parent",
            "from_name": "Elena Lindgren",
            "from_avatar": "",
            "reason": "busy",
            "started_at": pytest.approx((EPOCH.timestamp() + 7) * 1000, abs=50),
        }


@in_memory
async def test_a_missed_call_began_when_it_began_to_ring(harness: MemoryHarness) -> None:
    """As its row says, and so as `missed_calls` says later."""
    _, callee = await harness.ringing()
    await asyncio.sleep(45.1)
    [row] = await harness.rows()
    told = callee.last("call_missed")["call"]
    assert told["reason"] == "no_answer"
    assert told["started_at"] == pytest.approx(row.call.started_at.timestamp() * 1000, abs=5)
    later = await harness.connect(TUTOR)
    assert later.last("missed_calls")["calls"] == [told]


@pytest.mark.parametrize("how", ["declined", "blocked", "strangers"])
@in_memory
async def test_who_did_not_want_the_call_has_not_missed_it(harness: MemoryHarness, how: str) -> None:
    if how == "declined":
        _, callee = await harness.ringing()
        await harness.say(callee, DECLINE)
    else:
        caller, callee = await harness.connect(PARENT), await harness.connect(TUTOR)
        if how == "blocked":
            harness.directory.blocks.add((TUTOR, PARENT))
        await harness.say(caller, invitation(TUTOR, PARENTS_EVENING if how == "blocked" else WHITEBOARD))
        assert finals(caller) == ["call_declined rejected"]
    assert "call_missed" not in " ".join(callee.types())
    assert (await harness.connect(TUTOR)).types() == []


@in_memory
async def test_missed_calls_are_told_to_a_device_that_connects_and_not_to_one_that_comes_back(harness: MemoryHarness) -> None:
    caller = await harness.connect(STUDENT)
    for _ in range(25):
        await harness.say(caller, invitation(TUTOR))
        await asyncio.sleep(1)
    callee = await harness.connect(TUTOR)
    assert callee.types() == ["missed_calls"]
    told = callee.last("missed_calls")
    assert (len(told["calls"]), told["unseen_count"]) == (20, 25)
    assert {one["reason"] for one in told["calls"]} == {"offline"}
    started = [one["started_at"] for one in told["calls"]]
    assert started == sorted(started, reverse=True)
    await harness.lose(callee)
    await harness.resume(callee)
    assert callee.types() == ["missed_calls"]


@in_memory
async def test_a_device_that_is_away_when_a_call_is_missed_learns_of_it_when_it_is_back(harness: MemoryHarness) -> None:
    caller, callee = await harness.ringing()
    await harness.lose(callee)
    await harness.say(caller, HANG_UP)
    await harness.resume(callee)
    assert callee.types() == ["call_invitation", "call_ended cancelled", "call_missed cancelled"]
