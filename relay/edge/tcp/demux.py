"""What a connection on the shared port is, told by its first bytes."""

from enum import StrEnum
from typing import Final

NEEDED: Final = 10
"""Bytes that decide every case: the length of a frame (2), and a STUN header up to its magic cookie (8)."""

MAX_HEAD: Final = 16 * 1024
"""Bytes of the first HTTP request's head: twice of what aiohttp takes in one line."""

_COOKIE: Final = b"\x21\x12\xa4\x42"
"""RFC 8489 section 5: bytes 4 to 7 of every STUN message."""

_HANDSHAKE: Final = 0x16
"""RFC 8446 section 5.1: the content type of the record that a ClientHello comes in; version 3.x follows."""


_MAX_FIRST: Final = 8
"""STUN begins with 0 to 3 (RFC 7983); a frame as long as any may be, with 7."""


class Kind(StrEnum):
    """What is spoken on a connection."""

    HTTP = "http"
    TLS = "tls"
    ICE_TCP = "ice_tcp"
    """RFC 4571 frames, the first of them STUN (RFC 6544)."""
    TURN = "turn"
    """STUN and TURN on a stream (RFC 8656)."""
    GARBAGE = "garbage"


def classify(head: bytes) -> Kind | None:
    """What the connection is that begins with these bytes; None: more are needed, at most `NEEDED`."""
    if not head:
        return None
    first = head[0]
    # A method is upper-case (RFC 9110 section 9.1); an empty line before it is forgiven (RFC 9112 section 2.2).
    if 0x41 <= first <= 0x5A or first in (0x0D, 0x0A):
        return Kind.HTTP
    if first == _HANDSHAKE:
        return None if len(head) < 2 else Kind.TLS if head[1] == 3 else Kind.GARBAGE
    return _stun(head) if first < _MAX_FIRST else Kind.GARBAGE


def _stun(head: bytes) -> Kind | None:
    """The cookie in one place leaves no room for it in the other, so nothing is both."""
    if len(head) < NEEDED:
        return None
    if head[4:8] == _COOKIE:
        return Kind.TURN
    return Kind.ICE_TCP if head[6:10] == _COOKIE else Kind.GARBAGE


def has_whole_head(request: bytes) -> bool:
    """Whether the head of an HTTP request is complete, so that reading it never waits."""
    return b"\r\n\r\n" in request or b"\n\n" in request.replace(b"\r\n", b"\n")
