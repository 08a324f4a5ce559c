"""ICE connectivity checks (RFC 8445), as far as the edge reads them: which transport they are for."""

from relay.stun import is_check, local_ufrag, parse


def ufrag_of(datagram: bytes) -> str | None:
    """The relay's user fragment that a connectivity check names."""
    message = parse(datagram)
    return local_ufrag(message) if message is not None and is_check(message) else None
