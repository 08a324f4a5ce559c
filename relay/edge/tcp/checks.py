"""ICE connectivity checks (RFC 8445), as far as the front reads them: whom they are for."""

import struct

from aioice import stun


def ufrag_of(datagram: bytes) -> str | None:
    """The relay's user fragment that a binding request names, the first half of its USERNAME (RFC 8445 section 7.2.2)."""
    try:
        message = stun.parse_message(datagram)
    except (ValueError, struct.error):
        return None
    if message.message_class is not stun.Class.REQUEST or message.message_method is not stun.Method.BINDING:
        return None
    username = message.attributes.get("USERNAME")
    return username.partition(":")[0] if username else None
