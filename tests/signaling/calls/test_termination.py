"""How calls end, in virtual time: one row, one last message to each device, and a party that missed it learns of it."""

import asyncio
import logging
from dataclasses import replace
from typing import Any, Final

import pytest

from relay.ids import ScopeKind
from relay.media.api import WORKER_LOST, Address, Route, TransportClosed, TransportDown, TransportReport, TransportUp
from relay.media.quality.statistics import LegReport
from tests.signaling.harness import EPOCH, MemoryHarness, in_memory
from tests.signaling.people import (
    DECLINE,
    HANG_UP,
    PARENT,
    PARENTS_EVENING,
    STUDENT,
    TIMERS,
    TUTOR,
    WHITEBOARD,
    Client,
    answer,
    frame,
    invitation,
)

HOME: Final[Address] = ("198.51.100.7", 40_000)


def finals(client: Client) -> list[str]:
    """The last messages that a client got of its calls."""
    return [
        f"{one['type']} {one['reason']}"
        for one in client.received
        if one["type"] in ("call_ended", "call_declined") or (one["type"] == "call_state" and one["state"] == "ended")
    ]


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


# -- what was missed --------------------------------------------------------------------------------------------------


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


# -- no media ------------------------------------------------------------------------------------------------------


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


# -- whiteboard calls -------------------------------------------------------------------------------------------------


@in_memory
async def test_a_call_of_a_whiteboard_session_has_a_table_of_its_own_and_names_its_scope_in_every_message(
    harness: MemoryHarness,
) -> None:
    caller, callee = await harness.connected(scope=WHITEBOARD)
    await harness.say(caller, HANG_UP)
    assert caller.types()[-1] == "error no_call", "it is no call of that conversation"
    for kind, fields in [("call_hold", {}), ("call_resume", {}), ("call_chat", {"text": "hello"}), ("call_ended", {})]:
        await harness.say(caller, frame(kind, WHITEBOARD, **fields))
    heard = [one for one in caller.received + callee.received if one["type"] != "error"]
    assert all(one["whiteboard_session_id"] == 7 and "conversation_id" not in one for one in heard)
    assert finals(callee) == ["call_ended hangup"]
    assert await harness.rows() == []
    [row] = harness.logs[ScopeKind.WHITEBOARD_SESSION].entries.values()
    assert (row.status, row.end_reason) == ("ended", "hangup")


@in_memory
async def test_a_missed_call_of_a_whiteboard_session_names_it(harness: MemoryHarness) -> None:
    caller, callee = await harness.ringing(scope=WHITEBOARD)
    await harness.say(caller, frame("call_ended", WHITEBOARD))
    call = callee.last("call_missed")["call"]
    assert call["whiteboard_session_id"] == 7
    assert "conversation_id" not in call


@in_memory
async def test_who_is_in_a_call_of_a_whiteboard_session_is_busy_everywhere(harness: MemoryHarness) -> None:
    await harness.connected(scope=WHITEBOARD)
    parent = await harness.connect(PARENT)
    await harness.say(parent, invitation(TUTOR, PARENTS_EVENING))
    assert finals(parent) == ["call_declined busy"]


# -- what an operator learns of it ------------------------------------------------------------------------------------


def report(number: int, harness: MemoryHarness, **figures: Any) -> TransportReport:
    """Of the caller's transport (0) or the callee's (1)."""
    usual = {"rtt": 0.04, "loss_from_peer": 0.0, "loss_to_peer": 0.0, "jitter": 0.004, "bitrate": 40_000.0, "score": 4.3}
    return TransportReport(harness.engine.opened[number], LegReport(**{**usual, **figures}, streams=()), HOME)


@in_memory
async def test_the_log_has_a_line_about_each_call_that_says_why_it_was_bad(
    harness: MemoryHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    harness.routes[HOME] = Route("turn-tls", "ipv4")
    caller, callee = await harness.connect(STUDENT), await harness.connect(TUTOR)
    await harness.say(caller, invitation(TUTOR))
    await asyncio.sleep(3)
    await harness.say(callee, answer())
    await asyncio.sleep(0.5)
    await harness.media(*(TransportUp(transport) for transport in harness.engine.opened))
    await harness.media(
        report(0, harness),
        report(0, harness, rtt=0.3, loss_from_peer=0.2, loss_to_peer=0.1, jitter=0.05, score=2.1),
        report(1, harness),
    )
    await harness.media(TransportDown(harness.engine.opened[0]), TransportUp(harness.engine.opened[0]))
    await asyncio.sleep(6)
    await harness.say(caller, HANG_UP)
    [record] = [one for one in caplog.records if getattr(one, "event", "") == "call_ended"]
    fields = vars(record)
    assert fields["call_id"] == callee.last("call_ended")["call_id"]
    assert {name: fields[name] for name in ("reason", "call_type", "interruptions")} == {
        "reason": "hangup",
        "call_type": "voice",
        "interruptions": 1,
    }
    assert (fields["rang_seconds"], fields["connected_after_seconds"], fields["duration_seconds"]) == (3.0, 0.5, 6.5)
    assert fields["caller"] == {
        "route": "turn-tls",
        "family": "ipv4",
        "rtt_ms": 300.0,
        "worst_rtt_ms": 300.0,
        "worst_jitter_ms": 50.0,
        "score": 3.2,
        "worst_score": 2.1,
        "loss_from_peer": 0.1,
        "loss_to_peer": 0.05,
    }
    assert fields["callee"]["score"] == 4.3
    assert "reason=hangup" in (text := record.getMessage())
    assert "caller.route=turn-tls caller.family=ipv4 caller.rtt_ms=300.0" in text
    for secret in ("Maya", "Daniel", "456", "203.0.113", HOME[0]):
        assert secret not in text.replace(fields["call_id"], "")  # which may have any digits


@in_memory
async def test_the_line_about_an_unanswered_call_has_what_is_known(
    harness: MemoryHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await harness.ringing()
    await asyncio.sleep(45.1)
    [record] = [one for one in caplog.records if getattr(one, "event", "") == "call_ended"]
    assert record.getMessage().endswith("ended: reason=no_answer call_type=voice rang_seconds=45.0 interruptions=0")
