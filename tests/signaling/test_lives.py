"""Four people with up to three devices each do whatever they can, in any order, and the server keeps every call right.

A run in CI has some 4,000 steps, always the same ones. More, and other ones every time:

    RELAY_LIVES=200000 make test TESTS=tests/signaling/test_lives.py

(the number of steps). A tenth of it is done once more with every call written down in SQLite too.
"""

import asyncio
import copy
import itertools
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from sqlalchemy import text as sql

from relay.db.call_log import SqlCallLog
from relay.db.engine import create_engine
from relay.ids import Place, PlaceKind, Profile
from relay.media.api import WORKER_LOST, MediaEvent, TransportClosed, TransportDown, TransportUp
from relay.signaling.ports import UNKNOWN_PATH, CallLog, MediaPath, NewCall
from tests.kit.clock import VirtualClockLoop
from tests.kit.memory import MemoryCallLog
from tests.sdp.descriptions import plain
from tests.signaling.exchange import MOMENT, MemoryExchange
from tests.signaling.model import Model
from tests.signaling.people import (
    FAMILY,
    LESSON,
    PARENT,
    PARENTS_EVENING,
    STRANGER,
    STUDENT,
    TIMERS,
    TUTOR,
    WHITEBOARD,
    Client,
    answer,
    answered,
    frame,
    invitation,
    offered,
)

pytestmark = pytest.mark.long

T = TypeVar("T")

STEPS_PER_LIFE: Final = 50
STEPS: Final = int(os.environ.get("RELAY_LIVES", "4000"))

EVERYBODY: Final = (STUDENT, TUTOR, PARENT, STRANGER)
MAX_DEVICES: Final = 3
PARTY: Final = Place(PlaceKind.CONVERSATION, 126)
"""All four."""
MEMBERS: Final = {
    LESSON: frozenset({STUDENT, TUTOR}),
    PARENTS_EVENING: frozenset({PARENT, TUTOR}),
    FAMILY: frozenset({STUDENT, PARENT}),
    WHITEBOARD: frozenset({STUDENT, TUTOR}),
    PARTY: frozenset(EVERYBODY),
}

FINAL: Final = ("call_ended", "call_declined")

people = st.sampled_from(EVERYBODY)
versions = st.sampled_from([2, 2, 2, 1])
places = st.sampled_from([PARTY, PARTY, PARTY, LESSON, WHITEBOARD, FAMILY])
nth = st.integers(0, 11)
sides = st.sampled_from([0, 1])
kinds = st.sampled_from([("audio",), ("audio", "video")])

Step = Callable[[Model], str | None]
in_call = precondition(lambda self: self._in_call())

Act = tuple[tuple[Step, ...], Coroutine[Any, Any, None], int]
"""What the model makes of it, step by step; doing it; and whose doing it is."""


def orders(lengths: list[int]) -> set[tuple[int, ...]]:
    """The ways in which so many sequences of that many steps can be shuffled into one."""
    return set(itertools.permutations([index for index, length in enumerate(lengths) for _ in range(length)]))


def of(those: Sequence[T], nth: int) -> T:
    return those[nth % len(those)]


def is_final(message: dict[str, Any]) -> bool:
    return message["type"] in FINAL or (message["type"] == "call_state" and message["state"] == "ended")


class TwiceWritten(MemoryCallLog):
    """Keeps calls in memory and in a database, which must agree."""

    def __init__(self, kind: PlaceKind, database: CallLog) -> None:
        super().__init__(kind)
        self._database = database

    async def opened(self, call: NewCall) -> None:
        await self._both(super().opened(call), self._database.opened(call))

    async def answered(self, call_id: str, at: datetime) -> None:
        await self._both(super().answered(call_id, at), self._database.answered(call_id, at))

    async def updated(self, call_id: str, call_type: str) -> None:
        await self._both(super().updated(call_id, call_type), self._database.updated(call_id, call_type))

    async def ended(
        self,
        call_id: str,
        at: datetime,
        reason: str,
        *,
        answered_at: datetime | None = None,
        caller: MediaPath = UNKNOWN_PATH,
        callee: MediaPath = UNKNOWN_PATH,
    ) -> int | None:
        here = super().ended(call_id, at, reason, answered_at=answered_at, caller=caller, callee=callee)
        there = self._database.ended(call_id, at, reason, answered_at=answered_at, caller=caller, callee=callee)
        return await self._both(here, there)

    async def heartbeat(self, call_ids: Sequence[str], at: datetime) -> None:
        await self._both(super().heartbeat(call_ids, at), self._database.heartbeat(call_ids, at))

    async def close_own(self) -> int:
        return await self._both(super().close_own(), self._database.close_own())

    async def signs(self, beats: Collection[datetime]) -> Mapping[str, datetime]:
        return await self._both(super().signs(beats), self._database.signs(beats))

    async def close_stale(self, signs: Mapping[str, datetime]) -> int:
        return await self._both(super().close_stale(signs), self._database.close_stale(signs))

    async def _both(self, here: Coroutine[Any, Any, T], there: Coroutine[Any, Any, T]) -> T:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualClockLoop)
        with loop.outside():
            tasks = [asyncio.ensure_future(one) for one in (here, there)]
            await asyncio.wait(tasks)
        errors = [one.exception() for one in tasks]
        assert type(errors[0]) is type(errors[1]), f"{errors[0]!r} in memory, {errors[1]!r} in the database"
        first, second = (one.result() for one in tasks)
        assert first == second
        return first


class Lives(RuleBasedStateMachine):
    """Drives a server and a `Model` by the same rules, and compares them after each."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualClockLoop)
        self.exchange = MemoryExchange(TIMERS)
        self.exchange.directory.members = {place: set(who) for place, who in MEMBERS.items()}
        self.clients: dict[int, Client] = {}
        self.numbers = itertools.count()
        self.broken = False
        """A comparison failed: there is nothing more to compare."""
        self.after: list[Callable[[], Coroutine[Any, Any, None]]] = []

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self.runner.get_loop()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        async def then_settle() -> Any:
            result = await work
            await asyncio.sleep(MOMENT)
            return result

        return self.runner.run(then_settle())

    @initialize()
    def begin(self) -> None:
        self.run(self.exchange.start())
        self.model = Model(MEMBERS, TIMERS, self.loop.time())
        for profile in EVERYBODY:
            self._connect(profile, 2)

    # -- who does something -------------------------------------------------------------------------------------------

    def _connected(self) -> list[int]:
        return [number for number, one in self.model.devices.items() if one.connected]

    def _pick(self, nth: int) -> int:
        return of(self._connected(), nth)

    def _where(self, number: int) -> Place:
        """Where the device's profile is in a call."""
        call = self.model.of(self.model.devices[number].profile)
        return PARTY if call is None else call.place

    def _in_call(self) -> list[int]:
        """Devices that are in an answered call."""
        devices = [side.device for call in self.model.calls if call.answered for side in call.sides]
        return [one for one in devices if one is not None and self.model.devices[one].connected]

    def _ringing(self) -> list[int]:
        found = {one for call in self.model.calls for one in call.ringing if self.model.devices[one].connected}
        return sorted(found)

    def _alive(self) -> list[Profile]:
        return [side.profile for call in self.model.calls if call.state != "ended" for side in call.sides]

    # -- doing --------------------------------------------------------------------------------------------------------

    def _say(self, number: int, text: str, *steps: Step) -> Act:
        return steps, self.exchange.say(self.clients[number], text), number

    def _do(self, *acts: Act) -> None:
        """Do one thing, or several at once; then all must be as if they had been done one after another, in some order."""
        heard = {number: len(self._errors(number)) for number in self.clients}
        before = self.model
        before.wait_until(self.loop.time())

        async def all_of_them() -> None:
            await asyncio.gather(*(work for _, work, _ in acts))

        self.run(all_of_them())
        self.broken = True
        got = [self._errors(number)[heard[number] :] for _, _, number in acts]
        problems = []
        for order in orders([len(steps) for steps, _, _ in acts]):
            self.model = copy.deepcopy(before) if len(acts) > 1 else before
            todo = [list(steps) for steps, _, _ in acts]
            expected: list[list[str]] = [[] for _ in acts]
            for index in order:
                code = todo[index].pop(0)(self.model)
                expected[index] += [code] if code else []
            self.model.wait_until(self.loop.time())
            try:
                assert got == expected
                self._compare()
                return
            except AssertionError as error:
                problems.append(str(error))
        raise AssertionError("in no order is it right:\n" + "\n--\n".join(problems))

    def _errors(self, number: int) -> list[str]:
        """In answer to what it said; not those that come when the time of an offer is up."""
        said = self.clients[number].said("error")
        return [one["code"] for one in said if one["code"] != "update_timeout" and "has come to nothing" not in one["message"]]

    # -- coming and going ---------------------------------------------------------------------------------------------

    def _connect(self, profile: Profile, version: int, resume: str = "") -> None:
        number = next(self.numbers)

        async def come() -> None:
            self.clients[number] = await self.exchange.connect(profile, version, resume=resume)
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
        self._do(((lambda model: model.lose(number),), self.exchange.lose(self.clients[number]), number))

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
        self._do(((lambda model: model.resume(number),), self.exchange.resume(self.clients[number]), number))

    # -- the five messages --------------------------------------------------------------------------------------------

    def _invite(self, number: int, callee: Profile, place: Place) -> Act:
        text = invitation(callee, place)
        return self._say(
            number,
            text,
            lambda model: model.replace_older(number, callee, place),
            lambda model: model.invite(number, callee, place),
            lambda model: model.begin_ringing(number),
        )

    def _answer(self, number: int, place: Place, kinds: tuple[str, ...]) -> Act:
        text = answer(place, plain(*kinds, setup="active"))
        return self._say(number, text, lambda model: model.answer(number, place, good=len(kinds) == 1))

    def _decline(self, number: int, place: Place, reason: str) -> Act:
        text = frame("call_declined", place, reason=reason)
        return self._say(number, text, lambda model: model.decline(number, place, reason))

    def _hang_up(self, number: int, place: Place) -> Act:
        return self._say(number, frame("call_ended", place), lambda model: model.hang_up(number, place))

    @rule(nth=nth, callee=people, place=places)
    def invites(self, nth: int, callee: Profile, place: Place) -> None:
        self._do(self._invite(self._pick(nth), callee, place))

    @precondition(lambda self: self._ringing())
    @rule(nth=nth, kinds=st.sampled_from([("audio",)] * 5 + [("audio", "video")]))
    def answers(self, nth: int, kinds: tuple[str, ...]) -> None:
        number = of(self._ringing(), nth)
        self._do(self._answer(number, self._where(number), kinds))

    def _free(self) -> list[int]:
        return [one for one in self._connected() if self.model.of(self.model.devices[one].profile) is None]

    @precondition(lambda self: len({self.model.devices[one].profile for one in self._free()}) > 1)
    @rule(one=nth, other=nth, up=st.sampled_from([True, True, False]))
    def calls_somebody_who_answers(self, one: int, other: int, up: bool) -> None:
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

    @rule(nth=nth, place=places, what=st.integers(0, 9))
    def says_what_is_out_of_place(self, nth: int, place: Place, what: int) -> None:
        number = self._pick(nth)
        acts: list[Callable[[], Act]] = [
            lambda: self._answer(number, place, ("audio",)),
            lambda: self._decline(number, place, "rejected"),
            lambda: self._hang_up(number, place),
            lambda: self._say(number, frame("ice_candidate", place, candidate=None), lambda m: m.candidate(number, place)),
            lambda: self._offer(number, place, ("audio",), "voice"),
            lambda: self._say(number, frame("call_update", place, rejected=True), lambda m: m.reject_update(number, place)),
            lambda: self._say(number, frame("call_restart", place), lambda m: m.restart(number, place)),
            lambda: self._say(number, frame("call_hold", place), lambda m: m.hold(number, place, holds=True)),
            lambda: self._say(number, frame("call_chat", place, text="hello"), lambda m: m.say(number, place)),
            lambda: self._rejoin(number, place),
        ]
        self._do(acts[what]())

    # -- within a call ------------------------------------------------------------------------------------------------

    def _offer(self, number: int, place: Place, kinds: tuple[str, ...], call_type: str) -> Act:
        text = offered(plain(*kinds), place, call_type=call_type)
        return self._say(number, text, lambda model: model.offer(number, place, len(kinds), call_type))

    def _rejoin(self, number: int, place: Place) -> Act:
        return self._say(number, frame("call_rejoin", place), lambda model: model.rejoin(number, place))

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
                text = frame("call_transfer_answer", call.place, accepted=True)
                self._do(self._say(other, text, lambda model: model.answer_transfer(other, call.place, accepted=True)))

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
        transport = self.exchange.transport_of(profile)
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
        self._do(((effect,), self.exchange.media(event), self._pick(0)))

    @rule(seconds=st.sampled_from([0.3, 1.7, 4.1, 5.3, 14.3, 16.1, 29.1, 31.3, 46.1]))
    def time_passes(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))
        self.model.wait_until(self.loop.time())
        self._compare()

    @rule(by=people, whom=people, luck=st.integers(0, 3))
    def blocks_or_lifts_the_block(self, by: Profile, whom: Profile, luck: int) -> None:
        blocked = set() if luck or self.model.blocks else {(by, whom)}
        self.model.blocks, self.exchange.directory.blocks = blocked, set(blocked)

    @rule(profile=people, luck=st.integers(0, 3))
    def wants_not_to_be_disturbed_or_does(self, profile: Profile, luck: int) -> None:
        undisturbed = set() if luck or self.model.undisturbed else {profile}
        self.model.undisturbed, self.exchange.directory.undisturbed = undisturbed, set(undisturbed)

    # -- what must be -------------------------------------------------------------------------------------------------

    def _compare(self) -> None:
        self.broken = True
        self._compare_all()
        self.broken = False

    def _compare_all(self) -> None:
        ids: list[str] = []
        entries = {kind: list(log.entries.values()) for kind, log in self.exchange.logs.items()}
        for kind, found in entries.items():
            rows = [
                (one.call.caller.profile, one.call.callee.profile, one.call_type, one.status, one.end_reason) for one in found
            ]
            assert rows == self.model.rows(kind)
        counts: defaultdict[PlaceKind, int] = defaultdict(int)
        for call in self.model.calls:
            kind = call.place.kind
            ids.append(entries[kind][counts[kind]].call_id)
            counts[kind] += 1
        assert self.exchange.calls.call_count == sum(1 for one in self.model.calls if one.state != "ended")
        for number, client in self.clients.items():
            self._check_client(number, client, ids)

    def _check_client(self, number: int, client: Client, ids: list[str]) -> None:
        finals: dict[str, str] = {}
        rings: set[str] = set()
        for message in client.received:
            call_id = message.get("call_id")
            if call_id is None:
                continue
            call = self.model.calls[ids.index(call_id)]
            assert client.profile in (call.caller.profile, call.callee.profile), "a message to somebody who is not in the call"
            earlier = finals.pop(call_id, None)
            joined = earlier == "answered_elsewhere" and number in call.joined
            assert earlier is None or joined, f"after its last message of a call ({earlier}), the device got {message}"
            if message["type"] == "call_invitation":
                rings.add(call_id)
            elif message["type"] == "call_state" or is_final(message):
                rings.discard(call_id)
            if is_final(message):
                finals[call_id] = message["reason"]
        device = self.model.devices.get(number)
        if device is None or not device.connected:
            return
        rung = self.model.rings(number)
        assert rings == ({ids[rung]} if rung is not None else set()), "it rings, and should not, or the other way round"
        for call_id, call in zip(ids, self.model.calls, strict=True):
            if number in call.told and call.state == "ended":
                assert call_id in finals, f"the device was not told of the end: {call.reason}, {client.types()}"

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
            self.run(self.exchange.close())
            for work in self.after:
                self.run(work())


class LivesInDatabase(Lives):
    """The same, and what is written down is there."""

    empty: Path
    """A database without rows."""

    def __init__(self) -> None:
        super().__init__()
        self.file = shutil.copy(self.empty, self.empty.with_name("life.db"))
        self.database = create_engine(f"sqlite+aiosqlite:///{self.file}")
        for kind in PlaceKind:
            self.exchange.logs[kind] = TwiceWritten(kind, SqlCallLog(self.database, "test", kind))
        self.after.append(self._compare_rows)

    async def _compare_rows(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualClockLoop)
        with loop.outside():
            for kind, table in zip(PlaceKind, ("call_logs", "whiteboard_call_history"), strict=True):
                async with self.database.connect() as connection:
                    query = f"SELECT call_id, status, end_reason, call_type, duration_seconds FROM {table}"
                    rows = [tuple(row) for row in await connection.execute(sql(query))]
                # Of two that were written at once, the database may have taken the second first.
                assert sorted(rows) == sorted(
                    (one.call_id, one.status, one.end_reason, one.call_type, one.duration_seconds)
                    for one in self.exchange.logs[kind].entries.values()
                )
            await self.database.dispose()


def live(lives: type[Lives], steps: int) -> None:
    run_state_machine_as_test(
        lives,
        settings=settings(
            max_examples=max(1, steps // STEPS_PER_LIFE),
            stateful_step_count=STEPS_PER_LIFE,
            derandomize="RELAY_LIVES" not in os.environ,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        ),
    )


def test_whatever_happens_every_call_ends_right() -> None:
    live(Lives, STEPS)


def test_whatever_happens_is_written_down_in_the_database(filled_database: Path, tmp_path: Path) -> None:
    LivesInDatabase.empty = Path(shutil.copy(filled_database, tmp_path))
    live(LivesInDatabase, STEPS // 10)
