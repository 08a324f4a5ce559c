"""Where the peer of one transport is: the addresses that it has been heard from, and the selected one, which media is sent to.

Nothing is believed of an address but what its answers show. Before the peer has proved to receive at the first one, no more than
three times what came from there is sent (RFC 9000 section 8.1 has the same rule and the same reason: sources can be forged). Once
DTLS has begun, another address is selected only after it has answered a check of the relay's own (`relay.media.validation`).

Sans-IO: `send` of a `RemoteAddress` is the only way out.
"""

from dataclasses import dataclass
from typing import Any, Final, Protocol

from aioice import stun

from relay.media.quality.counters import MediaCounters
from relay.media.transport.consent import Consent
from relay.media.transport.ice import FOLLOW_AFTER_SILENCE, ROAM_AFTER_SILENCE, IceAgent, moves
from relay.media.transport.liveness import Liveness
from relay.media.transport.timing import USUAL, Timing

MAX_ADDRESSES: Final = 8
"""Addresses that a peer may have validated at a time; the oldest is forgotten first."""

AMPLIFICATION: Final = 3
"""Bytes that may be sent for each that came, to an address that has not answered yet (RFC 9000 section 8.1)."""

MAX_WAITING: Final = 16
"""DTLS datagrams that wait for that: two flights with a certificate. DTLS sends again what is dropped."""

GONE_AFTER: Final = 0.5
"""Seconds that the selected address may leave a check unanswered until a peer that checks from elsewhere counts as gone."""


class RemoteAddress(Protocol):
    """Where a peer is, as seen by the socket that reaches it."""

    transport: Any
    last_seen: float
    allowance: int
    """Bytes that may still be sent there before the peer has proved to receive there."""

    def send(self, datagram: bytes) -> None: ...

    def forget(self) -> None:
        """Take the address out of the socket's routing table."""
        ...


@dataclass(frozen=True, slots=True)
class Move:
    """Another address was selected."""

    first: bool
    """There was none before."""
    silence: float
    """Seconds that the one before had been silent for."""


class Silenced:
    """A destination in the place of one whose consent has run out: what is sent there is dropped, and counted.

    Packets are still encrypted, so that their SRTP index goes on and the peer can decrypt what follows once it consents again.
    Before it would have missed too many for that, `relay.media.transport.gap` ends it.
    """

    __slots__ = ("_counters", "name", "outgoing", "socket")

    def __init__(self, counters: MediaCounters) -> None:
        self._counters = counters
        self.name = 0
        self.outgoing: list[Any] = []
        self.socket = self
        """Whose `flush` is to be called after a batch (`relay.media.routing.direct`)."""

    def send(self, datagram: bytes) -> None:
        self._counters["dropped_unconsented"] += 1

    def flush(self) -> None:
        self._counters["dropped_unconsented"] += len(self.outgoing)
        self.outgoing.clear()


class Path:
    """The path of one transport.

    Attributes:
        addresses: those that the peer has checked or answered from; to be read only.
        selected: where media is sent to; None before the first check.
        destination: the same as the forwarding path wants it: `selected`, or a `Silenced`.
        proven: the peer has shown that it receives at the selected address: it answered a check, or finished the DTLS handshake,
            of which every flight was sent there.
    """

    __slots__ = (
        "_checked_at",
        "_chosen",
        "_counters",
        "_dtls_sent",
        "_liveness",
        "_nominations",
        "_owner",
        "_waiting",
        "addresses",
        "consent",
        "destination",
        "proven",
        "selected",
    )

    def __init__(self, owner: object, counters: MediaCounters, timing: Timing = USUAL) -> None:
        self._owner: object | None = owner
        """The transport: what `RemoteAddress.transport` is set to."""
        self._counters = counters
        self.addresses: list[RemoteAddress] = []
        self._nominations = 0
        """Checks with USE-CANDIDATE so far."""
        self._chosen = 0
        """The last of these that came from the selected address."""
        self._dtls_sent = False
        self._waiting: list[bytes] = []
        self._checked_at = 0.0
        """When a check, or an answer to one, last came from the selected address."""
        self._liveness = Liveness(timing)
        self.consent = Consent()
        self.selected: Any = None
        self.destination: Any = None
        self.proven = False

    @property
    def settled(self) -> bool:
        """DTLS has begun: from here on only an answer moves the transport."""
        return self._dtls_sent

    def silence(self, now: float) -> float:
        """Seconds since something authentic arrived from the selected address."""
        return now - (self.selected.last_seen if self.selected is not None else 0.0)

    # -- what comes -----------------------------------------------------------------------------------------------------

    def checked(self, address: RemoteAddress, credit: int, now: float, *, nominates: bool) -> Move | None:
        """An authentic check came from the selected address; or, before the path is settled, from any, which may be new.

        Args:
            credit: bytes that the relay may send there on account of it, before the peer has proved to receive there.
        """
        assert address is self.selected or not self.settled, "only an answer moves a settled path"
        self._remember(address)
        move = None
        if not self.proven:
            address.allowance += credit
        if address is not self.selected:
            if moves(nominates, selected=self.selected is not None, silence=self.silence(now)):
                move = self._select(address, now, proven=False)
        elif nominates:
            self._chosen = self.nominated()
        address.last_seen = now
        if address is self.selected:
            self._checked_at = now
            self._release()
        return move

    def nominated(self) -> int:
        """The peer nominates an address, which is asked first if it is not the selected one. The number of the nomination."""
        self._nominations += 1
        return self._nominations

    def answered(self, address: RemoteAddress, now: float, *, nomination: int, by_media: bool) -> Move | None:
        """The peer answered a check from another address than the selected one.

        Args:
            nomination: the number of its last nomination of this address; 0: it has none.
            by_media: it was asked because authentic packets came from there, and none from the selected address.
        """
        self._remember(address)
        left = self.silence(now) > FOLLOW_AFTER_SILENCE if by_media else self.gone(now)
        move = None
        if address is not self.selected and (nomination > self._chosen or left):
            move = self._select(address, now, proven=True)
            self._chosen = max(self._chosen, nomination)
        address.last_seen = now
        if address is self.selected:
            self._checked_at = now
            self.confirmed(now)
        return move

    def gone(self, now: float) -> bool:
        """Whether the peer seems to have left the selected address: it is silent and does not answer."""
        if self.destination is not self.selected:
            return True
        return self.silence(now) > ROAM_AFTER_SILENCE and self.consent.unanswered_for(now) >= GONE_AFTER

    def consented(self, answer: stun.Message, address: RemoteAddress, now: float) -> bool | None:
        """Take an answer to a check of `ask`.

        Returns:
            Whether it is authentic; None if this address was not asked.
        """
        authentic = self.consent.answered(answer, now) if address is self.selected else None
        if authentic:
            self.confirmed(now)
            address.last_seen = self._checked_at = now
        return authentic

    def received(self, address: RemoteAddress, octets: int) -> None:
        """A DTLS datagram came from an address of this transport's."""
        if not self.proven:
            address.allowance += AMPLIFICATION * octets
            self._release()

    def confirmed(self, now: float) -> None:
        """The peer receives at the selected address."""
        self.proven = True
        self.consent.grant(now)
        self.destination = self.selected
        self._release()

    def lose(self, address: RemoteAddress) -> None:
        """The address is no longer this transport's: it is one too many, or another transport has proved that it is there."""
        self.addresses.remove(address)
        if address is self.selected:
            self.destination = Silenced(self._counters)

    def _remember(self, address: RemoteAddress) -> None:
        if address.transport is self._owner:
            return
        address.transport = self._owner
        self.addresses.append(address)
        if len(self.addresses) > MAX_ADDRESSES:
            oldest = next(one for one in self.addresses if one is not self.selected)
            self.lose(oldest)
            oldest.forget()

    def _select(self, address: RemoteAddress, now: float, *, proven: bool) -> Move:
        move = Move(first=self.selected is None, silence=self.silence(now))
        self.selected = self.destination = address
        self.proven = proven
        self.consent.begin()
        return move

    # -- what goes ------------------------------------------------------------------------------------------------------

    def send_dtls(self, datagram: bytes) -> None:
        """Send a DTLS datagram, at once or as soon as it may be."""
        self._dtls_sent = True
        if self.selected is None:
            return
        if self.proven:
            self.destination.send(datagram)
        elif len(self._waiting) < MAX_WAITING:
            self._waiting.append(datagram)
            self._release()
        else:
            self._counters["dropped_unvalidated"] += 1

    def _release(self) -> None:
        """Send of what waits as much as may be sent by now."""
        while self._waiting and (self.proven or self.selected.allowance >= len(self._waiting[0])):
            datagram = self._waiting.pop(0)
            if not self.proven:
                self.selected.allowance -= len(datagram)
            self.destination.send(datagram)

    def probe(self, ice: IceAgent, now: float) -> None:
        """Ask the selected address unprompted: not where consent has run out (RFC 7675 section 5.1)."""
        if self.destination is self.selected:
            self.ask(ice, now)

    def ask(self, ice: IceAgent, now: float) -> None:
        """Ask the selected address whether the peer receives there, and agrees to."""
        if self.selected is None or ice.peer is None:
            return
        check = self.consent.check(ice, now)
        if check is None:
            return
        if not self.proven:
            if self.selected.allowance < len(check):
                return
            self.selected.allowance -= len(check)
        self._counters["consent_checks_sent"] += 1
        self.selected.send(check)

    # -- time -----------------------------------------------------------------------------------------------------------

    def tick(self, ice: IceAgent, now: float) -> bool:
        """Look after an established path. Called every second.

        Returns:
            Whether it is alive.
        """
        selected = self.selected
        self._liveness.look(selected.last_seen, self._checked_at, now)
        if self.consent.expires(now):
            self._counters["consents_expired"] += 1
            self.destination = Silenced(self._counters)
        consented = self.destination is selected
        silence = self.silence(now)
        if self.consent.due(now) or silence > self._liveness.probe_after:
            self.probe(ice, now)
        return consented and silence <= self._liveness.patience

    def close(self) -> None:
        """Free the addresses, and the transport: two that keep each other would wait for the garbage collector."""
        self._owner = None
        for address in self.addresses:
            address.forget()
        self.addresses.clear()
        self._waiting.clear()
        self.selected = self.destination = None
