"""What one party sent and the other one was not sent: in a hold, and while its path is dead.

Both ends of SRTP must be led over such a gap (`relay.rtp.rollover`), or nothing that follows it would decrypt. Nothing here is
on the forwarding path: a transport whose `peer` or `tx` is None leaves that by itself.
"""

from typing import Any, Final, Protocol

from relay.media.net.dtls_srtp import forget_stream, protect
from relay.media.quality.counters import MediaCounters
from relay.media.quality.statistics import LegStatistics
from relay.media.repair.history import PacketHistory
from relay.media.transport.received import ReceivedStreams
from relay.rtp.rollover import STEP, empty_packet, filling

SENT_TO_DEAD_PATH: Final = STEP
"""Sequence numbers of a stream that are still sent to a path that is known to be dead, so that media is there at once when it
comes back: 80 s of audio, longer than consent lasts. With what was sent before the silence was noticed (12 s), until the next
look, and one step of filling, a receiver that got nothing of it has missed less than 2^15, at 1,800 packets a second."""

MAX_AGAIN: Final = 2**13
"""Packets that may wait to be sent once more: what fills a gap of each of 256 streams, and as much again."""

_FREE_TYPES: Final = (*range(127, 95, -1), *range(63, 34, -1))
"""Payload types that are assigned dynamically (RFC 3551 section 6, RFC 9143 section 9.1.1)."""


class GappedTransport(Protocol):
    """What a gap needs of its `Transport`, and of the one that it is joined to."""

    tx: Any
    destination: Any
    counters: MediaCounters
    history: PacketHistory
    received: ReceivedStreams
    statistics: LegStatistics

    @property
    def peer(self) -> "GappedTransport | None": ...

    @property
    def gap(self) -> "SendingGap": ...


class SendingGap:
    """The gap in what the peer of a transport was sent, if there is one.

    Attributes:
        other: the transport that this one was joined to last, whose media it may be sent again.
    """

    __slots__ = ("_again", "_last", "_sent_to_dead_path", "_transport", "_tx", "other")

    def __init__(self, transport: GappedTransport) -> None:
        self.other: GappedTransport | None = None
        self._transport = transport
        self._last: dict[int, int] = {}
        """While there is a gap: by SSRC, the newest sequence number before it, unwrapped."""
        self._sent_to_dead_path: dict[int, int] | None = None
        """While the path is dead: by SSRC, the newest sequence number when that was noticed, unwrapped."""
        self._tx: Any = None
        """What `Transport.tx` was before the path died, while nothing is sent to it."""
        self._again: list[bytes] = []
        """What has filled a gap, the newest `MAX_AGAIN`, to be sent once more a moment later, when the path is alive: a burst may
        be lost as a whole. No deque, which takes 600 bytes while it is empty."""

    @property
    def waits(self) -> bool:
        """Whether the transport is up, and nothing is sent to it because its path is dead."""
        return self._tx is not None

    def begin(self) -> None:
        """What the other party sends is not sent on, from now on or for longer already."""
        transport = self._transport
        if transport.tx is not None and transport.peer is not None:
            for ssrc, stream in transport.peer.statistics.streams.items():
                self._last.setdefault(ssrc, stream.highest)

    def end(self) -> None:
        """The transport is joined to its `peer`, whose media is sent on again if it was before."""
        transport = self._transport
        if self.other is not transport.peer:
            self._last.clear()
            self.other = transport.peer
        self._fill()

    def path_is_back(self) -> None:
        """Something authentic came from the peer."""
        if self._sent_to_dead_path is None:
            return
        self._sent_to_dead_path = None
        self._send_again()
        if self._tx is not None:
            self._transport.tx, self._tx = self._tx, None
            self._fill()

    def tick(self, *, alive: bool) -> None:
        """Called every second, with whether the path is."""
        transport = self._transport
        if alive:
            self._send_again()
            return
        if self._sent_to_dead_path is None:
            self._sent_to_dead_path = {}
        if transport.peer is not None and not self.waits:
            sent = self._sent_to_dead_path
            streams = transport.peer.statistics.streams
            if any(one.highest - sent.setdefault(ssrc, one.highest) > SENT_TO_DEAD_PATH for ssrc, one in streams.items()):
                self._wait()

    def sender_skips(self, ssrc: int, last: int) -> None:
        """Of what the other party has sent since this sequence number, unwrapped, nothing has arrived until now."""
        self._last.setdefault(ssrc, last)
        self._fill()

    def forget(self, ssrc: int) -> None:
        """The other party does not use this SSRC any more."""
        self._transport.history.streams.pop(ssrc, None)
        self._last.pop(ssrc, None)
        session = self._transport.tx or self._tx
        if session is not None:
            forget_stream(session, ssrc)

    def close(self) -> None:
        """The transport is."""
        self._tx = self.other = None
        self._last.clear()
        self._again.clear()

    def _send_again(self) -> None:
        again, self._again = self._again, []
        for packet in again:
            self._transport.destination.send(packet)

    def _wait(self) -> None:
        """Send nothing until the path is back."""
        self.begin()
        if self._transport.tx is not None:
            self._transport.tx, self._tx = None, self._transport.tx

    def _fill(self) -> None:
        """Lead the receiver over the gap."""
        transport, other = self._transport, self._transport.peer
        if other is None or transport.tx is None:
            return
        last, self._last = self._last, {}
        if self._sent_to_dead_path is not None:
            self._sent_to_dead_path.clear()  # what fills the gap is sent again when the path is back
        unused = next(
            (one for one in _FREE_TYPES if one not in transport.received.formats and one not in other.received.formats), 127
        )
        for ssrc, number in last.items():
            stream = other.statistics.streams.get(ssrc)
            if stream is None:
                continue
            for missing in filling(number, stream.highest):
                packet = protect(transport.tx, empty_packet(unused, missing, stream.timestamp, ssrc), rtcp=False)
                if packet is not None:
                    transport.counters["gaps_filled"] += 1
                    transport.destination.send(packet)
                    self._again.append(packet)
        del self._again[:-MAX_AGAIN]
