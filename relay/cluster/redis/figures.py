"""What is counted and measured of a node on Redis."""

import time
from collections.abc import Iterator
from typing import Final

from prometheus_client import Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from relay.counting import Counters

NAMES: Final = {
    "leases_lost": "times that this node could not renew its lease in time",
    "restored": "times that Redis had lost this node, and had everything of it written anew",
    "renewals_failed": "renewals of the lease that failed",
    "claims": "profiles' claims that this node was given, one a call",
    "claims_refused": "claims that were refused because a profile is in another call",
    "calls_placed": "calls of clients of this node that another node was to own, because of its region or its load",
    "placements_denied": "times that a node was asked to own a call, and would not, or did not answer",
    "posts": "messages that Redis has taken for other nodes",
    "posts_repeated": "scripts that were sent again, because it was not known whether Redis had run them",
    "posts_undeliverable": "messages to nodes that do not live any more",
    "posts_dropped": "messages that were given up because Redis was away for too long",
    "received": "messages of other nodes",
    "duplicates": "messages of other nodes that were here before",
    "gaps": "times that messages of another node were lost",
    "foreign_messages": "messages that no node of this version can have written",
    "foreign_keys": "keys in Redis whose values are not of a relay of this version",
    "asked": "questions to other nodes",
    "unanswered": "questions to other nodes without an answer in time",
    "redis_failures": "commands that Redis did not answer, or refused",
    "redis_outages": "times that Redis was away",
}
"""The names of the counters."""

LEVELS: Final = {
    "lease_held": "whether this node holds its lease: 1 or 0",
    "nodes": "nodes that live, this one among them",
    "queued": "scripts that wait for Redis",
    "clock_ahead_seconds": "seconds by which the clock of this machine is ahead of that of Redis, negative if it is behind",
}

BOUNDS: Final = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Seconds. Nothing waits longer than a second."""


class ClusterFigures(Collector):
    """Of one node. As a collector of prometheus_client it has the round trips only."""

    def __init__(self) -> None:
        self.counters = Counters(NAMES)
        self._round_trips = Histogram(
            "relay_cluster_redis_seconds",
            "time from sending commands to Redis until their answers, if there were any",
            registry=None,
            buckets=BOUNDS,
        )

    def answered(self, began: float) -> None:
        """A round trip that began at a time of `time.perf_counter`."""
        self._round_trips.observe(time.perf_counter() - began)

    def collect(self) -> Iterator[Metric]:
        for metric in self._round_trips.collect():
            # In the text format, when a histogram began would be one more gauge.
            metric.samples = [one for one in metric.samples if not one.name.endswith("_created")]
            yield metric
