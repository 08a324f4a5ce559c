"""For operators: `GET /healthz` and `GET /metrics` (Prometheus text format)."""

from collections.abc import Iterator, Mapping
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from relay.http.responses import answer
from relay.http.sockets import CALLS
from relay.media.api import MediaEngine
from relay.media.counters import NAMES
from relay.signaling.calls import Calls

ENGINE: Final = web.AppKey("engine", MediaEngine)


class _Snapshot:
    """A prometheus_client collector over figures that were read a moment ago."""

    def __init__(self, media: Mapping[str, int], calls: Calls) -> None:
        self._media = media
        self._calls = calls

    def collect(self) -> Iterator[Metric]:
        for name, meaning in NAMES.items():
            yield CounterMetricFamily(f"relay_media_{name}", meaning, value=self._media.get(name, 0))
        yield GaugeMetricFamily("relay_calls", "calls that have not ended", value=self._calls.call_count)
        yield GaugeMetricFamily("relay_devices", "WebSocket connections", value=self._calls.device_count)
        refused = CounterMetricFamily("relay_messages_refused", "messages answered with an error", labels=["code"])
        for code, count in sorted(self._calls.refused.items()):
            refused.add_metric([code], count)
        yield refused


async def health(_request: web.Request) -> web.Response:
    return answer({"status": "ok"})


async def metrics(request: web.Request) -> web.Response:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(await request.app[ENGINE].counters(), request.app[CALLS]))
    return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


ROUTES: Final = [web.get("/healthz", health), web.get("/metrics", metrics)]
