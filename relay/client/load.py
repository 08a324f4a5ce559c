"""Many calls at once, as load: both ends of each in this process. `python -m relay call --calls` is this with arguments."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final

import msgspec

from relay.client.call import ClientCall
from relay.client.errors import ClientError
from relay.client.headless import Account, CallPlan, cancel, client_of, make_call, why
from relay.client.result import CallResult
from relay.ids import Profile

MAX_CALLS: Final = 500
"""At a time."""

LATE: Final = 0.25
"""Seconds: a load generator that runs later than that has not had the processor when it needed it."""


class LoadSecond(msgspec.Struct, frozen=True, kw_only=True):
    """One second of a load test."""

    second: int
    started: int
    connected: int
    """Now."""
    failed: int
    ended: int
    packets: int
    """Received in this second, by all parties."""
    kbit_s: int
    loss_percent: float
    """Of all that was sent so far."""
    cpu_percent: float
    """Of a core, of this load generator."""
    late_ms: float
    """By which this line was late: what else runs on the machine keeps the load generator waiting."""


@dataclass(slots=True)
class LoadReport:
    """
    Attributes:
        results: of each caller.
        cpu: of a core, while calls were up.
        late: seconds by which the load generator was late at its worst moment.
    """

    results: list[CallResult] = field(default_factory=list)
    cpu: float = 0.0
    late: float = 0.0

    @property
    def failed(self) -> list[CallResult]:
        return [one for one in self.results if one.error]

    @property
    def setups(self) -> list[float]:
        """Seconds from invitation to media, sorted."""
        return sorted(one.connected for one in self.results if one.connected is not None)


class LoadTest:
    """Many calls at once, both ends of each in this process; what arrives is counted, not decoded.

    Args:
        plans: one for each call.
        rate: calls that begin per second.
        on_second: called every second.
    """

    def __init__(self, plans: Sequence[CallPlan], rate: float, on_second: Callable[[LoadSecond], None]) -> None:
        assert len(plans) <= MAX_CALLS, "the command line has checked it"
        self._plans = plans
        self._rate = rate
        self._on_second = on_second
        self._calls: list[ClientCall] = []
        self._started = 0
        self._report = LoadReport()

    async def run(self) -> LoadReport:
        """Make all the calls; returns when the last one is over."""
        reporting = asyncio.create_task(self._tell())
        begin, cpu = time.monotonic(), time.process_time()
        try:
            async with asyncio.TaskGroup() as group:
                for number, plan in enumerate(self._plans):
                    await asyncio.sleep(max(0.0, begin + number / self._rate - time.monotonic()))
                    group.create_task(self._one(plan))
        finally:
            await cancel(reporting)
        self._report.cpu = (time.process_time() - cpu) / max(1e-9, time.monotonic() - begin)
        return self._report

    async def _one(self, plan: CallPlan) -> None:
        self._started += 1
        try:
            if plan.conversation_id is None:
                plan = replace(plan, conversation_id=await conversation_of(plan))
            result = await make_call(replace(plan, answer=True, decode=False), self._calls.append)
        except ClientError as error:
            result = CallResult(error=why(error))
        self._report.results.append(result)

    async def _tell(self) -> None:
        begin, second, packets, octets = time.monotonic(), 0, 0, 0
        while True:
            cpu, at = time.process_time(), time.monotonic()
            second += 1
            await asyncio.sleep(max(0.0, begin + second - at))
            late = time.monotonic() - begin - second
            self._report.late = max(self._report.late, late)
            used = (time.process_time() - cpu) / max(1e-9, time.monotonic() - at)
            all_packets, all_octets = sum(call.packets for call in self._calls), sum(call.octets for call in self._calls)
            streams = [one for call in self._calls for kind in ("audio", "video") if (one := call.figures(kind)) is not None]
            lost, expected = sum(one.lost for one in streams), sum(one.expected for one in streams)
            self._on_second(
                LoadSecond(
                    second=second,
                    started=self._started,
                    connected=sum(call.state == "connected" and call.outgoing for call in self._calls),
                    failed=len(self._report.failed),
                    ended=len(self._report.results) - len(self._report.failed),
                    packets=all_packets - packets,
                    kbit_s=round((all_octets - octets) * 8 / 1000),
                    loss_percent=round(100 * lost / expected, 3) if expected else 0.0,
                    cpu_percent=round(100 * used, 1),
                    late_ms=round(1000 * late, 1),
                )
            )
            packets, octets = all_packets, all_octets


async def conversation_of(plan: CallPlan) -> int:
    """A conversation of the two parties; in development mode it is made if there is none.

    Raises:
        SignInFailed, ClientError: there is none, and none can be made.
    """
    async with client_of(plan, plan.callee), client_of(plan, plan.caller) as client:  # signing in makes the profiles
        found = await client.conversation_with(plan.callee.profile)
        return found if found is not None else await client.new_conversation(plan.callee.profile)


def pairs(caller: Account, callee: Account, number: int) -> list[tuple[Account, Account]]:
    """So many pairs of profiles, numbered from the given ones on: a profile is in one call at a time."""
    return [
        (replace(caller, profile=_later(caller.profile, at)), replace(callee, profile=_later(callee.profile, at)))
        for at in range(number)
    ]


def percentile(values: Sequence[float], part: float) -> float:
    """Of sorted values; 0 if there are none."""
    return values[min(len(values) - 1, int(part * len(values)))] if values else 0.0


def middle(values: Sequence[float]) -> float:
    """The median; 0 if there are none."""
    return median(values) if values else 0.0


def _later(profile: Profile, by: int) -> Profile:
    return Profile(profile.profile_type, profile.profile_id + by)
