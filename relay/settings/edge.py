"""The one TCP port: HTTP, TLS, media over TCP."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from relay.settings.base import PREFIX, Development, Port, parsing_problem
from relay.settings.notation import parse_networks

LOCALHOST: Final = "localhost"
"""As a host to listen on: the loopback addresses of both families, whatever the machine's hosts file says."""


@dataclass(frozen=True, kw_only=True)
class EdgeSettings(Development):
    host: str = ""
    """Address that HTTP and WebSocket listen on; empty: all, or in development mode this machine only."""
    port: Port = 8000
    """TCP port of HTTP and WebSocket; 0: any free one."""
    public_port: Port = 0
    """TCP port at which browsers reach ICE-TCP and TURN, where ports are mapped; 0: the one that is listened on."""
    tls_cert: str = ""
    """File with the TLS certificate and its chain, in PEM; empty: no TLS."""
    tls_key: str = ""
    """File with the key of the certificate, in PEM."""
    media_tcp: bool = True
    """Media over TCP (ICE-TCP), for networks that let no UDP through."""
    media_tcp_port: Port = 0
    """TCP port of ICE-TCP and of TURN over TCP and TLS; 0: they share the one of HTTP."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of the proxies whose X-Forwarded-* and PROXY headers are believed, comma-separated."""

    def _problems(self) -> Iterator[str]:
        if bool(self.tls_cert) != bool(self.tls_key):
            yield f"{PREFIX}TLS_CERT, {PREFIX}TLS_KEY: one is of no use without the other"
        if self.media_tcp_port and self.media_tcp_port == self.port:
            yield f"{PREFIX}MEDIA_TCP_PORT: leave it out to share {PREFIX}PORT"
        yield from parsing_problem("trusted_proxies", lambda: parse_networks(self.trusted_proxies))

    @property
    def listens_locally(self) -> bool:
        """Whether only browsers on this machine are served: development mode, unless an address to listen on is given."""
        return self.dev and not self.host

    @property
    def listen_host(self) -> str:
        """Address of the listeners; empty: all; `localhost`: the loopback addresses."""
        return LOCALHOST if self.listens_locally else self.host
