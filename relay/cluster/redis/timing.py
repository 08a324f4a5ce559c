"""Times and bounds of a node on Redis, none of which an operator has a reason to change. Tests do."""

from dataclasses import dataclass, field
from typing import Final

from relay.cluster.lease import LeaseTiming


@dataclass(frozen=True, slots=True)
class ClusterTiming:
    """In seconds."""

    lease: LeaseTiming = field(default_factory=LeaseTiming)
    look: float = 1.0
    """Between two looks at which nodes live."""
    deadline: float = 1.0
    """For the answer to any command: redis-py itself would wait for a Redis that hangs for as long as that hangs."""
    ask: float = 3.0
    """For the answer of another node."""
    settle: float = 2.0
    """After Redis came back empty, until claims are given: each node has seen it by then, and written anew what it had."""
    avoid: float = 5.0
    """For which a node is asked to own no more calls that would not, or did not answer: it drains, or hangs."""
    retry: float = 0.1
    """Before a connection that failed is tried again; then twice as long each time."""
    retry_at_most: float = 1.0
    announce: float = 3600.0
    """Between two times at which a node writes all it has anew, so that nothing of it expires."""


SETTLING: Final = 0.1
"""Seconds until a claim that came before the nodes had settled is made again."""

KEPT_SECONDS: Final = 24 * 3600
"""Until a device, a claim or a sheet expires whose node does not renew it."""

INBOX_ENTRIES: Final = 10_000
"""Of an inbox, roughly. A node that has not read for longer is told that it has missed some."""

INBOX_SECONDS: Final = 60
"""Until the inbox of a node that is lost expires."""

QUEUED_POSTS: Final = 20_000
"""That wait for a Redis that is away."""

BATCH: Final = 200
"""Scripts in one round trip."""

ANNOUNCED: Final = 500
"""Devices or claims that are written anew before others get a turn."""
