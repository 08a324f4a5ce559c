"""What is bounded about the hooks of an embedding program."""

import asyncio
from datetime import UTC, datetime

from relay.signaling.calls.call import Call, Party
from relay.signaling.calls.extensions import CallFacts
from relay.signaling.calls.faults import Faults
from relay.signaling.calls.hooks import HookRunner
from tests.kit.wait import eventually
from tests.signaling.people import LESSON, STUDENT, TIMERS, TUTOR

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Hanging:
    """Hooks that wait until they may go on."""

    def __init__(self) -> None:
        self.may_go_on = asyncio.Event()
        self.running: list[str] = []

    async def call_started(self, call: CallFacts) -> None:
        self.running.append(call.call_id)
        await self.may_go_on.wait()

    async def call_answered(self, call: CallFacts) -> None:
        self.running.append(f"{call.call_id} answered")

    async def call_ended(self, call: CallFacts) -> None:
        self.running.append(f"{call.call_id} ended")


def call(call_id: str) -> Call:
    return Call(call_id, LESSON, "voice", Party(STUDENT, "", ""), Party(TUTOR, "", ""), TIMERS, 0.0)


async def test_more_events_than_may_wait_are_dropped_and_counted() -> None:
    faults, hanging = Faults(), Hanging()
    runner = HookRunner(hanging, faults, max_waiting=3)
    for number in range(5):
        runner.started(call(str(number)), NOW)
    assert faults.counters["hook_dropped"] == 2
    hanging.may_go_on.set()
    await eventually(lambda: hanging.running == ["0", "1", "2"], "those that waited are told")
    runner.ended(call("4"), NOW, None)
    await eventually(lambda: hanging.running[-1] == "4 ended", "and so is what comes later")
    await runner.close()


async def test_a_hook_that_hangs_delays_those_of_its_own_call_only() -> None:
    hanging = Hanging()
    runner = HookRunner(hanging)
    one, other = call("one"), call("other")
    runner.started(one, NOW)
    runner.answered(one, NOW)
    await eventually(lambda: hanging.running == ["one"], "the first hook hangs")
    runner.started(other, NOW)
    await eventually(lambda: hanging.running == ["one", "other"], "the hook of the other call runs")
    hanging.may_go_on.set()
    await eventually(lambda: hanging.running[-1] == "one answered", "the next one follows")
    await runner.close()


async def test_stopping_does_not_wait_for_a_hook_for_ever() -> None:
    runner = HookRunner(Hanging(), farewell=0.01)
    runner.started(call("one"), NOW)
    await runner.close()


async def test_a_call_that_never_started_does_not_end_either() -> None:
    hanging = Hanging()
    runner = HookRunner(hanging)
    runner.ended(call("refused"), NOW, None)
    await runner.close()
    assert hanging.running == []
