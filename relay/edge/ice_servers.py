"""The TURN servers that a browser gets: URLs, and credentials that expire (the TURN REST convention)."""

from collections.abc import Sequence
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

    def built_in(self, host: str) -> tuple[str, ...]:
        """The URLs of the built-in server; none where external ones take its place.

        Args:
            host: the name or address that the browser reaches the relay by, as in a URL without its port.
        """
        if self.urls:
            return ()
        name = f"[{host}]" if ":" in host and not host.startswith("[") else host
        urls = [f"turn:{name}:{self.udp_port}?transport=udp"] if self.udp_port is not None else []
        if self.tcp_port is not None:
            urls.append(f"turn:{name}:{self.tcp_port}?transport=tcp")
            if self.tls:
                urls.append(f"turns:{name}:{self.tcp_port}?transport=tcp")
        return tuple(urls)

    def for_profile(self, profile: str, host: str, now: float, others: Sequence[str] = ()) -> list[IceServer]:
        """As `RTCConfiguration.iceServers` wants it; empty without TURN.

        Args:
            profile: its key.
            host: as of `built_in`.
            now: Unix time, seconds.
            others: URLs of built-in servers of other relays, which take the same credentials.
        """
        urls = self.urls or (*self.built_in(host), *others)
        if not urls:
            return []
        issued = self.credentials.issue(profile, now)
        return [IceServer(urls, issued.username, issued.password)]
