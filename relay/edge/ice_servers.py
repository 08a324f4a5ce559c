"""The TURN servers that a browser gets: URLs, and credentials that expire (the TURN REST convention)."""

from dataclasses import dataclass

from relay.ice_servers import IceServer
from relay.turn.credentials import TurnCredentials


@dataclass(frozen=True, slots=True)
class IceServers:
    """The TURN servers of a relay.

    Args:
        credentials: makes the passwords.
        urls: of external servers, told as they are; then nothing else is.
        udp_port: of the built-in server; None: it does not listen.
        tcp_port: likewise.
        tls: that TCP port also takes TLS.
    """

    credentials: TurnCredentials
    urls: tuple[str, ...] = ()
    udp_port: int | None = None
    tcp_port: int | None = None
    tls: bool = False

    def for_profile(self, profile: str, host: str, now: float) -> list[IceServer]:
        """As `RTCConfiguration.iceServers` wants it; empty without TURN.

        Args:
            profile: its key.
            host: the name or address that the browser reaches the relay by, as in a URL without its port.
            now: Unix time, seconds.
        """
        name = f"[{host}]" if ":" in host and not host.startswith("[") else host
        urls = list(self.urls)
        if not urls and self.udp_port is not None:
            urls.append(f"turn:{name}:{self.udp_port}?transport=udp")
        if not self.urls and self.tcp_port is not None:
            urls.append(f"turn:{name}:{self.tcp_port}?transport=tcp")
            if self.tls:
                urls.append(f"turns:{name}:{self.tcp_port}?transport=tcp")
        if not urls:
            return []
        issued = self.credentials.issue(profile, now)
        return [IceServer(tuple(urls), issued.username, issued.password)]
