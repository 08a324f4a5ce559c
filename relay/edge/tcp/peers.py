"""The peer of a TCP connection."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peer:
    """The client, as far as the connection shows it, or a trusted proxy's PROXY header."""

    host: str
    """IPv4 or IPv6, as a literal without a scope."""
    port: int
    is_proxied: bool = False
    """A PROXY header has named it."""
    is_secure: bool = False
    """It speaks TLS with the proxy, as the PROXY header says."""
