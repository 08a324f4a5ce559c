"""Four people with up to three devices each do whatever they can, in any order, and the server keeps every call right.

A run in CI has some 4,000 steps, always the same ones. More, and other ones every time:

    RELAY_LIVES=200000 make test TESTS=tests/signaling/test_lives.py

(the number of steps). One that fails says its seed, and is not made smaller, as that takes hours; with `PYTHONHASHSEED=0`, and
the seed as `RELAY_LIVES_SEED`, it can be had again. `test_lives_in_database.py` does a tenth of it once more, with every call
written down in SQLite too.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from relay.ids import Profile, Scope
from relay.media.api import WORKER_LOST, MediaEvent, TransportClosed, TransportDown, TransportUp
from tests.sdp.descriptions import plain
from tests.signaling.life import EVERYBODY, MAX_DEVICES, MEMBERS, PARTY, Act, Life, live, of
from tests.signaling.model import Model
from tests.signaling.people import (
    FAMILY,
    LESSON,
    TIMERS,
    WHITEBOARD,
    answer,
    answered,
    frame,
    invitation,
    offered,
)

pytestmark = pytest.mark.long


STEPS: Final = int(os.environ.get("RELAY_LIVES", "4000"))


people = st.sampled_from(EVERYBODY)
versions = st.sampled_from([2, 2, 2, 1])
scopes = st.sampled_from([PARTY, PARTY, PARTY, LESSON, WHITEBOARD, FAMILY])
nth = st.integers(0, 11)
sides = st.sampled_from([0, 1])
kinds = st.sampled_from([("audio",), ("audio", "video")])

in_call = precondition(lambda self: self._in_call())


class Lives(Life):
    """What may happen."""

    @initialize()
    def begin(self) -> None:
        self.run(self.harness.start())
        self.model = Model(MEMBERS, TIMERS, self.loop.time())
        for profile in EVERYBODY:
            self._connect(profile, 2)

    # -- coming and going ---------------------------------------------------------------------------------------------

    def _connect(self, profile: Profile, version: int, resume: str = "") -> None:
        number = next(self.numbers)

        async def come() -> None:
            self.clients[number] = await self.harness.connect(profile, version, resume=resume)
            assert not self.clients[number].welcome["resumed"]

        self.model.wait_until(self.loop.time())
        self.run(come())
        self.model.connect(number, profile, version)
        self.model.wait_until(self.loop.time())
        self._compare()

    @precondition(lambda self: any(len(self._devices_of(one)) < MAX_DEVICES for one in EVERYBODY))
    @rule(profile=people, version=versions, token=st.sampled_from(["", "made-up"]))
    def comes(self, profile: Profile, version: int, token: str) -> None:
        if len(self._devices_of(profile)) < MAX_DEVICES:
            self._connect(profile, version, token)

    def _devices_of(self, profile: Profile) -> list[int]:
        return [number for number, one in self.model.devices.items() if one.profile == profile]

    @precondition(lambda self: len(self._connected()) > 2)
    @rule(nth=nth)
    def goes(self, nth: int) -> None:
        self._lose(self._pick(nth))

    @precondition(lambda self: len(self._connected()) > 2 and self._in_call())
    @rule(nth=nth)
    def goes_from_a_call(self, nth: int) -> None:
        self._lose(of(self._in_call(), nth))

    def _lose(self, number: int) -> None:
        self._do(((lambda model: model.lose(number),), self.harness.lose(self.clients[number]), number))

    def _away(self) -> list[int]:
        return [number for number, one in self.model.devices.items() if not one.connected]

    @precondition(lambda self: self._away())
    @rule(nth=nth)
    def comes_back(self, nth: int) -> None:
        self._resume(of(self._away(), nth))

    @precondition(lambda self: any(self.model.devices[one].version == 2 for one in self._connected()))
    @rule(nth=nth)
    def comes_back_before_it_was_missed(self, nth: int) -> None:
        able = [one for one in self._connected() if self.model.devices[one].version == 2]
        number = of(able, nth)
        older = self.clients[number].connection
        assert older is not None
        self._resume(number)
        assert older.closed == 4409

    def _resume(self, number: int) -> None:
        self._do(((lambda model: model.resume(number),), self.harness.resume(self.clients[number]), number))

    # -- version 1 ----------------------------------------------------------------------------------------------------

    def _invite(self, number: int, callee: Profile, scope: Scope) -> Act:
        text = invitation(callee, scope)
        return self._say(
            number,
            text,
            lambda model: model.replace_older(number, callee, scope),
            lambda model: model.invite(number, callee, scope),
            lambda model: model.begin_ringing(number),
        )

    def _answer(self, number: int, scope: Scope, kinds: tuple[str, ...]) -> Act:
        text = answer(scope, plain(*kinds, setup="active"))
        return self._say(number, text, lambda model: model.answer(number, scope, good=len(kinds) == 1))

    def _decline(self, number: int, scope: Scope, reason: str) -> Act:
        text = frame("call_declined", scope, reason=reason)
        return self._say(number, text, lambda model: model.decline(number, scope, reason))

    def _hang_up(self, number: int, scope: Scope) -> Act:
        return self._say(number, frame("call_ended", scope), lambda model: model.hang_up(number, scope))

    @rule(nth=nth, callee=people, scope=scopes)
    def invites(self, nth: int, callee: Profile, scope: Scope) -> None:
        self._do(self._invite(self._pick(nth), callee, scope))

    @precondition(lambda self: self._ringing())
    @rule(nth=nth, kinds=st.sampled_from([("audio",)] * 5 + [("audio", "video")]))
    def answers(self, nth: int, kinds: tuple[str, ...]) -> None:
        number = of(self._ringing(), nth)
        self._do(self._answer(number, self._where(number), kinds))

    def _free(self) -> list[int]:
        return [one for one in self._connected() if self.model.of(self.model.devices[one].profile) is None]

    @precondition(lambda self: len({self.model.devices[one].profile for one in self._free()}) > 1)
    @rule(one=nth, other=nth, up=st.sampled_from([True, True, False]))
    def calls_a_profile_that_answers(self, one: int, other: int, up: bool) -> None:
        """The way to everything that happens within a call."""
        caller = of(self._free(), one)
        profile = self.model.devices[caller].profile
        callee = of([number for number in self._free() if self.model.devices[number].profile != profile], other)
        self._do(self._invite(caller, self.model.devices[callee].profile, PARTY))
        self._do(self._answer(callee, PARTY, ("audio",)))
        for party in self._alive() if up else ():
            self._media(party, "up")

    @precondition(lambda self: self._ringing())
    @rule(nth=nth, reason=st.sampled_from(["rejected", "busy", "offline", "sleepy"]))
    def declines(self, nth: int, reason: str) -> None:
        number = of(self._ringing(), nth)
        self._do(self._decline(number, self._where(number), reason))

    @precondition(lambda self: self._alive())
    @rule(nth=nth)
    def hangs_up(self, nth: int) -> None:
        profiles = self._alive()
        able = [one for one in self._connected() if self.model.devices[one].profile in profiles]
        if able:
            number = of(able, nth)
            self._do(self._hang_up(number, self._where(number)))

    @rule(one=nth, other=nth, callee=people, what=st.sampled_from(["invite", "hang up"]))
    def two_things_happen_at_once(self, one: int, other: int, callee: Profile, what: str) -> None:
        first, second = self._pick(one), self._pick(other)
        if first != second:
            act = self._hang_up(first, self._where(first)) if what == "hang up" else self._invite(first, callee, PARTY)
            self._do(act, self._invite(second, callee, PARTY))

    @precondition(lambda self: self._ringing())
    @rule(one=nth, other=nth, callee=people, first=st.sampled_from(["answer", "decline"]), then=st.integers(0, 3))
    def a_callee_decides_while_something_else_happens(self, one: int, other: int, callee: Profile, first: str, then: int) -> None:
        decides = of(self._ringing(), one)
        at = self._where(decides)
        act = self._answer(decides, at, ("audio",)) if first == "answer" else self._decline(decides, at, "rejected")
        others = [number for number in self._connected() if number != decides]
        rings = [number for number in self._ringing() if number != decides] or others
        caller = self.model.of(self.model.devices[decides].profile)
        assert caller is not None, "it rings"
        calls = [number for number in others if self.model.devices[number].profile == caller.caller.profile] or others
        match then:
            case 0:
                beside = self._invite(of(calls, other), callee, PARTY)
            case 1:
                beside = self._hang_up(of(calls, other), at)
            case 2:
                beside = self._answer(of(rings, other), at, ("audio",))
            case _:
                beside = self._decline(of(rings, other), at, "rejected")
        self._do(*(beside, act) if other % 2 else (act, beside))

    @rule(nth=nth, scope=scopes, what=st.integers(0, 9))
    def says_what_is_out_of_place(self, nth: int, scope: Scope, what: int) -> None:
        number = self._pick(nth)
        acts: list[Callable[[], Act]] = [
            lambda: self._answer(number, scope, ("audio",)),
            lambda: self._decline(number, scope, "rejected"),
            lambda: self._hang_up(number, scope),
            lambda: self._say(number, frame("ice_candidate", scope, candidate=None), lambda m: m.candidate(number, scope)),
            lambda: self._offer(number, scope, ("audio",), "voice"),
            lambda: self._say(number, frame("call_update", scope, rejected=True), lambda m: m.reject_update(number, scope)),
            lambda: self._say(number, frame("call_restart", scope), lambda m: m.restart(number, scope)),
            lambda: self._say(number, frame("call_hold", scope), lambda m: m.hold(number, scope, holds=True)),
            lambda: self._say(number, frame("call_chat", scope, text="hello"), lambda m: m.say(number, scope)),
            lambda: self._rejoin(number, scope),
        ]
        self._do(acts[what]())

    # -- within a call ------------------------------------------------------------------------------------------------

    def _offer(self, number: int, scope: Scope, kinds: tuple[str, ...], call_type: str) -> Act:
        text = offered(plain(*kinds), scope, call_type=call_type)
        return self._say(number, text, lambda model: model.offer(number, scope, len(kinds), call_type))

    def _rejoin(self, number: int, scope: Scope) -> Act:
        return self._say(number, frame("call_rejoin", scope), lambda model: model.rejoin(number, scope))

    @in_call
    @rule(nth=nth, kinds=kinds, call_type=st.sampled_from(["voice", "video"]))
    def offers(self, nth: int, kinds: tuple[str, ...], call_type: str) -> None:
        number = of(self._in_call(), nth)
        self._do(self._offer(number, self._where(number), kinds, call_type))

    @precondition(lambda self: self._in_call() and any(one.update or one.expired for one in self.model.calls))
    @rule(nth=nth, kinds=kinds)
    def answers_an_offer(self, nth: int, kinds: tuple[str, ...]) -> None:
        number = of(self._in_call(), nth)
        at = self._where(number)
        offers = [one["offer"]["sdp"] for one in self.clients[number].said("call_update") if "offer" in one]
        text = answered(plain(*kinds, setup="passive" if "a=setup:active" in "".join(offers[-1:]) else "active"), at)
        self._do(self._say(number, text, lambda model: model.answer_update(number, at, len(kinds))))

    @precondition(lambda self: self._in_call() and any(one.update for one in self.model.calls))
    @rule(nth=nth)
    def rejects_an_offer(self, nth: int) -> None:
        number = of(self._in_call(), nth)
        at = self._where(number)
        self._do(self._say(number, frame("call_update", at, rejected=True), lambda model: model.reject_update(number, at)))

    @in_call
    @rule(nth=nth)
    def restarts(self, nth: int) -> None:
        number = of(self._in_call(), nth)
        at = self._where(number)
        self._do(self._say(number, frame("call_restart", at), lambda model: model.restart(number, at)))

    @precondition(lambda self: self._able_to_rejoin())
    @rule(nth=nth)
    def rejoins(self, nth: int) -> None:
        number = of(self._able_to_rejoin(), nth)
        self._do(self._rejoin(number, self._where(number)))

    def _able_to_rejoin(self) -> list[int]:
        """Devices in a call, and those of profiles whose own device in the call is away."""
        away = [one.profile for call in self.model.calls if call.answered for one in call.sides if one.lost_at is not None]
        others = [one for one in self._connected() if self.model.devices[one].profile in away]
        return self._in_call() + others * 2

    @in_call
    @rule(nth=nth, holds=st.booleans())
    def holds_or_resumes(self, nth: int, holds: bool) -> None:
        number = of(self._in_call(), nth)
        at = self._where(number)
        text = frame("call_hold" if holds else "call_resume", at)
        self._do(self._say(number, text, lambda model: model.hold(number, at, holds=holds)))

    @in_call
    @rule(nth=nth, kind=st.sampled_from(["call_chat", "call_media_state"]))
    def speaks(self, nth: int, kind: str) -> None:
        number = of(self._in_call(), nth)
        at = self._where(number)
        self._do(self._say(number, frame(kind, at, text="hello", muted=True), lambda model: model.say(number, at)))

    @in_call
    @rule(nth=nth, whom=people)
    def wants_to_transfer(self, nth: int, whom: Profile) -> None:
        number = of(self._in_call(), nth)
        at = self._where(number)
        fields = {"target_profile_id": whom.profile_id, "target_profile_type": whom.profile_type}
        text = frame("call_transfer", at, **fields)
        self._do(self._say(number, text, lambda model: model.ask_transfer(number, at, whom)))

    @precondition(lambda self: self._in_call() and any(one.transfer for one in self.model.calls))
    @rule(nth=nth, accepted=st.booleans())
    def answers_to_a_transfer(self, nth: int, accepted: bool) -> None:
        number = of(self._in_call(), nth)
        at = self._where(number)
        text = frame("call_transfer_answer", at, accepted=accepted)
        self._do(self._say(number, text, lambda model: model.answer_transfer(number, at, accepted=accepted)))

    @precondition(lambda self: len({self.model.devices[one].profile for one in self._free()}) > 0 and self._in_call())
    @rule(nth=nth, whom=nth, seconds=st.sampled_from([0.3, 16.1, 31.3]))
    def transfers_and_the_other_agrees(self, nth: int, whom: int, seconds: float) -> None:
        number = of(self._in_call(), nth)
        self.wants_to_transfer(nth, self.model.devices[of(self._free(), whom)].profile)
        self.time_passes(seconds)
        call = self.model.of(self.model.devices[number].profile)
        if call is not None and call.transfer is not None:
            other = call.other(call.side(call.transfer.by)).device
            if other is not None and self.model.devices[other].connected:
                text = frame("call_transfer_answer", call.scope, accepted=True)
                self._do(self._say(other, text, lambda model: model.answer_transfer(other, call.scope, accepted=True)))

    @rule(nth=nth, said=st.sampled_from(["", "[]", '{"type":"dance"}', '{"type":"call_hold"}']))
    def talks_nonsense(self, nth: int, said: str) -> None:
        codes = {"": "malformed", "[]": "malformed", '{"type":"dance"}': "unknown_type"}
        self._do(self._say(self._pick(nth), said, lambda _: codes.get(said, "invalid_message")))

    @rule(nth=nth)
    def pings(self, nth: int) -> None:
        number = self._pick(nth)
        text = msgspec.json.encode({"type": "ping", "last_seq": self.clients[number].last_seq}).decode()
        self._do(self._say(number, text, lambda _: None))

    # -- media, time and rules ----------------------------------------------------------------------------------------

    @precondition(lambda self: self._alive())
    @rule(nth=nth, what=st.sampled_from(["up", "up", "down", "down", "closed", "failed"]))
    def media_changes(self, nth: int, what: str) -> None:
        self._media(of(self._alive(), nth), what)

    @in_call
    @rule(nth=nth, seconds=st.sampled_from([14.3, 29.1, 31.3]))
    def media_stay_away(self, nth: int, seconds: float) -> None:
        self._media(self.model.devices[of(self._in_call(), nth)].profile, "down")
        self.time_passes(seconds)

    @precondition(lambda self: self._alive())
    @rule(nth=nth, luck=st.integers(0, 3))
    def a_worker_is_lost(self, nth: int, luck: int) -> None:
        if not luck:
            self._media(of(self._alive(), nth), "worker lost")

    def _media(self, profile: Profile, what: str) -> None:
        transport = self.harness.transport_of(profile)
        if transport is None:
            return
        events: dict[str, tuple[MediaEvent, Callable[[Model], None]]] = {
            "up": (TransportUp(transport), lambda model: model.media(profile, up=True)),
            "down": (TransportDown(transport), lambda model: model.media(profile, up=False)),
            "closed": (TransportClosed(transport, "closed"), lambda model: model.media(profile, up=False)),
            "failed": (TransportClosed(transport, "dtls_failed"), lambda model: model.handshake_failed(profile)),
            "worker lost": (TransportClosed(transport, WORKER_LOST), lambda model: model.worker_lost(profile)),
        }
        event, effect = events[what]
        self._do(((effect,), self.harness.media(event), self._pick(0)))

    @rule(seconds=st.sampled_from([0.3, 1.7, 4.1, 5.3, 14.3, 16.1, 29.1, 31.3, 46.1]))
    def time_passes(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))
        self.model.wait_until(self.loop.time())
        self._compare()

    @rule(by=people, whom=people, luck=st.integers(0, 3))
    def blocks_or_lifts_the_block(self, by: Profile, whom: Profile, luck: int) -> None:
        blocked = set() if luck or self.model.blocks else {(by, whom)}
        self.model.blocks, self.harness.directory.blocks = blocked, set(blocked)

    @rule(profile=people, luck=st.integers(0, 3))
    def wants_not_to_be_disturbed_or_does(self, profile: Profile, luck: int) -> None:
        undisturbed = set() if luck or self.model.undisturbed else {profile}
        self.model.undisturbed, self.harness.directory.undisturbed = undisturbed, set(undisturbed)

    def teardown(self) -> None:
        with self.runner:
            if self.broken or not hasattr(self, "model"):
                return
            for number in self._away():
                self._resume(number)
            for number in self._connected():
                self._lose(number)
            self.time_passes(10 * max(TIMERS.ring_timeout, TIMERS.signaling_grace, TIMERS.media_grace))
            assert all(call.state == "ended" for call in self.model.calls), "a call without an end"
            assert not self.model.devices
            self.run(self.harness.close())
            for work in self.after:
                self.run(work())


def test_whatever_happens_every_call_ends_right() -> None:
    live(Lives, STEPS)
