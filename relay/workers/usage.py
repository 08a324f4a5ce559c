"""What the worker processes use, as prometheus_client reads it of the process that it runs in."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_FAMILIES: Final = {
    "process_cpu_seconds": (CounterMetricFamily, "relay_worker_cpu_seconds", "processor time that a media worker has used"),
    "process_resident_memory_bytes": (GaugeMetricFamily, "relay_worker_resident_memory_bytes", "memory of a media worker"),
    "process_open_fds": (GaugeMetricFamily, "relay_worker_open_fds", "files and sockets that a media worker has open"),
}


class WorkerProcesses(Collector):
    """One sample per worker and figure.

    Args:
        workers: number and process of each worker that runs.
    """

    def __init__(self, workers: Callable[[], Iterable[tuple[int, int]]]) -> None:
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        families = {name: kind(own, meaning, labels=["worker"]) for name, (kind, own, meaning) in _FAMILIES.items()}
        for number, pid in self._workers():
            for metric in ProcessCollector(pid=partial(int, pid), registry=None).collect():
                if metric.name in families:
                    families[metric.name].add_metric([str(number)], metric.samples[0].value)
        yield from families.values()
