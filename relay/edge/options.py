"""What the front is to serve, and where."""

import ipaddress
from dataclasses import dataclass, field
from typing import Final

from relay.edge.tcp.bounds import Bounds
from relay.turn.limits import Limits

LOCALHOST: Final = "localhost"
"""As a host to listen on: the loopback addresses of both families, whatever the machine's hosts file says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Each is a setting; see docs/configuration.md."""

    host: str = ""
    """Address of the listeners; empty: all; `localhost`: the loopback addresses."""
    port: int = 0
    """TCP port of HTTP, and of all else unless `media_tcp_port` is set; 0: any free one."""
    public_port: int = 0
    """TCP port at which browsers reach ICE-TCP and TURN, where ports are mapped on the way; 0: the one that is listened on."""
    tls_cert: str = ""
    tls_key: str = ""
    proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    """Reverse proxies: many people's connections come from one address of theirs, and their PROXY headers are believed."""
    bounds: Bounds = field(default_factory=Bounds)
    media_tcp: bool = True
    media_tcp_port: int = 0
    """TCP port of ICE-TCP and TURN; 0: the same as HTTP."""
    turn: bool = True
    turn_host: str = ""
    """Name or address by which browsers reach TURN; empty: the one by which they reach the page."""
    turn_port: int = 3478
    """UDP port of TURN; 0: any free one."""
    turn_realm: str = "relay"
    turn_secret: str = ""
    """Empty: made up at start."""
    turn_urls: tuple[str, ...] = ()
    """Of external TURN servers that share the secret; the built-in one is off then."""
    turn_lifetime: int = 12 * 3600
    """Seconds that credentials are good for."""
    turn_limits: Limits = field(default_factory=Limits)
    addresses: tuple[str, ...] = ()
    """Where media is said to be reachable, IPv4 or IPv6: the only addresses that TURN relays to."""

    @property
    def has_turn(self) -> bool:
        """Whether the built-in server is on."""
        return self.turn and not self.turn_urls
