"""ICE-lite (RFC 8445): the relay has an address that everyone can reach, so it only answers connectivity checks.

Sans-IO: datagrams and times come in, answers go out. `aioice.stun` parses and builds the messages.
"""

import ipaddress
import secrets
from dataclasses import dataclass
from typing import Final

from aioice import stun

UFRAG_LENGTH: Final = 8
"""Characters; RFC 8445 section 5.3 asks for at least 4. 48 bits keep transports from guessing each other."""

PWD_LENGTH: Final = 24
"""Characters; RFC 8445 section 5.3 asks for at least 22 (128 bits)."""

FOLLOW_AFTER_SILENCE: Final = 0.1
"""Seconds without a packet from the selected address, after which a peer is followed to where its packets come from instead, once
it has proved to be there. The length of five audio packets, or two frames of video: more than two paths differ by, so that a peer
that uses both is left where it is, and less than can be seen."""

ROAM_AFTER_SILENCE: Final = 1.0
"""Seconds. Firefox does not nominate again after its network changed: it just checks from the new address. An authentic check is
followed without USE-CANDIDATE once the old address has been silent for this long."""

MAX_SEEN: Final = 64
"""Checks that are remembered to know them again: those of some minutes, on a path that is up."""

_CARRIED: Final = ipaddress.ip_network("127.64.0.0/10")
"""Where peers are that reach the relay by TCP or TURN, as far as media can tell (`relay.edge.tunnel`)."""

_SHARED: Final = ipaddress.ip_network("100.64.0.0/10")
"""RFC 6598, the shared address space of an ISP's NAT: as large, and no public address."""

_PRIORITY: Final = (110 << 24) + (65_535 << 8) + 255
"""RFC 8445 section 5.1.2.1: of a peer-reflexive candidate of the first component, as section 7.1.1 has it in checks."""

_ROLE_CONFLICT: Final = (487, "Role Conflict")


def reflexive(source: tuple[str, int]) -> tuple[str, int]:
    """The address that an answer gives a peer as its own (XOR-MAPPED-ADDRESS).

    Firefox drops an answer that names a loopback address and never connects, so that a peer that is carried over loopback is told
    an address of its own in `_SHARED` instead. Only the peer's own bookkeeping needs it: nothing is ever sent there.
    """
    host, port = source
    address = ipaddress.ip_address(host)
    if address not in _CARRIED:
        return source
    return str(_SHARED.network_address + (int(address) - int(_CARRIED.network_address))), port


@dataclass(frozen=True, slots=True)
class AnsweredCheck:
    """An authentic check."""

    response: bytes
    nominates: bool
    """It carries USE-CANDIDATE and is no role conflict: the peer wants this path."""
    repeated: bool = False
    """The same has come from the same address before. The peer sends it again, or an attacker does: it proves nothing."""


@dataclass(frozen=True, slots=True)
class IceCredentials:
    """One end's, as its description says."""

    ufrag: str
    pwd: str

    @classmethod
    def fresh(cls) -> "IceCredentials":
        return cls(_ice_characters(UFRAG_LENGTH), _ice_characters(PWD_LENGTH))


def _ice_characters(count: int) -> str:
    """Random letters, digits, + and / (RFC 8839 section 5.4)."""
    return secrets.token_urlsafe(count)[:count].replace("-", "+").replace("_", "/")


class IceAgent:
    """The relay's end of one transport's ICE: its credentials, and the answers to checks that know them."""

    __slots__ = ("_current", "_previous", "_seen", "_tie_breaker", "peer")

    def __init__(self) -> None:
        self._current = IceCredentials.fresh()
        self._previous: IceCredentials | None = None
        self._tie_breaker = secrets.randbits(64)
        self._seen: dict[tuple[bytes, tuple[str, int]], None] = {}
        """Authentic checks of late: transaction id and source."""
        self.peer: IceCredentials | None = None
        """The peer's own, once they are known."""

    @property
    def ufrag(self) -> str:
        return self._current.ufrag

    @property
    def pwd(self) -> str:
        return self._current.pwd

    @property
    def previous_ufrag(self) -> str | None:
        """Of the credentials before the last restart."""
        return self._previous.ufrag if self._previous else None

    def restart(self) -> None:
        """Take fresh credentials (RFC 8445 section 9). The old ones stay good, so that media flows until the peer has the new."""
        self._previous = self._current
        self._current = IceCredentials.fresh()

    def forget_previous(self) -> None:
        """The peer has used the current credentials: the ones before them are invalid."""
        self._previous = None

    @property
    def username(self) -> str:
        """Of a check of our own: the peer's ufrag, and that of ours which the peer is known to have (RFC 8445 section 7.2.2)."""
        assert self.peer is not None, "a peer is described before it is asked"
        return f"{self.peer.ufrag}:{(self._previous or self._current).ufrag}"

    def check(self) -> stun.Message:
        """A check of our own: a lite agent begins none, but has to ask whether the peer is where its packets come from."""
        assert self.peer is not None, "a peer is described before it is asked"
        request = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.REQUEST,
            attributes={"USERNAME": self.username, "PRIORITY": _PRIORITY, "ICE-CONTROLLED": self._tie_breaker},
        )
        request.add_message_integrity(self.peer.pwd.encode())
        return request

    def answer(self, request: stun.Message, ufrag: str, source: tuple[str, int]) -> AnsweredCheck | None:
        """The answer to a binding request from `source` to `ufrag`, or None if it is not authentic."""
        credentials = self._previous if self._previous and ufrag == self._previous.ufrag else self._current
        key = credentials.pwd.encode()
        # RFC 8445 section 7.3: nothing in a check is believed before its MESSAGE-INTEGRITY, keyed with our own password.
        if not request.check_message_integrity(key):
            return None
        # RFC 8445 section 7.3.1.1: a lite agent is always controlled, so its peer may not claim to be.
        conflict = "ICE-CONTROLLED" in request.attributes
        response = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.ERROR if conflict else stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
            attributes={"ERROR-CODE": _ROLE_CONFLICT} if conflict else {"XOR-MAPPED-ADDRESS": reflexive(source)},
        )
        response.add_message_integrity(key)
        return AnsweredCheck(
            bytes(response),
            nominates=not conflict and "USE-CANDIDATE" in request.attributes,
            repeated=self._repeats((request.transaction_id, source)),
        )

    def _repeats(self, check: tuple[bytes, tuple[str, int]]) -> bool:
        if check in self._seen:
            return True
        if len(self._seen) == MAX_SEEN:
            del self._seen[next(iter(self._seen))]
        self._seen[check] = None
        return False


def moves(nominates: bool, *, selected: bool, silence: float) -> bool:
    """Whether an authentic check from another address than the selected one moves the transport there.

    Args:
        nominates: it carries USE-CANDIDATE.
        selected: there is a selected address at all.
        silence: seconds since something valid came from it.
    """
    return nominates or not selected or silence > ROAM_AFTER_SILENCE
