"""Peer-reflexive addresses: a peer's packets come from there although it has validated others. How the relay checks them.

A NAT that forgets a client gives it another address in mid-call (NAT rebinding), and the client does not know. What it sends is
as authentic as before; but an observer that captures a packet can send it from any address too, once. So nothing but a
connectivity check (a triggered one, RFC 8445 section 7.3.1.4) is sent to such an address, until the answer shows that the peer is
there and consents to receive (RFC 7675). The checks to an address never have more bytes than what came from it: they are of no
use for a flood.

Sans-IO: what is heard comes in, what is to be asked goes out.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Final

from aioice import stun

from relay.media.transport.ice import IceAgent

CHECK_INTERVAL: Final = 0.2
"""Seconds between two checks to an address, until one is answered. STUN would wait 0.5 s (RFC 8489 section 6.2.1), but each is an
answer to packets that go on to come."""

MAX_PROBES: Final = 4
"""Addresses of a transport that are asked at a time; the one that was heard first is forgotten first."""

MAX_CHECKED: Final = 16
"""Addresses of a transport that are known to be its peer's, and no more: a browser has one per interface and TURN URL. The one
that was checked first is forgotten first."""

FORGET_AFTER: Final = 5.0
"""Seconds since an address was heard, until it is asked afresh and a late answer counts no more."""


@dataclass(slots=True, eq=False)
class AddressProbe:
    """The check of one such address."""

    transport_id: str
    address: Hashable
    credentials: tuple[str, bytes]
    """USERNAME of the check, and the key that it and its answer are signed with."""
    transaction_id: bytes
    check: bytes
    octets: int = 0
    """Heard from there, less those of the checks that were sent there."""
    checked_at: float = float("-inf")
    heard_at: float = float("-inf")
    nomination: int = 0
    """The number of the peer's last nomination of this address (`Path.nominated`); 0: none."""
    by_media: bool = False
    """Authentic packets came from there, not only checks."""
    remote: Any = None
    """Where to send its checks; None: to nowhere, the caller does."""
    repeats: bool = False
    """A timer that repeats the check is running."""

    def signed(self, answer: stun.Message) -> bool:
        """Whether the answer is signed with the peer's password."""
        return answer.check_message_integrity(self.credentials[1])


class CheckedAddresses:
    """Addresses that a peer has checked, of which its transport takes some into the routes, and selects one: what comes from the
    others is the peer's, too. A browser sends over a path that it is about to nominate a moment before it says so."""

    def __init__(self) -> None:
        self._transports: dict[Hashable, str] = {}
        self._addresses: dict[str, dict[Hashable, None]] = {}

    def add(self, address: Hashable, transport_id: str) -> None:
        """An authentic check came from there."""
        self._forget(address)
        mine = self._addresses.setdefault(transport_id, {})
        if len(mine) == MAX_CHECKED:
            self._forget(next(iter(mine)))
        mine[address] = None
        self._transports[address] = transport_id

    def transport_at(self, address: Hashable) -> str | None:
        """The transport whose peer was last seen to be there."""
        return self._transports.get(address)

    def forget_transport(self, transport_id: str) -> None:
        """The transport is closed."""
        for address in self._addresses.pop(transport_id, {}):
            del self._transports[address]

    def _forget(self, address: Hashable) -> None:
        transport_id = self._transports.pop(address, None)
        if transport_id is not None:
            del self._addresses[transport_id][address]


class AddressProbes:
    """The checks of all transports."""

    def __init__(self) -> None:
        self._by_transport: dict[str, dict[Hashable, AddressProbe]] = {}
        self._by_transaction: dict[bytes, AddressProbe] = {}

    def heard(self, transport_id: str, ice: IceAgent, address: Hashable, octets: int, now: float) -> AddressProbe:
        """An authentic packet of so many bytes came from an address that is to be checked.

        Args:
            ice: the transport's agent, whose peer is known.
            now: seconds, monotonic.

        Returns:
            The probe of it, whose check may be `due`.
        """
        probe = self.known(transport_id, ice, address)
        probe.heard_at = now
        probe.octets += octets
        return probe

    def due(self, probe: AddressProbe, now: float) -> bytes | None:
        """The check to send there by now; None if it is not time for one, or what came from there does not suffice for it."""
        if probe.octets < len(probe.check) or now - probe.checked_at < CHECK_INTERVAL:
            return None
        probe.octets -= len(probe.check)
        probe.checked_at = now
        return probe.check

    def waits(self, probe: AddressProbe) -> bool:
        """Whether its answer still counts, and may be asked for once more."""
        present = self._by_transport.get(probe.transport_id, {}).get(probe.address)
        return present is probe and probe.octets >= len(probe.check)

    def renew(self, transport_id: str, ice: IceAgent) -> list[AddressProbe]:
        """The peer's credentials have changed: those of a transport that were asked by the old ones, to be asked by the new."""
        renewed = []
        for old in list(self._by_transport.get(transport_id, {}).values()):
            new = self.known(transport_id, ice, old.address)
            if new is not old:
                new.octets, new.heard_at, new.remote = old.octets, old.heard_at, old.remote
                new.nomination, new.by_media = old.nomination, old.by_media
                renewed.append(new)
        return renewed

    def known(self, transport_id: str, ice: IceAgent, address: Hashable) -> AddressProbe:
        """The probe of an address of that transport: the one that waits for its answer, or a new one."""
        assert ice.peer is not None, "a peer is described before it is asked"
        present = self._by_transport.setdefault(transport_id, {})
        credentials = ice.username, ice.peer.pwd.encode()
        probe = present.get(address)
        if probe is not None:
            if probe.credentials == credentials:
                return probe
            self.forget(probe)  # ICE was restarted: an answer to the old check would not come
        elif len(present) == MAX_PROBES:
            self.forget(next(iter(present.values())))
        check = ice.check()
        probe = AddressProbe(transport_id, address, credentials, check.transaction_id, bytes(check))
        self._by_transaction[probe.transaction_id] = present[address] = probe
        return probe

    def asked(self, transaction_id: bytes, address: Hashable) -> AddressProbe | None:
        """The probe that this check belongs to, if it was sent to that address."""
        probe = self._by_transaction.get(transaction_id)
        return probe if probe is not None and probe.address == address else None

    def forget(self, probe: AddressProbe) -> None:
        """It has answered, or will not."""
        del self._by_transaction[probe.transaction_id]
        del self._by_transport[probe.transport_id][probe.address]

    def forget_transport(self, transport_id: str) -> None:
        """The transport is closed."""
        for probe in self._by_transport.pop(transport_id, {}).values():
            del self._by_transaction[probe.transaction_id]

    def forget_silent(self, now: float) -> None:
        """Forget those that have not been heard for `FORGET_AFTER`."""
        silent = [one for one in self._by_transaction.values() if now - one.heard_at > FORGET_AFTER]
        for probe in silent:
            self.forget(probe)
