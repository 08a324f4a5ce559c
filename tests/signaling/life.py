"""A server and a `Model`, to which the same is done."""

import asyncio
import copy
import itertools
import os
import random
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from relay.ids import Profile, Scope, ScopeKind
from tests.kit.clock import VirtualClockLoop
from tests.kit.memory import CallEntry
from tests.signaling.harness import MOMENT, MemoryHarness
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
)

T = TypeVar("T")
EVERYBODY: Final = (STUDENT, TUTOR, PARENT, STRANGER)
MAX_DEVICES: Final = 3
STEPS_PER_LIFE: Final = 50
PARTY: Final = Scope(ScopeKind.CONVERSATION, 126)
"""All four."""
MEMBERS: Final = {
    LESSON: frozenset({STUDENT, TUTOR}),
    PARENTS_EVENING: frozenset({PARENT, TUTOR}),
    FAMILY: frozenset({STUDENT, PARENT}),
    WHITEBOARD: frozenset({STUDENT, TUTOR}),
    PARTY: frozenset(EVERYBODY),
}
FINAL: Final = ("call_ended", "call_declined")
Step = Callable[[Model], str | None]
Act = tuple[tuple[Step, ...], Coroutine[Any, Any, None], int]
"""What the model makes of it, step by step; doing it; and whose doing it is."""


def orders(lengths: list[int]) -> set[tuple[int, ...]]:
    """The ways in which so many sequences of that many steps can be shuffled into one."""
    return set(itertools.permutations([index for index, length in enumerate(lengths) for _ in range(length)]))


def of(those: Sequence[T], nth: int) -> T:
    return those[nth % len(those)]


def is_final(message: dict[str, Any]) -> bool:
    return message["type"] in FINAL or (message["type"] == "call_state" and message["state"] == "ended")


def row_of(entry: CallEntry) -> tuple[Profile, Profile, str, str, str | None]:
    """A row as the model has it."""
    return entry.call.caller.profile, entry.call.callee.profile, entry.call_type, entry.status, entry.end_reason


class Life(RuleBasedStateMachine):
    """Does things to a server and to a `Model`, and compares them after each."""

    model: Model

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualClockLoop)
        self.harness = self.make_harness()
        self.harness.directory.members = {scope: set(who) for scope, who in MEMBERS.items()}
        self.clients: dict[int, Client] = {}
        self.numbers = itertools.count()
        self.broken = False
        """A comparison failed: there is nothing more to compare."""
        self.after: list[Callable[[], Coroutine[Any, Any, None]]] = []

    def make_harness(self) -> MemoryHarness:
        """The server that things are done to."""
        return MemoryHarness(TIMERS)

    async def settle(self) -> None:
        """Wait until everything that can happen now has happened."""
        await asyncio.sleep(MOMENT)

    @property
    def call_count(self) -> int:
        """Calls that go on."""
        return self.harness.calls.call_count

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self.runner.get_loop()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        async def then_settle() -> Any:
            result = await work
            await self.settle()
            return result

        return self.runner.run(then_settle())

    # -- who does something -------------------------------------------------------------------------------------------

    def _connected(self) -> list[int]:
        return [number for number, one in self.model.devices.items() if one.connected]

    def _pick(self, nth: int) -> int:
        return of(self._connected(), nth)

    def _where(self, number: int) -> Scope:
        """Where the device's profile is in a call."""
        call = self.model.of(self.model.devices[number].profile)
        return PARTY if call is None else call.scope

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
        return steps, self.harness.say(self.clients[number], text), number

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
                assert got == expected, f"errors: {got}, and not {expected}"
                self._compare()
                return
            except AssertionError as error:
                problems.append(str(error))
        raise AssertionError("in no order is it right:\n" + "\n--\n".join(problems))

    def _errors(self, number: int) -> list[str]:
        """In answer to what it said; not those that come when the time of an offer is up."""
        said = self.clients[number].said("error")
        return [one["code"] for one in said if one["code"] != "update_timeout" and "has come to nothing" not in one["message"]]

    # -- what must be -------------------------------------------------------------------------------------------------

    def _compare(self) -> None:
        self.broken = True
        self._compare_all()
        self.broken = False

    def _compare_all(self) -> None:
        ids: list[str] = []
        entries = {kind: list(log.entries.values()) for kind, log in self.harness.logs.items()}
        for kind, found in entries.items():
            rows, expected = [row_of(one) for one in found], self.model.rows(kind)
            assert rows == expected, f"rows: {rows}, and not {expected}"
        counts: defaultdict[ScopeKind, int] = defaultdict(int)
        for call in self.model.calls:
            kind = call.scope.kind
            ids.append(entries[kind][counts[kind]].call_id)
            counts[kind] += 1
        assert self.call_count == sum(1 for one in self.model.calls if one.state != "ended")
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
            assert client.profile in (call.caller.profile, call.callee.profile), "a message to a profile that is not in the call"
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
            if call.state != "ended":
                in_call = number in (call.caller.device, call.callee.device)
                assert not in_call or call_id not in finals, f"the device in the call was told {finals[call_id]}"
            elif number in call.told:
                assert call_id in finals, f"the device did not get the end: {call.reason}, {client.types()}"


def live(lives: type[Life], steps: int) -> None:
    """Live that many steps, always the same ones, unless the environment asks for others (`test_lives.py`)."""
    always_the_same = "RELAY_LIVES" not in os.environ
    chosen = int(os.environ.get("RELAY_LIVES_SEED", random.randrange(2**32)))
    how = settings(
        max_examples=max(1, steps // STEPS_PER_LIFE),
        stateful_step_count=STEPS_PER_LIFE,
        derandomize=always_the_same,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    try:
        run_state_machine_as_test(lives if always_the_same else seed(chosen)(lives), settings=how)
    except Exception as error:
        error.add_note(f"RELAY_LIVES_SEED={chosen}")
        raise
