"""The order of a run: the servers take turns, so that what the machine does beside the benchmark hits them all alike."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from bench.calls import active_calls, idle_calls
from bench.plan import MIDDLE
from bench.results import Results
from bench.subjects.api import Subject
from bench.windows import Place, direct, highest_rate, steady_window

WARM_UP_RATE: Final = 5_000
WARM_UP: Final = 0.3
"""Seconds of traffic before the first window: caches, and whatever a server does on the first packet of a path."""

_TYPICAL_COST: Final = 15e-6
"""Seconds of CPU per packet, where the search for the highest rate starts when nothing is known yet."""

_HEADROOM: Final = 0.7
"""Of the rate that the cost per packet promises: where the search for the highest rate starts."""

Makers = Mapping[str, type[Subject]]


async def run(makers: Makers, results: Results) -> None:
    """Measure everything that the plan in `results` says. What fails is noted there, and the rest goes on."""
    plan = results.plan
    for name, make in makers.items():
        results.subjects[name] = make.description
    for repeat in range(plan.repeats):
        for transports in plan.transports:
            if plan.turns:
                _progress(f"{repeat + 1}/{plan.repeats}: {', '.join(makers)}, {transports} transports, in turn")
                await _in_turn(makers, transports, results)
                continue
            for name, make in makers.items():
                if make.any_payload:
                    _progress(f"{repeat + 1}/{plan.repeats}: {name}, {transports} transports")
                    async with _subject(make, results) as subject:
                        await _packets(subject, transports, results, first=repeat == 0)
        for name, make in makers.items():
            _progress(f"{repeat + 1}/{plan.repeats}: {name}, calls")
            if not make.disturbed:
                async with _subject(make, results) as subject:
                    results.active.append(await active_calls(subject, 1, plan.active))
            if make.any_payload and not make.disturbed:
                async with _subject(make, results) as subject:
                    results.idle.append(await idle_calls(subject, plan.idle_calls, plan.idle))
            if make.any_payload:
                async with _subject(make, results) as subject:
                    results.active.append(await active_calls(subject, plan.active_calls, plan.active, timed=plan.timed_calls))


async def _in_turn(makers: Makers, transports: int, results: Results) -> None:
    """The cost per packet at each rate, of all servers that are told apart by it."""
    plan = results.plan
    async with AsyncExitStack() as up:
        places = []
        for make in makers.values():
            if make.any_payload and not make.disturbed:
                subject = await up.enter_async_context(_subject(make, results))
                places.append(Place(subject.name, subject.process, await subject.connect(transports), transports, plan.burst))
        for place in places:
            steady_window(place, WARM_UP_RATE, WARM_UP)
        for rate in plan.rates:
            for _ in range(plan.turns):
                results.steady += [steady_window(place, rate, plan.window) for place in places]


@asynccontextmanager
async def _subject(make: type[Subject], results: Results) -> AsyncIterator[Subject]:
    """A server that is started here and ended here. Its errors end here too."""
    subject = make()
    try:
        await subject.start()
        yield subject
    except (OSError, RuntimeError, TimeoutError) as error:
        results.failures.append(f"{subject.name}: {type(error).__name__}: {error}")
    finally:
        await subject.stop()


async def _packets(subject: Subject, transports: int, results: Results, *, first: bool) -> None:
    """The cost per packet at each rate; then, where it is wanted, the highest rate and the time in the server."""
    plan = results.plan
    place = Place(subject.name, subject.process, await subject.connect(transports), transports, plan.burst)
    steady_window(place, WARM_UP_RATE, WARM_UP)
    cost = _TYPICAL_COST
    for rate in plan.rates:
        window = steady_window(place, rate, plan.window)
        results.steady.append(window)
        cost = window.microseconds / 1e6
    if not plan.bisections or (transports != MIDDLE and not (first and transports in plan.searched)):
        return
    peak = highest_rate(place, round(_HEADROOM / cost), plan.peak_window, plan.bisections)
    if peak is None:
        results.failures.append(f"{subject.name}: no rate without loss at {transports} transports")
        return
    results.peaks.append(peak)
    if transports == MIDDLE:
        half = peak.rate // 2
        results.residence.append(steady_window(place, half, plan.residence_window, timed=True))
        with direct(MIDDLE, plan.burst) as baseline:
            results.residence.append(steady_window(baseline, half, plan.residence_window, timed=True))


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
