"""What bounds the relay and is no setting: an operator has no reason to change it, and tests do."""

from dataclasses import dataclass, field
from typing import Final

from relay.cluster.redis.timing import ClusterTiming
from relay.edge.limits import DEFAULTS, EdgeLimits
from relay.http.access.revocations import INTERVAL
from relay.http.connectivity import MAX_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class AppLimits:
    """Limits of the parts that `create_app` puts together. Times are in seconds."""

    edge: EdgeLimits = DEFAULTS
    revocation_interval: float = INTERVAL
    """Between two looks for revocations by other servers."""
    cluster: ClusterTiming = field(default_factory=ClusterTiming)
    connection_test: float = MAX_SECONDS
    """That one connection test may take."""


USUAL: Final = AppLimits()
