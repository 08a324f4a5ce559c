"""From raw figures to the table's: medians, one row per figure, one column per server."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final, Protocol, TypeVar

from bench.calls import ActiveCalls
from bench.plan import MIDDLE
from bench.results import Results
from bench.windows import Window

GOAL_RATE: Final = 20_000


class _Taken(Protocol):
    @property
    def subject(self) -> str: ...


_T = TypeVar("_T", bound=_Taken)


@dataclass(frozen=True, slots=True)
class Figure:
    """One row."""

    key: str
    label: str
    unit: str
    values: Mapping[str, float]
    """By server."""
    more_is_better: bool = False


@dataclass(frozen=True, slots=True)
class Goal:
    """What the relay shall reach, and what it did."""

    label: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def figures(results: Results) -> list[Figure]:
    """All rows that were measured for at least one server."""
    rows = [*_costs(results), *_limits(results), *_calls(results)]
    return [row for row in rows if row.values]


def goals(rows: Iterable[Figure]) -> list[Goal]:
    """Those of the goals whose figures are there."""
    by_key = {row.key: row.values for row in rows}

    def value(key: str, subject: str = "relay") -> float | None:
        return by_key.get(key, {}).get(subject)

    def ratio(key: str, other: str) -> float | None:
        return _quotient(value(key), value(key, other))

    def ratio_of(key: str, other: str) -> float | None:
        return _quotient(value(key, other), value(key))

    cost, one_call = f"cost/{MIDDLE}/{GOAL_RATE}", "active/1/cpu"
    spread = _quotient(value(f"cost/400/{GOAL_RATE}"), value(f"cost/2/{GOAL_RATE}"))
    recorded = "relay_recorded"
    found = [
        *(
            (
                f"CPU of a recorded packet, first thread, more than unrecorded, µs ({each} transports, {GOAL_RATE:,}/s)",
                value(f"cost/{each}/{GOAL_RATE}/more", recorded),
                2.0,
                False,
            )
            for each in (2, MIDDLE)
        ),
        (
            "time of audio in the relay with recorded 720p30 calls, p99, against that without",
            ratio_of("active/p99", recorded),
            1.1,
            False,
        ),
        (f"CPU per packet against coturn ({MIDDLE} transports, {GOAL_RATE:,}/s)", ratio(cost, "coturn"), 1.0, False),
        (f"CPU per packet against Janus EchoTest ({MIDDLE} transports, {GOAL_RATE:,}/s)", ratio(cost, "janus_echo"), 0.4, False),
        ("CPU of one 720p30 call against aiortc MediaRelay", ratio(one_call, "aiortc_relay"), 1 / 50, False),
        (f"CPU per packet, 400 against 2 transports ({GOAL_RATE:,}/s)", spread, 1.2, False),
        ("time in the relay at half of the highest rate, p50, ms", value("residence/p50"), 0.15, False),
        ("time in the relay at half of the highest rate, p99, ms", value("residence/p99"), 1.0, False),
        ("memory per active call, MB", value("active/memory"), 2.0, False),
        ("memory per idle call, MB", value("idle/memory"), 0.3, False),
        ("call set-ups per second and core", value("setups"), 50.0, True),
    ]
    return [Goal(label, reached, limit, at_least) for label, reached, limit, at_least in found if reached is not None]


def _quotient(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def _costs(results: Results) -> list[Figure]:
    rows = []
    for transports in results.plan.transports:
        at = [window for window in results.steady if window.transports == transports]
        for rate in results.plan.rates:
            values = _medians((w for w in at if w.rate == rate), lambda w: w.microseconds)
            rows.append(Figure(f"cost/{transports}/{rate}", f"CPU per packet, {transports} transports, {rate:,}/s", "µs", values))
            if "relay_recorded" in results.subjects:
                values = _medians((w for w in at if w.rate == rate), lambda w: w.first_thread_microseconds)
                label = f"of that, by the first thread, {transports} transports, {rate:,}/s"
                rows.append(Figure(f"cost/{transports}/{rate}/first", label, "µs", values))
                label = f"the same, more than unrecorded, {transports} transports, {rate:,}/s"
                rows.append(Figure(f"cost/{transports}/{rate}/more", label, "µs", _more(w for w in at if w.rate == rate)))
        values = _medians((w for w in results.peaks if w.transports == transports), lambda w: w.microseconds)
        rows.append(Figure(f"cost/{transports}/max", f"CPU per packet, {transports} transports, highest rate", "µs", values))
    return rows


def _more(windows: Iterable[Window]) -> dict[str, float]:
    """Of the first thread, by the median of all pairs of windows that were measured one after the other."""
    taken = defaultdict[str, list[float]](list)
    for window in windows:
        taken[window.subject].append(window.first_thread_microseconds)
    pairs = zip(taken["relay"], taken["relay_recorded"], strict=False)
    differences = [recorded - unrecorded for unrecorded, recorded in pairs]
    return {"relay_recorded": median(differences)} if differences else {}


def _limits(results: Results) -> list[Figure]:
    rows = []
    for transports in results.plan.transports:
        values = _medians((w for w in results.peaks if w.transports == transports), lambda w: w.sent / w.seconds)
        label = f"highest rate without loss on one core, {transports} transports"
        rows.append(Figure(f"peak/{transports}", label, "packets/s", values, more_is_better=True))
    p50 = _medians(results.residence, lambda w: 1e3 * (w.residence_p50 or 0))
    p99 = _medians(results.residence, lambda w: 1e3 * (w.residence_p99 or 0))
    rows.append(Figure("residence/p50", "time in the server at half of that, p50", "ms", p50))
    rows.append(Figure("residence/p99", "time in the server at half of that, p99", "ms", p99))
    return rows


def _calls(results: Results) -> list[Figure]:
    many = results.plan.active_calls
    one = _medians((a for a in results.active if a.calls == 1), lambda a: 100 * a.cores_per_call)
    each = _medians((a for a in results.active if a.calls == many), lambda a: 100 * a.cores_per_call)
    active_memory = _medians((a for a in results.active if a.calls == many), lambda a: a.memory_bytes / a.calls / 1e6)
    timed = [one for one in results.active if one.calls == many and one.residence_p99 is not None]
    setups = _medians(results.idle, lambda i: i.setups_per_core_second)
    idle = _medians(results.idle, lambda i: 100 * i.idle_cpu_seconds / i.idle_seconds / i.calls)
    idle_memory = _medians(results.idle, lambda i: i.memory_bytes / i.calls / 1e6)
    return [
        Figure("setups", "call set-ups per second and core", "", setups, more_is_better=True),
        Figure("idle/cpu", f"CPU per idle call, of {results.plan.idle_calls}", "% of a core", idle),
        Figure("idle/memory", f"memory per idle call, of {results.plan.idle_calls}", "MB", idle_memory),
        Figure("active/1/cpu", "CPU of one 720p30 call alone", "% of a core", one),
        Figure(f"active/{many}/cpu", f"CPU per 720p30 call, of {many}", "% of a core", each),
        Figure(
            "active/p50", f"time of audio in the server, {many} 720p30 calls, p50", "ms", _times(timed, lambda a: a.residence_p50)
        ),
        Figure(
            "active/p99", f"time of audio in the server, {many} 720p30 calls, p99", "ms", _times(timed, lambda a: a.residence_p99)
        ),
        Figure("active/memory", f"memory per 720p30 call, of {many}", "MB", active_memory),
    ]


def _times(taken: Iterable[ActiveCalls], value: Callable[[ActiveCalls], float | None]) -> dict[str, float]:
    """Milliseconds."""
    return _medians(taken, lambda one: 1e3 * (value(one) or 0.0))


def _medians(taken: Iterable[_T], value: Callable[[_T], float]) -> dict[str, float]:
    by_subject: defaultdict[str, list[float]] = defaultdict(list)
    for one in taken:
        by_subject[one.subject].append(value(one))
    return {subject: median(values) for subject, values in by_subject.items()}
