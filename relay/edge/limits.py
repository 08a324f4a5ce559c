"""Times and rates of the edge that are not settings."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeLimits:
    """Times are in seconds."""

    decision_timeout: float = 10.0
    """Until a connection's kind is known: for its first bytes, then for the handshake if it is TLS, then for the first
    message, or the whole head of the first HTTP request."""
    accept_pause: float = 1.0
    """Without accepting connections when there are no more file descriptors."""
    keepalive: float = 75.0
    """That an HTTP connection may be idle. Reverse proxies mostly close one after 60 s: the proxy must be the one that closes
    it, or it sends a request on a connection that is closed."""
    least_keepalive: float = 2.0
    """That an HTTP connection may be idle where nearly all places are taken: a page asks for its next file sooner."""
    handshakes_per_second: float = 50.0
    """TLS handshakes of one IPv4 address or IPv6 /64, in the long run."""
    handshakes_at_once: int = 200
    """TLS handshakes of one IPv4 address or IPv6 /64: the browsers of a large office that reconnect after an outage."""
    certificate_interval: float = 5.0
    """Between looks at the files of the TLS certificate."""
    first_answer: float = 10.0
    """Of an ICE-TCP connection, until a worker must have answered a check: it answers authentic ones only."""
    idle: float = 60.0
    """Of an ICE-TCP connection, without anything from the worker, which answers every check: browsers send one every 25 s on a
    path in reserve."""
    without_allocation: float = 30.0
    """That a TURN connection may stay without an allocation."""
    request_body: float = 20.0
    """For the body of an HTTP request: 64 KB at most."""
    unacknowledged: float = 20.0
    """That sent bytes may go without acknowledgement, before the connection counts as broken (TCP_USER_TIMEOUT, tcp(7))."""
    messages_per_second: int = 5000
    """Of one ICE-TCP or TURN connection: 48 Mbit/s in packets of usual length. A browser sends less in a call, even when it
    sends what it queued during an outage."""


DEFAULTS: Final = EdgeLimits()
