"""Metrics of the database: whether it answers, its connections, and the duration of statements."""

from collections.abc import Iterator, Mapping
from time import perf_counter
from typing import Any, Final

from prometheus_client import Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, event

from relay.db.outage import WatchedEngine

LEVELS: Final = {
    "up": "whether the database answered when it was last asked: 1, or 0 while it is away",
    "connections_used": "connections to the database that are in use",
    "connections_idle": "connections to the database that are open and not in use",
    "connections_max": "connections to the database that may be open at a time",
}
"""The names of `levels`."""

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds. A local SQLite is at the lower end; nothing waits longer than `relay.db.engine.DEADLINE`."""

_BEGAN: Final = "relay_statement_began"


class DatabaseMetrics(Collector):
    """Of one engine. As a collector of prometheus_client it has the statements only."""

    def __init__(self, engine: WatchedEngine) -> None:
        self._engine = engine
        self._statements = Histogram(
            "relay_database_statement_seconds",
            "time from sending a statement to the database until its answer, if there was one",
            registry=None,
            buckets=BOUNDS,
        )
        event.listen(engine.sync_engine, "before_cursor_execute", self._before)
        event.listen(engine.sync_engine, "after_cursor_execute", self._after)

    def collect(self) -> Iterator[Metric]:
        for metric in self._statements.collect():
            # In the text format, when a histogram began would be one more gauge.
            metric.samples = [one for one in metric.samples if not one.name.endswith("_created")]
            yield metric

    def levels(self) -> Mapping[str, float]:
        queue = self._engine.queue
        return {
            "up": int(not self._engine.outage.lasts),
            "connections_used": queue.checkedout(),
            "connections_idle": queue.checkedin(),
            "connections_max": self._engine.max_connections,
        }

    def _before(self, connection: Connection, *_: Any) -> None:
        connection.info[_BEGAN] = perf_counter()

    def _after(self, connection: Connection, *_: Any) -> None:
        self._statements.observe(perf_counter() - connection.info.pop(_BEGAN))
