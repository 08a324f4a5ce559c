"""The life of one call: the table, the deadlines, the end."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from relay.errors import SignalingError
from relay.signaling.calls.call import BEFORE_ANSWER, TRANSITIONS, Call, EndReason, Event, Party, State
from tests.signaling.people import LESSON, PARENT, STUDENT, TIMERS, TUTOR

START = 1000.0
"""Seconds. Not 0: a clock that just began would hide a time taken for a missing one."""


def new_call(state: State = State.INVITED) -> Call:
    call = Call(
        call_id="c1",
        scope=LESSON,
        call_type="voice",
        caller=Party(STUDENT, "Maya", "", device_id="phone"),
        callee=Party(TUTOR, "Daniel", ""),
        timers=TIMERS,
        invited_at=START,
    )
    call.state = state
    return call


def answered_call() -> Call:
    """Answered at START."""
    call = new_call()
    call.apply(Event.RANG, START)
    call.apply(Event.ANSWERED, START)
    call.callee.device_id = "laptop"
    return call


def connected_call() -> Call:
    """Connected at START."""
    call = answered_call()
    for party in call.parties:
        call.media_changed(party, up=True, now=START)
    assert call.state is State.CONNECTED
    return call


# -- the length of a call ---------------------------------------------------------------------------------------------


def test_a_call_may_last_for_any_time_unless_the_operator_says_otherwise() -> None:
    assert connected_call().deadline() is None


@pytest.mark.parametrize("down_at", [None, 50.0], ids=["connected", "reconnecting"])
def test_a_call_that_lasts_too_long_ends_from_its_answer_on_whatever_state_it_is_in(down_at: float | None) -> None:
    call = new_call()
    call.timers = replace(TIMERS, max_call_minutes=1.0)
    call.apply(Event.RANG, START)
    call.apply(Event.ANSWERED, START + 10)
    for party in call.parties:
        call.media_changed(party, up=True, now=START + 12)
    if down_at is not None:
        call.media_changed(call.caller, up=False, now=START + down_at)
    assert call.deadline() == (START + 70, EndReason.TIME_LIMIT)


def test_the_time_that_a_call_rings_does_not_count() -> None:
    call = new_call()
    call.timers = replace(TIMERS, max_call_minutes=1 / 60)
    call.apply(Event.RANG, START)
    assert call.deadline() == (START + TIMERS.ring_timeout, EndReason.NO_ANSWER)


# -- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_an_event_moves_the_call_as_the_table_says_or_makes_no_sense(state: State, event: Event) -> None:
    call = new_call(state)
    target = TRANSITIONS[state].get(event)
    if target is None:
        with pytest.raises(SignalingError, match=f"the call is {state}") as refused:
            call.apply(event, START + 1)
        assert refused.value.code == "wrong_state"
        assert (call.state, call.since) == (state, START)
    else:
        assert call.apply(event, START + 1) is (target is not state)
        assert call.state is target
        assert call.since == (START if target is state else START + 1)


def test_the_table_is_the_one_in_the_diagram() -> None:
    moves = {(state.value, event.value, to.value) for state, row in TRANSITIONS.items() for event, to in row.items()}
    assert moves == {
        ("invited", "rang", "ringing"),
        ("invited", "end", "ended"),
        ("ringing", "answered", "answered"),
        ("ringing", "end", "ended"),
        ("answered", "media_up", "connected"),
        ("answered", "media_down", "answered"),
        ("answered", "end", "ended"),
        ("connected", "media_up", "connected"),
        ("connected", "media_down", "reconnecting"),
        ("connected", "end", "ended"),
        ("reconnecting", "media_up", "connected"),
        ("reconnecting", "media_down", "reconnecting"),
        ("reconnecting", "end", "ended"),
    }


def test_every_state_can_be_reached_and_all_but_the_last_can_end() -> None:
    reached, todo = {State.INVITED}, [State.INVITED]
    while todo:
        for target in TRANSITIONS[todo.pop()].values():
            if target not in reached:
                reached.add(target)
                todo.append(target)
    assert reached == set(State)
    assert [state for state in State if Event.END not in TRANSITIONS[state]] == [State.ENDED]


@pytest.mark.parametrize("state", [state for state in State if state is not State.ENDED])
def test_a_call_ends_once_and_keeps_its_first_reason(state: State) -> None:
    call = new_call(state)
    assert call.end(EndReason.HANGUP, START + 5)
    assert not call.end(EndReason.ICE_FAILED, START + 6)
    assert (call.state, call.end_reason, call.since) == (State.ENDED, EndReason.HANGUP, START + 5)
    assert call.deadline() is None


def test_a_call_knows_its_parties() -> None:
    call = new_call()
    assert call.party(STUDENT) is call.caller
    assert call.party(TUTOR) is call.callee
    assert call.other(call.caller) is call.callee
    assert call.other(call.callee) is call.caller
    with pytest.raises(KeyError):
        call.party(PARENT)


# -- media ------------------------------------------------------------------------------------------------------------


def test_media_must_flow_on_both_sides_before_a_call_is_connected() -> None:
    call = answered_call()
    assert not call.media_changed(call.callee, up=True, now=START + 1)
    assert call.state is State.ANSWERED
    assert call.media_changed(call.caller, up=True, now=START + 2)
    assert (call.state, call.since) == (State.CONNECTED, START + 2)


@pytest.mark.parametrize("silent", [0, 1])
def test_the_silence_of_either_side_is_a_reconnecting_call_and_its_voice_ends_that(silent: int) -> None:
    call = connected_call()
    assert call.media_changed(call.parties[silent], up=False, now=START + 10)
    assert call.state is State.RECONNECTING
    assert call.media_changed(call.parties[silent], up=True, now=START + 12)
    assert (call.state, call.since) == (State.CONNECTED, START + 12)


def test_after_the_silence_of_both_both_must_be_back() -> None:
    call = connected_call()
    call.media_changed(call.caller, up=False, now=START + 1)
    assert not call.media_changed(call.callee, up=False, now=START + 2)
    assert not call.media_changed(call.caller, up=True, now=START + 3)
    assert call.state is State.RECONNECTING
    assert call.media_changed(call.callee, up=True, now=START + 4)


def test_what_is_said_twice_changes_nothing() -> None:
    call = connected_call()
    assert not call.media_changed(call.caller, up=True, now=START + 1)
    assert call.media_changed(call.caller, up=False, now=START + 2)
    assert not call.media_changed(call.caller, up=False, now=START + 3)
    assert call.since == START + 2


@pytest.mark.parametrize("state", [State.INVITED, State.RINGING, State.ENDED])
def test_media_moves_no_call_that_is_not_answered(state: State) -> None:
    call = new_call(state)
    for party in call.parties:
        assert not call.media_changed(party, up=True, now=START + 1)
    assert call.state is state


# -- deadlines --------------------------------------------------------------------------------------------------------


def test_no_device_rings_for_longer_than_45_seconds() -> None:
    call = new_call()
    call.apply(Event.RANG, START + 20)
    assert call.deadline() == (START + 45, EndReason.NO_ANSWER)


def test_a_callee_whom_no_word_has_woken_in_45_seconds_is_offline() -> None:
    assert new_call().deadline() == (START + 45, EndReason.OFFLINE)


def test_devices_that_ring_may_be_away_for_5_seconds() -> None:
    call = new_call()
    call.apply(Event.RANG, START)
    call.ringing_lost_at = START + 10
    assert call.deadline() == (START + 15, EndReason.OFFLINE)
    call.ringing_lost_at = START + 42
    assert call.deadline() == (START + 45, EndReason.NO_ANSWER)
    call.ringing_lost_at = None
    assert call.deadline() == (START + 45, EndReason.NO_ANSWER)


def test_a_caller_may_be_away_for_5_seconds_while_it_rings() -> None:
    call = new_call()
    call.apply(Event.RANG, START)
    call.signaling_lost(call.caller, START + 10, resumable=True)
    assert call.deadline() == (START + 15, EndReason.SIGNALING_LOST)
    call.signaling_back(call.caller, "phone")
    assert call.deadline() == (START + 45, EndReason.NO_ANSWER)


def test_media_has_15_seconds_from_the_answer() -> None:
    call = answered_call()
    assert call.deadline() == (START + 15, EndReason.ICE_FAILED)
    call.media_changed(call.caller, up=True, now=START + 14)
    assert call.deadline() == (START + 15, EndReason.ICE_FAILED)
    call.media_changed(call.caller, up=False, now=START + 14.5)
    assert call.deadline() == (START + 15, EndReason.ICE_FAILED)


def test_a_connected_call_waits_for_nothing() -> None:
    assert connected_call().deadline() is None


def test_a_call_outlives_the_media_of_one_party_by_30_seconds() -> None:
    call = connected_call()
    call.media_changed(call.caller, up=False, now=START + 100)
    assert call.deadline() == (START + 130, EndReason.ICE_TIMEOUT)
    call.media_changed(call.caller, up=True, now=START + 120)
    assert call.deadline() is None


def test_each_party_has_its_own_30_seconds() -> None:
    call = connected_call()
    call.media_changed(call.caller, up=False, now=START + 100)
    call.media_changed(call.callee, up=False, now=START + 125)
    assert call.deadline() == (START + 130, EndReason.ICE_TIMEOUT)
    call.media_changed(call.caller, up=True, now=START + 128)
    assert call.deadline() == (START + 155, EndReason.ICE_TIMEOUT)


def test_a_call_outlives_the_websocket_of_a_party_that_is_still_heard_by_30_seconds() -> None:
    call = connected_call()
    call.signaling_lost(call.callee, START + 100, resumable=True)
    assert call.deadline() == (START + 130, EndReason.SIGNALING_LOST)
    call.signaling_back(call.callee, "tablet")
    assert call.callee.device_id == "tablet"
    assert call.deadline() is None


@pytest.mark.parametrize(("resumable", "device"), [(True, "laptop"), (False, None)])
def test_a_device_that_lost_its_websocket_stays_the_calls_own_if_it_can_come_back(resumable: bool, device: str | None) -> None:
    call = connected_call()
    call.signaling_lost(call.callee, START + 100, resumable=resumable)
    assert (call.caller.device_id, call.callee.device_id) == ("phone", device)


def test_a_page_that_vanished_is_waited_for_5_seconds() -> None:
    call = connected_call()
    call.signaling_lost(call.caller, START + 100, resumable=True)
    call.media_changed(call.caller, up=False, now=START + 104)
    assert call.deadline() == (START + 104 + TIMERS.vanished_grace, EndReason.SIGNALING_LOST)
    assert TIMERS.vanished_grace == 5.0


def test_a_page_that_fell_silent_first_and_vanished_then_is_waited_for_as_long() -> None:
    call = connected_call()
    call.media_changed(call.caller, up=False, now=START + 100)
    call.signaling_lost(call.caller, START + 110, resumable=True)
    assert call.deadline() == (START + 115, EndReason.SIGNALING_LOST)


def test_media_that_ends_late_does_not_prolong_the_wait_for_the_websocket() -> None:
    call = connected_call()
    call.signaling_lost(call.caller, START + 100, resumable=True)
    call.media_changed(call.caller, up=False, now=START + 128)
    assert call.deadline() == (START + 130, EndReason.SIGNALING_LOST)


def test_media_that_ends_twice_does_not_prolong_the_wait_for_a_vanished_page() -> None:
    """Silence (`TransportDown`) comes first, the end of the transport (`TransportClosed`) may follow."""
    call = connected_call()
    call.signaling_lost(call.caller, START + 100, resumable=True)
    call.media_changed(call.caller, up=False, now=START + 101)
    call.media_changed(call.caller, up=False, now=START + 105)
    assert call.deadline() == (START + 106, EndReason.SIGNALING_LOST)


def test_a_page_that_vanishes_while_media_connects_is_waited_for_5_seconds() -> None:
    call = answered_call()
    call.signaling_lost(call.callee, START + 3, resumable=True)
    assert call.deadline() == (START + 8, EndReason.SIGNALING_LOST)
    call.signaling_back(call.callee, "laptop")
    assert call.deadline() == (START + 15, EndReason.ICE_FAILED)


def test_the_first_of_several_deadlines_counts() -> None:
    call = connected_call()
    call.signaling_lost(call.caller, START + 100, resumable=True)
    call.signaling_lost(call.callee, START + 110, resumable=True)
    assert call.deadline() == (START + 130, EndReason.SIGNALING_LOST)
    call.signaling_back(call.caller, "phone")
    assert call.deadline() == (START + 140, EndReason.SIGNALING_LOST)


# -- whatever happens -------------------------------------------------------------------------------------------------


class AnyLife(RuleBasedStateMachine):
    """Everything that can happen to a call, in any order, at any time."""

    @initialize()
    def invite(self) -> None:
        self.call = new_call()
        self.now = START
        self.ended_with: list[EndReason] = []

    @rule(seconds=st.floats(0.0, 60.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(event=st.sampled_from([Event.RANG, Event.ANSWERED, Event.MEDIA_UP, Event.MEDIA_DOWN]))
    def happens(self, event: Event) -> None:
        before = self.call.state
        try:
            self.call.apply(event, self.now)
        except SignalingError:
            assert self.call.state is before

    @rule(side=st.sampled_from([0, 1]), up=st.booleans())
    def media(self, side: int, up: bool) -> None:
        before = self.call.state
        changed = self.call.media_changed(self.call.parties[side], up=up, now=self.now)
        assert changed is (self.call.state is not before)

    @rule(side=st.sampled_from([0, 1]), back=st.booleans(), resumable=st.booleans())
    def signaling(self, side: int, back: bool, resumable: bool) -> None:
        party = self.call.parties[side]
        if back:
            self.call.signaling_back(party, "device")
        else:
            self.call.signaling_lost(party, self.now, resumable=resumable)

    @rule(away=st.booleans())
    def devices_that_ring_go_and_come(self, away: bool) -> None:
        self.call.ringing_lost_at = self.now if away else None

    @rule(reason=st.sampled_from(EndReason))
    def a_party_ends_it(self, reason: EndReason) -> None:
        self._end(reason)

    @precondition(lambda self: self.call.deadline() is not None)
    @rule()
    def waits_until_the_deadline(self) -> None:
        due = self.call.deadline()
        assert due is not None
        self.now = max(self.now, due[0])
        self._end(due[1])
        assert self.call.state is State.ENDED

    def _end(self, reason: EndReason) -> None:
        if self.call.end(reason, self.now):
            self.ended_with.append(reason)

    @invariant()
    def an_end_is_final(self) -> None:
        ended = self.call.state is State.ENDED
        assert self.ended_with == ([self.call.end_reason] if ended else [])
        assert ended is (self.call.end_reason is not None)

    @invariant()
    def a_party_that_waits_does_not_wait_for_ever(self) -> None:
        call = self.call
        waits = call.state not in {State.CONNECTED, State.ENDED} or (
            call.state is not State.ENDED and any(party.signaling_lost_at is not None for party in call.parties)
        )
        assert (call.deadline() is not None) is waits

    @invariant()
    def no_party_waits_longer_than_the_longest_timer(self) -> None:
        due = self.call.deadline()
        assert due is None or due[0] <= self.now + max(TIMERS.ring_timeout, TIMERS.media_grace, TIMERS.signaling_grace)

    @invariant()
    def answered_means_after_the_answer_and_before_the_end(self) -> None:
        assert self.call.answered is (self.call.state not in {*BEFORE_ANSWER, State.ENDED})


TestAnyLife = AnyLife.TestCase
