"""The header of the PROXY protocol, versions 1 and 2 (haproxy's doc/proxy-protocol.txt). Sans-IO.

A proxy for TCP writes it before the first byte of the client, TLS or not. The one library for it, `proxy-protocol`, has not been
released since 2024.
"""

import ipaddress
import struct
from dataclasses import dataclass
from typing import Final

from relay.edge.tcp.peers import Peer

MAX_HEADER: Final = 4096
"""Bytes. Version 1 has at most 107; version 2 may announce 65,551, but needs some hundred with every TLV that proxies add."""

_MAX_LINE: Final = 107
"""Section 2.1: with CRLF."""

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_BEGINNINGS: Final = (_SIGNATURE, b"PROXY T", b"PROXY U")
"""`PROXY` alone could be an HTTP method; its target begins with a slash."""

_FIXED: Final = 16
"""Bytes of version 2 before the addresses (section 2.2)."""
_LOCAL, _PROXY = 0, 1
_STREAM: Final = 1
_ADDRESS_SIZES: Final = {0: 0, 1: 4, 2: 16, 3: 108}
"""Address family → bytes of one address: unspecified, IPv4, IPv6, UNIX."""
_TLV_SSL: Final = 0x20
_CLIENT_SSL: Final = 0x01

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class MalformedHeader(ValueError):
    """It begins like a header and is none."""


@dataclass(frozen=True, slots=True)
class Header:
    """A complete one."""

    length: int
    """Bytes; the client's follow."""
    client: Peer | None
    """None: the connection is the proxy's own, such as a health check, or the proxy does not name its client."""


def begins_header(head: bytes) -> bool | None:
    """Whether a connection that begins with these bytes begins with a header; None: more are needed."""
    if head.startswith(_BEGINNINGS):
        return True
    return None if any(one.startswith(head) for one in _BEGINNINGS) else False


def parse_header(head: bytes) -> Header | None:
    """The header that these bytes begin with; None: it is not complete.

    Raises:
        MalformedHeader: it is none, or too long.
    """
    return _parse_binary(head) if head.startswith(_SIGNATURE) else _parse_line(head)


def _parse_line(head: bytes) -> Header | None:
    """Version 1 (section 2.1)."""
    line, end, _ = head[:_MAX_LINE].partition(b"\r\n")
    if not end:
        if len(head) >= _MAX_LINE:
            raise MalformedHeader("the line of version 1 does not end")
        return None
    length = len(line) + 2
    words = line.split(b" ")
    if words[1] == b"UNKNOWN":  # what follows is to be ignored
        return Header(length, None)
    versions = {b"TCP4": 4, b"TCP6": 6}
    if len(words) != 6 or words[1] not in versions:
        raise MalformedHeader("not the six words of version 1")
    try:
        source, destination = (ipaddress.ip_address(one.decode("ascii")) for one in words[2:4])
    except ValueError:
        raise MalformedHeader("not an address") from None
    if {source.version, destination.version} != {versions[words[1]]}:
        raise MalformedHeader("an address of another family")
    ports = [int(one) if one.isdigit() and len(one) <= 5 else -1 for one in words[4:]]
    if not all(0 <= port <= 0xFFFF for port in ports):
        raise MalformedHeader("not a port")
    return Header(length, _peer(source, ports[0], is_secure=False))


def _parse_binary(head: bytes) -> Header | None:
    """Version 2 (section 2.2)."""
    if len(head) < _FIXED:
        return None
    command, family, size = struct.unpack("!BBH", head[12:_FIXED])
    address_size, protocol = _ADDRESS_SIZES.get(family >> 4), family & 0xF
    if command >> 4 != 2 or command & 0xF not in (_LOCAL, _PROXY) or address_size is None or protocol > 2:
        raise MalformedHeader("an unknown version, command or family")
    length = _FIXED + size
    if length > MAX_HEADER:
        raise MalformedHeader(f"{length} bytes are too many")
    if len(head) < length:
        return None
    # Section 2.2: of LOCAL everything else is to be ignored, and a protocol that is not TCP says nothing of this connection.
    if command & 0xF == _LOCAL or address_size not in (4, 16) or protocol != _STREAM:
        return Header(length, None)
    body = head[_FIXED:length]
    ports_at = 2 * address_size
    if len(body) < ports_at + 4:
        raise MalformedHeader("no room for the addresses")
    source = ipaddress.ip_address(body[:address_size])
    (port,) = struct.unpack_from("!H", body, ports_at)
    return Header(length, _peer(source, port, is_secure=_is_secure(body[ports_at + 4 :])))


def _is_secure(tlvs: bytes) -> bool:
    """Whether the TLVs say that the client speaks TLS with the proxy (section 2.2.6)."""
    secure, at = False, 0
    while at < len(tlvs):
        if len(tlvs) - at < 3:
            raise MalformedHeader("half a TLV")
        kind, size = struct.unpack_from("!BH", tlvs, at)
        value = tlvs[at + 3 : at + 3 + size]
        if len(value) < size:
            raise MalformedHeader("half a TLV")
        if kind == _TLV_SSL:
            secure = bool(value) and bool(value[0] & _CLIENT_SSL)
        at += 3 + size
    return secure


def _peer(address: _Address, port: int, *, is_secure: bool) -> Peer:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return Peer(str(mapped or address), port, is_proxied=True, is_secure=is_secure)
