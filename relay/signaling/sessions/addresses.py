"""Which of the relay's addresses a browser finds in a description."""

import ipaddress
from dataclasses import dataclass

from relay.media.api import Candidate


@dataclass(frozen=True, slots=True)
class Addresses:
    """The two ends of a peer's signaling connection, as literals; None: unknown."""

    local: str | None = None
    """The relay's address that the peer reached: media is most likely reachable there too."""
    remote: str | None = None
    """The peer's address."""


def advertised(
    candidates: tuple[Candidate, ...], public: tuple[str, ...], reached: str | None, remote: str | None = None
) -> tuple[Candidate, ...]:
    """The candidates to put into a description.

    Args:
        candidates: where media listens, UDP first.
        public: what the operator says is reachable; it wins.
        reached: the address that this browser's WebSocket came to. Where that one works, so does media, unless it is a
            loopback address: then the browser is on this machine, or behind a proxy on it, and gets all.
        remote: where the browser is, as far as is known. Only one on this machine gets loopback addresses.
    """
    if public:
        udp = tuple(one for one in candidates if one.transport == "udp")
        ports = {":" in one.address: one.port for one in reversed(udp)}
        told = tuple(Candidate(address, ports.get(":" in address, udp[0].port)) for address in public)
        return told + tuple(Candidate(address, port, "tcp") for port in _tcp_port(candidates, public) for address in public)
    plain = _plain(reached)
    if plain is not None and not plain.is_loopback:
        same = tuple(one for one in candidates if ipaddress.ip_address(one.address) == plain)
        if same:
            return same
    there = _plain(remote)
    if there is None or there.is_loopback:
        return candidates
    outside = tuple(one for one in candidates if not ipaddress.ip_address(one.address).is_loopback)
    return outside or candidates


def _tcp_port(candidates: tuple[Candidate, ...], public: tuple[str, ...]) -> list[int]:
    """The port that media over TCP is offered at on the public addresses, if it is."""
    tcp = [one for one in candidates if one.transport == "tcp"]
    if all(ipaddress.ip_address(one.address).is_loopback for one in tcp):
        # Behind a proxy on this machine, which does not pass media on; unless the public addresses are this machine's own.
        tcp = [one for one in tcp if one.address in public]
    return [one.port for one in tcp[:1]]


def _plain(address: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if address is None:
        return None
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    # A dual-stack socket sees IPv4 addresses in their IPv6 form.
    return getattr(parsed, "ipv4_mapped", None) or parsed
