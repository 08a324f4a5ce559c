"""The calls that go on, found by who is in them, by what a message says, and by their transports."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from relay.clock import Timeline
from relay.errors import SignalingError
from relay.ids import Scope, ScopeKind
from relay.sdp.parse import parse_sdp
from relay.signaling.calls.call import Call, EndReason, Event, Party
from relay.signaling.calls.live import LiveCall, LiveCalls, Purpose, Transfer, Update
from relay.signaling.messages.incoming import CallHold
from relay.signaling.messages.outgoing import TransferTarget
from relay.signaling.presence.device import Device
from tests.kit.clock import in_virtual_time
from tests.sdp.descriptions import VOICE_OFFER
from tests.signaling.people import LESSON, PARENT, STUDENT, TIMERS, TUTOR, WHITEBOARD, FakeConnection

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
TIMELINE = Timeline(T0)
PHONE, TABLET = (Device(STUDENT, 2, FakeConnection()) for _ in range(2))


def live_call(scope: Scope = LESSON, call_id: str = "c1") -> LiveCall:
    """The student calls the tutor from PHONE."""
    caller, callee = Party(STUDENT, "Maya", "", PHONE.device_id), Party(TUTOR, "Daniel", "")
    return LiveCall(Call(call_id, scope, "voice", caller, callee, TIMERS, 3.0), TIMELINE, parse_sdp(VOICE_OFFER))


def answered(live: LiveCall) -> LiveCall:
    live.call.apply(Event.RANG, 1.0)
    live.call.apply(Event.ANSWERED, 2.0)
    return live


def test_a_call_is_found_by_either_of_its_parties() -> None:
    calls, live = LiveCalls(), live_call()
    calls.add(live)
    assert calls.of(STUDENT) is calls.of(TUTOR) is live
    assert calls.of(PARENT) is None
    assert (len(calls), list(calls)) == (1, [live])
    calls.remove(live)
    assert calls.of(STUDENT) is calls.of(TUTOR) is None
    assert len(calls) == 0


def test_a_call_that_ends_late_leaves_the_next_one_alone() -> None:
    calls, first, second = LiveCalls(), live_call(), live_call(call_id="c2")
    calls.add(first)
    calls.remove(first)
    calls.add(second)
    calls.remove(first)
    assert calls.of(STUDENT) is second


@pytest.mark.parametrize(("conversation_id", "call_id"), [(123, None), (123, "c1")])
def test_a_message_finds_its_call(conversation_id: int, call_id: str | None) -> None:
    calls, live = LiveCalls(), live_call()
    calls.add(live)
    assert calls.named(PHONE, CallHold(conversation_id=conversation_id, call_id=call_id)) is live


@pytest.mark.parametrize(
    "message",
    [
        CallHold(conversation_id=124),
        CallHold(conversation_id=123, call_id="c2"),
        CallHold(conversation_id=124, call_id="c1"),
        CallHold(whiteboard_session_id=123),
    ],
)
def test_a_message_about_another_call_finds_none(message: CallHold) -> None:
    calls = LiveCalls()
    calls.add(live_call())
    with pytest.raises(SignalingError) as refused:
        calls.named(PHONE, message)
    assert refused.value.code == "no_call"


def test_a_call_is_found_by_its_transports_for_as_long_as_it_has_them() -> None:
    calls, live = LiveCalls(), live_call()
    calls.own_transport("t1", live)
    assert calls.with_transport("t1") is live
    assert calls.with_transport("t2") is None
    calls.disown_transport("t1")
    calls.disown_transport("t1")
    assert calls.with_transport("t1") is None
    assert not calls._by_transport


def test_calls_are_counted_by_the_kind_of_their_scope() -> None:
    calls = LiveCalls()
    calls.add(live_call(WHITEBOARD))
    assert calls.beats(ScopeKind.WHITEBOARD_SESSION, 7.0) == {T0 + timedelta(seconds=7): ["c1"]}
    assert calls.beats(ScopeKind.CONVERSATION, 7.0) == {}


def test_the_dates_of_a_call_differ_by_what_has_passed() -> None:
    live = live_call()
    assert live.started_at == T0 + timedelta(seconds=3)
    assert live.timeline.at(10.5) - live.started_at == timedelta(seconds=7.5)


def test_only_the_device_that_is_in_an_answered_call_speaks_for_its_party() -> None:
    live = live_call()
    for state in ("invited", "ringing"):
        with pytest.raises(SignalingError, match=f"the call is {state}") as early:
            live.party_of(PHONE)
        assert early.value.code == "wrong_state"
        if state == "invited":
            live.call.apply(Event.RANG, 1.0)
    live.call.apply(Event.ANSWERED, 2.0)
    assert live.party_of(PHONE) is live.call.caller
    with pytest.raises(SignalingError) as other:
        live.party_of(TABLET)
    assert other.value.code == "not_in_call"
    live.call.end(EndReason.HANGUP, 3.0)
    with pytest.raises(SignalingError, match="the call is ended"):
        live.party_of(PHONE)


def test_each_party_has_media_of_its_own() -> None:
    live = live_call()
    assert live.media(live.call.caller) is live.caller
    assert live.media(live.call.callee) is live.callee


@in_virtual_time
async def test_what_is_over_leaves_no_timer_behind() -> None:
    live, rang = answered(live_call()), list[str]()
    loop = asyncio.get_running_loop()
    live.update = Update(Purpose.RESTART, live.call.caller, parse_sdp(VOICE_OFFER), "voice")
    live.update.timer = loop.call_later(1.0, rang.append, "update")
    live.transfer = Transfer(live.call.caller, TransferTarget(125, 321, "parent", "Elena", ""))
    live.transfer.timer = loop.call_later(1.0, rang.append, "transfer")
    assert live.take_update() is not None
    assert live.take_transfer() is not None
    assert live.take_update() is None
    assert live.take_transfer() is None
    await asyncio.sleep(2.0)
    assert rang == []
