"""STUN messages (RFC 8489), as both planes read them: well-formed or not, and which transport a check is for."""

import struct

from aioice import stun


def parse(datagram: bytes) -> stun.Message | None:
    """A STUN message, or None if it is not a well-formed one."""
    try:
        return stun.parse_message(datagram)
    except (ValueError, struct.error):
        return None


def is_check(message: stun.Message) -> bool:
    """Whether it is a connectivity check: a binding request (RFC 8445 section 7.2.2)."""
    return message.message_method is stun.Method.BINDING and message.message_class is stun.Class.REQUEST


def local_ufrag(check: stun.Message) -> str | None:
    """The user fragment of the transport that a connectivity check is for: the first half of its USERNAME, which the receiver has
    chosen (RFC 8445 section 7.2.2)."""
    username = check.attributes.get("USERNAME")
    return username.partition(":")[0] if username else None
