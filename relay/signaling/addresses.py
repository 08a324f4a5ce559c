"""Which of the relay's addresses a browser is told of."""

import ipaddress

from relay.media.api import Candidate


def advertised(candidates: tuple[Candidate, ...], public: tuple[str, ...], reached: str | None) -> tuple[Candidate, ...]:
    """The candidates to put into a description.

    Args:
        candidates: where media listens.
        public: what the operator says is reachable; it wins.
        reached: the address that this browser's WebSocket came to. Where that one works, so does media, unless it is a
            loopback address: then the browser is on this machine, or behind a proxy on it, and is told of all.
    """
    if public:
        ports = {":" in one.address: one.port for one in reversed(candidates)}
        fallback = candidates[0].port
        return tuple(Candidate(address, ports.get(":" in address, fallback)) for address in public)
    plain = _plain(reached)
    if plain is not None and not plain.is_loopback:
        same = tuple(one for one in candidates if ipaddress.ip_address(one.address) == plain)
        if same:
            return same
    return candidates


def _plain(address: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if address is None:
        return None
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    # A dual-stack socket sees IPv4 addresses in their IPv6 form.
    return getattr(parsed, "ipv4_mapped", None) or parsed
