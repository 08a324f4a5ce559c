"""The lines that describe the relay's own end of a transport (RFC 8839, RFC 8842)."""

import ipaddress
from collections.abc import Iterator

from relay.media.api import Candidate, TransportParameters


def network(address: str) -> str:
    """The address of an `o=` or a `c=` line, with its family."""
    return f"IP{ipaddress.ip_address(address).version} {address}"


def credential_lines(transport: TransportParameters) -> Iterator[str]:
    yield f"a=ice-ufrag:{transport.ufrag}"
    yield f"a=ice-pwd:{transport.pwd}"


def fingerprint_lines(transport: TransportParameters) -> Iterator[str]:
    yield from (f"a=fingerprint:{one.algorithm} {one.value}" for one in transport.fingerprints)


def candidate_lines(transport: TransportParameters) -> Iterator[str]:
    """All candidates. None follow later: the relay does not trickle."""
    yield from (candidate_line(one, number) for number, one in enumerate(transport.candidates))
    yield "a=end-of-candidates"


def candidate_line(candidate: Candidate, number: int) -> str:
    """One of the relay's candidates.

    Args:
        number: its place among them; the first is preferred.
    """
    if candidate.transport == "tcp":
        # RFC 6544 section 4.2: below UDP's type preference, then the direction (passive: 4), then the order.
        priority = (90 << 24) | ((4 << 13 | (8191 - number)) << 8) | 255
        return f"a=candidate:{number + 1} 1 tcp {priority} {candidate.address} {candidate.port} typ host tcptype passive"
    # RFC 8445 section 5.1.2.1: type preference 126 (host), then the order in which the addresses were given.
    priority = (126 << 24) | ((65535 - number) << 8) | 255
    return f"a=candidate:{number + 1} 1 udp {priority} {candidate.address} {candidate.port} typ host"
