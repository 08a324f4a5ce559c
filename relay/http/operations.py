"""For operators: `GET /healthz` and `GET /metrics` (Prometheus text format)."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import itemgetter
from typing import Final, Literal

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from relay.http.access.origins import Origins
from relay.http.api import Access, Operation, get
from relay.http.build import BUILD
from relay.http.limits import HttpLimits
from relay.http.ratings import RatingCounters
from relay.http.responses import answer
from relay.media.api import MediaEngine, Route
from relay.media.quality.counters import NAMES
from relay.signaling.calls.paths import RTT_BOUNDS, RoundTrips
from relay.signaling.calls.service import Calls


@dataclass(frozen=True, slots=True)
class Source:
    """Figures of a part that this package does not know: each is shown as `relay_PREFIX_NAME`.

    Args:
        meanings: of each name.
        read: the figures at this moment, by name; what is missing is 0 if it is counted, and is left out otherwise.
        counting: they only ever rise; otherwise they are how much there is.
    """

    prefix: str
    meanings: Mapping[str, str]
    read: Callable[[], Mapping[str, float]]
    counting: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What `/metrics` shows, beside the counters of the media plane.

    Args:
        pushed: push messages, by what became of them.
        rated: what parties say of calls.
        collectors: figures that their parts give in the shape of prometheus_client.
    """

    calls: Calls
    limits: HttpLimits
    origins: Origins
    pushed: Counter[str]
    rated: RatingCounters
    sources: Sequence[Source]
    collectors: Sequence[Collector]


ENGINE: Final = web.AppKey("engine", MediaEngine)
OBSERVED: Final = web.AppKey("observed", Observed)


class _Snapshot:
    """A prometheus_client collector over figures that were read a moment ago."""

    def __init__(self, media: Mapping[str, int], observed: Observed) -> None:
        self._media = media
        self._observed = observed

    def collect(self) -> Iterator[Metric]:
        calls = self._observed.calls
        for name, meaning in NAMES.items():
            yield CounterMetricFamily(f"relay_media_{name}", meaning, value=self._media.get(name, 0))
        for source in self._observed.sources:
            family = CounterMetricFamily if source.counting else GaugeMetricFamily
            values = source.read()
            for name, meaning in source.meanings.items():
                if source.counting or name in values:
                    yield family(f"relay_{source.prefix}_{name}", meaning, value=values.get(name, 0))
        yield GaugeMetricFamily("relay_calls", "calls that have not ended", value=calls.call_count)
        yield GaugeMetricFamily("relay_devices", "devices that are connected", value=calls.device_count)
        drains = calls.draining.seconds_left is not None
        yield GaugeMetricFamily("relay_draining", "whether this server drains: 1 or 0", value=drains)
        yield from by_route(calls.sessions_by_route, calls.sessions_connected, calls.round_trips)
        yield _counted("relay_calls_ended", "calls that have ended", "reason", calls.ended)
        captures = calls.recordings.captures
        yield GaugeMetricFamily("relay_recordings", "calls that are recorded at the moment", value=len(captures))
        yield _counted("relay_recordings_ended", "recordings that have ended", "reason", captures.ended_by_reason)
        yield _counted("relay_messages_refused", "messages answered with an error", "code", calls.refused)
        yield _counted("relay_limited", "what was refused because of a limit", "limit", self._observed.limits.refused)
        yield _counted("relay_foreign_origins", "what pages of other sites were refused", "kind", self._observed.origins.refused)
        rated = self._observed.rated
        yield _counted("relay_call_ratings", "ratings of calls by their parties, 1 (bad) to 5 (excellent)", "score", rated.scores)
        yield _counted("relay_call_problems", "what parties say was wrong with their calls", "problem", rated.problems)
        yield _counted("relay_push_messages", "push messages, by what became of them", "outcome", self._observed.pushed)


def _counted(name: str, meaning: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, meaning, labels=[label])
    for value, count in sorted(counts.items()):
        family.add_metric([value], count)
    return family


def by_route(
    present: Mapping[Route, int], connected: Mapping[Route, int], round_trips: Mapping[Route, RoundTrips]
) -> Iterator[Metric]:
    """What is counted of the sessions of calls."""
    labels = ["route", "family"]
    now = GaugeMetricFamily("relay_legs", "legs of calls whose media has come by a route", labels=labels)
    ever = CounterMetricFamily("relay_legs_connected", "legs that were connected by a route, or moved to it", labels=labels)
    families: list[tuple[GaugeMetricFamily | CounterMetricFamily, Mapping[Route, int]]] = [(now, present), (ever, connected)]
    for family, counts in families:
        for route, count in sorted(counts.items()):
            family.add_metric([route.transport, route.family], count)
        yield family
    times = HistogramMetricFamily("relay_leg_rtt_seconds", "round trips between the relay and a party, every 2 s", labels=labels)
    for route, measured in sorted(round_trips.items(), key=itemgetter(0)):
        buckets = zip([*map(str, RTT_BOUNDS), "+Inf"], map(float, accumulate(measured.counts)), strict=True)
        times.add_metric([route.transport, route.family], buckets=[*buckets], sum_value=measured.total)
    yield times


class Health(msgspec.Struct, frozen=True):
    status: Literal["ok"]


async def health(_request: web.Request) -> web.Response:
    return answer(Health("ok"))


async def metrics(_request: web.Request, *, engine: MediaEngine, observed: Observed) -> web.Response:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(await engine.counters(), observed))
    for collector in (*observed.collectors, BUILD, ProcessCollector(registry=None), PlatformCollector(registry=None)):
        registry.register(collector)
    GCCollector(registry)
    return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


ROUTES: Final = [
    get("/healthz", health, Operation("The process lives, and no more.", Health, access=Access.ANYONE)),
    get(
        "/metrics",
        metrics,
        Operation("The metrics, in Prometheus' text format.", str, media_type="text/plain", access=Access.ANYONE),
    ),
]
