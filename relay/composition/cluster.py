"""This server among the others: alone, or a node of a cluster on Redis."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from relay.cluster.alone import Alone
from relay.cluster.api import Cluster
from relay.cluster.choose import told
from relay.cluster.redis.figures import NAMES
from relay.cluster.redis.timing import ClusterTiming
from relay.errors import ConfigurationError, Unavailable
from relay.http.build import BUILD
from relay.http.limits import Tally
from relay.settings.cluster import ClusterSettings
from relay.settings.redis_url import parse

if TYPE_CHECKING:
    from relay.cluster.redis.cluster import RedisCluster

ALONE: Final[Mapping[str, float]] = {"lease_held": 1, "nodes": 1, "queued": 0, "clock_ahead_seconds": 0}
"""What `/metrics` shows of a server that is no node of a cluster."""


LOAD_SECONDS: Final = 1.0
"""That a measurement takes at least: the kernel counts in hundredths of a second."""


class RunningCluster(Cluster, Protocol):
    """A cluster that starts and ends with the application."""

    async def start(self) -> None: ...

    async def close(self, *, in_order: bool) -> None: ...


@dataclass(frozen=True)
class ClusterPlane:
    """What the other planes have of the cluster.

    Attributes:
        redis: the same cluster, if it is one on Redis.
    """

    cluster: RunningCluster
    redis: "RedisCluster | None"
    settings: ClusterSettings

    @property
    def tally(self) -> Tally | None:
        """Counts what all nodes do; None: there are no others."""
        return self.redis.count if self.redis else None

    async def has_lease(self) -> bool:
        """Whether this server may begin calls."""
        return self.cluster.may_act()

    def counters(self) -> Mapping[str, int]:
        return self.redis.figures.counters if self.redis else dict.fromkeys(NAMES, 0)

    def levels(self) -> Mapping[str, float]:
        return self.redis.levels() if self.redis else ALONE

    def collectors(self) -> Sequence[Collector]:
        """Of the metrics that have labels."""
        info = _NodeInfo(self.cluster.name, self.settings.region)
        return [info, self.redis.figures] if self.redis else [info]

    def turn_urls(self) -> tuple[str, ...]:
        """Of the TURN servers of other nodes: a call is at any of them, and each relays to its own media only."""
        return tuple(url for card in told(self.cluster.nodes()) for url in card.turn_urls)

    def describe(
        self, accepting: Callable[[], bool], workers: Callable[[], Sequence[int]], turn_urls: Callable[[], tuple[str, ...]]
    ) -> None:
        """Say what stands on the card of this node.

        Args:
            accepting: whether it takes calls.
            workers: the processes that forward media.
            turn_urls: of its TURN server.
        """
        if self.redis is not None:
            from relay.cluster.redis.cluster import NodeState  # noqa: PLC0415 - it needs the package redis

            load = ProcessorLoad(lambda: [os.getpid(), *workers()])
            self.redis.state = lambda: NodeState("serving" if accepting() else "draining", load.measure(), turn_urls())

    def card_changed(self) -> None:
        """What stands on the card of this node is another now."""
        if self.redis is not None:
            self.redis.card_changed()


def cluster_plane(settings: ClusterSettings, identity: Alone, timing: ClusterTiming) -> ClusterPlane:
    """The cluster, which has not started.

    Raises:
        ConfigurationError: the client library of Redis is not installed.
    """
    if not settings.redis_url:
        return ClusterPlane(identity, None, settings)
    try:
        from relay.cluster.redis.cluster import NodePlace, RedisCluster  # noqa: PLC0415 - only a cluster needs the package redis
    except ModuleNotFoundError as error:
        raise _not_installed(error) from error
    place = NodePlace(BUILD.version, settings.region, settings.node_url)
    cluster = RedisCluster(parse(settings.redis_url), settings.cluster_namespace, identity, place, timing)
    return ClusterPlane(cluster, cluster, settings)


async def look_at_redis(settings: ClusterSettings) -> str:
    """Open Redis and close it again; what was found, in a line.

    Raises:
        ConfigurationError: it cannot be used.
    """
    try:
        from relay.cluster.redis.link import examine  # noqa: PLC0415 - only a cluster needs the package redis
    except ModuleNotFoundError as error:
        raise _not_installed(error) from error
    address = parse(settings.redis_url)
    try:
        return f"Redis {await examine(address, ClusterTiming().deadline)} answers."
    except Unavailable as error:
        raise ConfigurationError(f"RELAY_REDIS_URL: {address}: {error}") from None


def _not_installed(error: ModuleNotFoundError) -> ConfigurationError:
    return ConfigurationError(f"RELAY_REDIS_URL needs the Python package {error.name}; try: pip install 'call-relay[cluster]'")


class ProcessorLoad:
    """The processor share of the busiest of some processes, 0 to 1, since the last time that it was measured.

    Args:
        processes: their numbers.
    """

    def __init__(self, processes: Callable[[], Sequence[int]]) -> None:
        self._processes = processes
        self._used: dict[int, float] = {}
        self._measured_at = time.monotonic()
        self._load = 0.0

    def measure(self) -> float:
        now = time.monotonic()
        if now - self._measured_at < LOAD_SECONDS and self._used:
            return self._load
        used = {pid: seconds for pid in self._processes() if (seconds := _seconds_of(pid)) is not None}
        elapsed = max(now - self._measured_at, 0.001)
        shares = [(seconds - self._used[pid]) / elapsed for pid, seconds in used.items() if pid in self._used]
        self._used, self._measured_at = used, now
        self._load = round(min(1.0, max([0.0, *shares])), 3)
        return self._load


def _seconds_of(pid: int) -> float | None:
    """The processor time that a process has used, in seconds; None if there is no such process, or the system does not say."""
    try:
        # After the name, which may have blanks and parentheses: the 12th and 13th are user and system time (proc(5)).
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return None


class _NodeInfo(Collector):
    def __init__(self, name: str, region: str) -> None:
        self._value = {"node": name, "region": region}

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("relay_node", "name and region of this server", value=self._value)
