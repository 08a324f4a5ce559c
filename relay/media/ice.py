"""ICE-lite (RFC 8445): the relay has an address that everyone can reach, so it only answers connectivity checks.

Sans-IO: datagrams and times come in, answers go out. `aioice.stun` parses and builds the messages.
"""

import secrets
import struct
from dataclasses import dataclass
from typing import Final

from aioice import stun

UFRAG_LENGTH: Final = 8
"""Characters; RFC 8445 section 5.3 asks for at least 4. 48 bits keep transports from guessing each other."""

PWD_LENGTH: Final = 24
"""Characters; RFC 8445 section 5.3 asks for at least 22 (128 bits)."""

ROAM_AFTER_SILENCE: Final = 1.0
"""Seconds. Firefox does not nominate again after its network changed: it just checks from the new address. An authentic check is
followed without USE-CANDIDATE once the old address has been silent for this long."""

_ROLE_CONFLICT: Final = (487, "Role Conflict")


def parse(datagram: bytes) -> stun.Message | None:
    """A STUN message, or None if it is not a well-formed one."""
    try:
        return stun.parse_message(datagram)
    except (ValueError, struct.error):
        return None


def local_ufrag(message: stun.Message) -> str | None:
    """Whom a connectivity check is for: the first half of its USERNAME (RFC 8445 section 7.2.2)."""
    username = message.attributes.get("USERNAME")
    return username.partition(":")[0] if username else None


@dataclass(frozen=True, slots=True)
class Answered:
    """An authentic check."""

    response: bytes
    nominates: bool
    """It carries USE-CANDIDATE and is no role conflict: the peer wants this path."""


class IceAgent:
    """The relay's end of one transport's ICE: its credentials, and the answers to checks that know them."""

    __slots__ = ("_key", "pwd", "ufrag")

    def __init__(self) -> None:
        self.ufrag = secrets.token_urlsafe(UFRAG_LENGTH)[:UFRAG_LENGTH].replace("-", "+").replace("_", "/")
        self.pwd = secrets.token_urlsafe(PWD_LENGTH)[:PWD_LENGTH].replace("-", "+").replace("_", "/")
        self._key = self.pwd.encode()

    def answer(self, request: stun.Message, source: tuple[str, int]) -> Answered | None:
        """The answer to a binding request from `source`, or None if it is not authentic."""
        # RFC 8445 section 7.3: nothing in a check is believed before its MESSAGE-INTEGRITY, keyed with our own password.
        if not request.check_message_integrity(self._key):
            return None
        # RFC 8445 section 7.3.1.1: a lite agent is always controlled, so its peer may not claim to be.
        conflict = "ICE-CONTROLLED" in request.attributes
        response = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.ERROR if conflict else stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
            attributes={"ERROR-CODE": _ROLE_CONFLICT} if conflict else {"XOR-MAPPED-ADDRESS": source},
        )
        response.add_message_integrity(self._key)
        return Answered(bytes(response), nominates=not conflict and "USE-CANDIDATE" in request.attributes)


def moves(nominates: bool, *, selected: bool, silence: float) -> bool:
    """Whether an authentic check from another address than the selected one moves the transport there.

    Args:
        nominates: it carries USE-CANDIDATE.
        selected: there is a selected address at all.
        silence: seconds since something valid came from it.
    """
    return nominates or not selected or silence > ROAM_AFTER_SILENCE
