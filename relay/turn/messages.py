"""STUN and TURN messages (RFC 8489, RFC 8656) and ChannelData, read and written.

Nothing here raises on a peer's bytes. `aioice.stun` has the methods, the classes, both checksums and most attributes. What it
lacks is here: the other attributes of RFC 8656, several peers in one message, unknown types (420), and
strictness about the cookie and about lengths.
"""

import hmac
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aioice import stun

Address = tuple[str, int]

MAX_LENGTH: Final = 4096
"""Bytes of a message or of ChannelData with its header. The media plane's datagrams are up to 2,048 long, a request's user name,
realm and nonce together up to 2,039 (RFC 8489 section 14)."""

CHANNELS: Final = range(0x4000, 0x8000)
"""Channel numbers. RFC 8656 section 12 leaves off at 0x4FFF, for ports that TURN shares with what begins with other bytes. Here
it shares none, and clients of RFC 5766 (section 11), coturn's among them, pick any of these."""

CHANNEL_HEADER_LENGTH: Final = 4

_header = struct.Struct("!HHI12s")
_pair = struct.Struct("!HH")

_METHOD: Final = 0x3EEF
_METHODS: Final = frozenset(stun.Method)
_CLASS: Final = 0x0110
_NOT_STUN: Final = 0xC000
_OPTIONAL: Final = 0x8000
"""Attributes from here on may be ignored where they are unknown (RFC 8489 section 14)."""

_MESSAGE_INTEGRITY: Final = 0x0008
_FINGERPRINT: Final = 0x8028


def padding(length: int) -> int:
    """Bytes up to the next multiple of four."""
    return -length % 4


# -- attributes ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Attribute:
    """How one attribute is written and read; both take the transaction id, which the XOR-ed addresses need."""

    number: int
    pack: Callable[[Any, bytes], bytes]
    unpack: Callable[[bytes, bytes], Any]


def _of_aioice(name: str) -> tuple[str, _Attribute]:
    number, _, pack, unpack = stun.ATTRIBUTES_BY_NAME[name]
    if pack is stun.pack_xor_address:
        return name, _Attribute(number, stun.pack_xor_address, stun.unpack_xor_address)
    return name, _Attribute(number, lambda value, _: pack(value), lambda value, _: unpack(value))


def _family(value: bytes) -> int:
    return _exactly(4, value)[0]


def _family_and_error(value: bytes) -> tuple[int, int, str]:
    code, reason = stun.unpack_error_code(value)
    return value[0], code, reason


def _exactly(length: int, value: bytes) -> bytes:
    if len(value) != length:
        raise ValueError(f"{len(value)} bytes instead of {length}")
    return value


_ATTRIBUTES: Final[Mapping[str, _Attribute]] = dict(
    map(
        _of_aioice,
        (
            "USERNAME",
            "ERROR-CODE",
            "CHANNEL-NUMBER",
            "LIFETIME",
            "XOR-PEER-ADDRESS",
            "DATA",
            "REALM",
            "NONCE",
            "XOR-RELAYED-ADDRESS",
            "REQUESTED-TRANSPORT",
            "XOR-MAPPED-ADDRESS",
        ),
    )
) | {
    "UNKNOWN-ATTRIBUTES": _Attribute(
        0x000A,
        lambda value, _: struct.pack(f"!{len(value)}H", *value),
        lambda value, _: struct.unpack(f"!{len(value) // 2}H", value),
    ),
    # RFC 8656 section 18: the first byte, and three that are reserved.
    "REQUESTED-ADDRESS-FAMILY": _Attribute(0x0017, lambda value, _: bytes((value, 0, 0, 0)), lambda value, _: _family(value)),
    "EVEN-PORT": _Attribute(0x0018, lambda value, _: bytes((value << 7,)), lambda value, _: bool(_exactly(1, value)[0] >> 7)),
    "DONT-FRAGMENT": _Attribute(0x001A, lambda value, _: b"", lambda value, _: None),
    "RESERVATION-TOKEN": _Attribute(0x0022, lambda value, _: value, lambda value, _: _exactly(8, value)),
    "ADDITIONAL-ADDRESS-FAMILY": _Attribute(0x8000, lambda value, _: bytes((value, 0, 0, 0)), lambda value, _: _family(value)),
    "ADDRESS-ERROR-CODE": _Attribute(
        0x8001,
        lambda value, _: bytes((value[0],)) + stun.pack_error_code(value[1:])[1:],
        lambda value, _: _family_and_error(value),
    ),
    # What a client says of itself may be any bytes: it is of no interest.
    "SOFTWARE": _Attribute(0x8022, lambda value, _: value.encode(), lambda value, _: value),
}
_NAMES: Final[Mapping[int, str]] = {attribute.number: name for name, attribute in _ATTRIBUTES.items()}


# -- messages -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StunMessage:
    """A STUN message whose header, lengths and FINGERPRINT are good."""

    method: stun.Method
    message_class: stun.Class
    transaction_id: bytes
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """By name, the first of each (RFC 8489 section 14); only those that MESSAGE-INTEGRITY covers, if there is one. Values as in
    `aioice.stun`; address families are 1 and 2, EVEN-PORT is its R bit, ADDRESS-ERROR-CODE is family, code and reason."""
    peers: tuple[Address, ...] = ()
    """Each XOR-PEER-ADDRESS."""
    unknown: tuple[int, ...] = ()
    """The types that it must not be processed without understanding."""
    malformed: bool = False
    """A request with an attribute that cannot be read. It deserves 400; nothing else in it is set."""
    has_fingerprint: bool = False
    signed: bytes | None = None
    """What is before MESSAGE-INTEGRITY; None without one."""
    signature: bytes = b""

    def is_signed_with(self, key: bytes) -> bool:
        if self.signed is None:
            return False
        return hmac.compare_digest(self.signature, stun.message_integrity(self.signed, key))


def parse(data: bytes) -> StunMessage | None:
    """The STUN message that `data` is, from its first byte to its last; None if it is none, or one without an answer."""
    if not stun.HEADER_LENGTH <= len(data) <= MAX_LENGTH:
        return None
    kind, length, cookie, transaction_id = _header.unpack_from(data)
    # RFC 8489 section 5. Without the cookie it is the STUN of RFC 3489, which no TURN client speaks.
    if kind & _NOT_STUN or cookie != stun.COOKIE or length != len(data) - stun.HEADER_LENGTH or length % 4:
        return None
    if kind & _METHOD not in _METHODS:
        return None
    method, message_class = stun.Method(kind & _METHOD), stun.Class(kind & _CLASS)
    try:
        return _parse_attributes(data, method, message_class, transaction_id)
    except _NotStun:
        return None
    except (ValueError, struct.error):
        malformed = StunMessage(method, message_class, transaction_id, malformed=True)
        return malformed if message_class is stun.Class.REQUEST else None


class _NotStun(Exception):
    """The FINGERPRINT says that these bytes only look like STUN."""


def _parse_attributes(data: bytes, method: stun.Method, message_class: stun.Class, transaction_id: bytes) -> StunMessage:
    attributes: dict[str, Any] = {}
    peers: list[Address] = []
    unknown: dict[int, None] = {}
    signed: bytes | None = None
    signature = b""
    has_fingerprint = False
    position = stun.HEADER_LENGTH
    while position < len(data):
        number, length = _pair.unpack_from(data, position)
        end = position + 4 + length + padding(length)
        if end > len(data):
            raise ValueError("an attribute is longer than its message")
        value = data[position + 4 : position + 4 + length]
        if number == _FINGERPRINT:
            # RFC 8489 section 14.7: it is the last one, and wrong in what is not STUN.
            if end != len(data) or value != struct.pack("!I", stun.message_fingerprint(data[:position])):
                raise _NotStun
            has_fingerprint = True
        elif signed is not None:
            pass  # RFC 8489 section 14.5: what follows the signature is not authentic
        elif number == _MESSAGE_INTEGRITY:
            signed, signature = data[:position], value
        elif number in _NAMES:
            name = _NAMES[number]
            decoded = _ATTRIBUTES[name].unpack(value, transaction_id)
            attributes.setdefault(name, decoded)
            if name == "XOR-PEER-ADDRESS":
                peers.append(decoded)
        elif number < _OPTIONAL:
            unknown[number] = None
        position = end
    return StunMessage(
        method=method,
        message_class=message_class,
        transaction_id=transaction_id,
        attributes=attributes,
        peers=tuple(peers),
        unknown=tuple(unknown),
        has_fingerprint=has_fingerprint,
        signed=signed,
        signature=signature,
    )


def build(
    method: stun.Method,
    message_class: stun.Class,
    transaction_id: bytes,
    attributes: Mapping[str, Any],
    *,
    key: bytes | None = None,
    fingerprint: bool = False,
) -> bytes:
    """A message with these attributes, a MESSAGE-INTEGRITY made with `key` if there is one, and a FINGERPRINT if asked for.

    Args:
        attributes: by name, with values as in `StunMessage.attributes`. A list of them is written as so many attributes.
    """
    parts = [b""]
    for name, given in attributes.items():
        attribute = _ATTRIBUTES[name]
        for one in given if isinstance(given, list) else [given]:
            parts.append(_attribute(attribute.number, attribute.pack(one, transaction_id)))
    body = b"".join(parts)
    message = _header.pack(method | message_class, len(body), stun.COOKIE, transaction_id) + body
    # Both checksums cover the header's length as it is with themselves (RFC 8489 sections 14.5 and 14.7): aioice sets that.
    if key is not None:
        message += _attribute(_MESSAGE_INTEGRITY, stun.message_integrity(message, key))
    if fingerprint:
        message += _attribute(_FINGERPRINT, struct.pack("!I", stun.message_fingerprint(message)))
    return stun.set_body_length(message, len(message) - stun.HEADER_LENGTH)


def _attribute(number: int, value: bytes) -> bytes:
    return _pair.pack(number, len(value)) + value + bytes(padding(len(value)))


# -- ChannelData --------------------------------------------------------------------------------------------------------


def is_channel_data(data: bytes | bytearray) -> bool:
    """Whether the first byte is that of ChannelData: the two bits that are zero in STUN (RFC 5766 section 11)."""
    return len(data) > 0 and data[0] >> 6 == 1


def parse_channel_data(data: bytes) -> tuple[int, bytes] | None:
    """The channel's number and the data, behind which padding may follow; None if it is cut short, or no channel's."""
    if not CHANNEL_HEADER_LENGTH <= len(data) <= MAX_LENGTH:
        return None
    number, length = _pair.unpack_from(data)
    if number not in CHANNELS or CHANNEL_HEADER_LENGTH + length > len(data):
        return None
    return number, data[CHANNEL_HEADER_LENGTH : CHANNEL_HEADER_LENGTH + length]


def channel_data(number: int, data: bytes, *, padded: bool) -> bytes:
    """ChannelData; padded to a multiple of four, as streams need it (RFC 8656 section 12.5)."""
    return _pair.pack(number, len(data)) + data + bytes(padding(len(data)) if padded else 0)
