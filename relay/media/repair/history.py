"""What was sent a moment ago, as it was sent: for answering NACKs without asking the media's sender.

The packets themselves stay where they were received, decrypted and encrypted: in the ring of receive buffers, until it comes
round. A stream's history only notes where each is, by its sequence number, so that remembering a packet costs three array stores
and no copy, and the bound on bytes is that of the ring.
"""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from relay.rtp.packet import peek

SLOTS = 512
"""Packets per stream, a power of two: 1.7 s at 2.5 Mbit/s, the most that browsers send for one camera unasked."""

MAX_STREAMS = 64
"""Per transport, of 14 kB each. Three simulcast layers and a shared screen, each with retransmissions, and audio, are nine."""

MIN_AGE = 0.5
"""Seconds that a packet can be asked for on a short path: there, receivers ask again for as long as frames can wait."""

MAX_AGE = 2.0
"""Seconds that a packet can be asked for at most: later than that, receivers have asked for a keyframe instead."""

ROUND_TRIPS = 4
"""How long a packet can be asked for, on a longer path: the first request arrives after one round trip, and three more may
follow. With 10 % loss each way, of 770 lost packets one is still missing then. (libwebrtc keeps max(1 s, 3 round trips).)"""

DEFAULT_RTT = 0.1
"""Seconds, until it has been measured."""

MIN_REPEAT = 0.02
"""Seconds between two answers with the same packet, however short the path: libwebrtc looks every 20 ms what to ask for."""

MAX_REPEATS = 10
"""Answers with the same packet: libwebrtc asks ten times. Bounds what a peer can cause that asks for everything, always."""


class Ring(Protocol):
    """Where packets are kept (`relay.media.net.mmsg.ReceiveRing`)."""

    def read(self, serial: int, size: int) -> bytes | None:
        """The first `size` bytes of a datagram, or None if it is not held any more."""
        ...


@dataclass(frozen=True, slots=True)
class NackAnswer:
    """What to do about the sequence numbers of a NACK."""

    packets: tuple[bytes, ...]
    """To send now, as they are."""
    answered: frozenset[int]
    """Not to be asked of the media's sender (`rtcp.without_nacks`): sent now, or so recently that they are on their way."""


class SentStream:
    """Where the last packets of one outgoing stream are, by sequence number modulo `SLOTS`."""

    __slots__ = ("_repeats", "_sent_again", "_serials", "_sizes", "_times", "ring")

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self._serials = array("Q", bytes(8 * SLOTS))
        self._sizes = array("H", bytes(2 * SLOTS))
        """Bytes; 0 where no packet is."""
        self._times = array("d", bytes(8 * SLOTS))
        self._sent_again = array("d", bytes(8 * SLOTS))
        """When a slot's packet was last sent again: earlier than `_times`, it was another packet's time."""
        self._repeats = array("B", bytes(SLOTS))

    def store(self, sequence: int, serial: int, size: int, now: float) -> None:
        """Remember an outgoing packet: its RTP sequence number, its serial number in the ring, its bytes, and when (seconds)."""
        slot = sequence & (SLOTS - 1)
        self._serials[slot] = serial
        self._sizes[slot] = size
        self._times[slot] = now

    def find(self, sequence: int, since: float) -> bytes | None:
        """A packet that was stored at `since` (seconds) or later, if it is still held."""
        slot = sequence & (SLOTS - 1)
        size = self._sizes[slot]
        if not size or self._times[slot] < since:
            return None
        packet = self.ring.read(self._serials[slot], size)
        # The slot may hold another packet of the stream, a multiple of SLOTS away.
        return packet if packet is not None and peek(packet)[2] == sequence else None

    def holds(self, sequence: int, since: float) -> bool:
        """Whether `find` would find it."""
        slot = sequence & (SLOTS - 1)
        if not self._sizes[slot] or self._times[slot] < since:
            return False
        header = self.ring.read(self._serials[slot], 4)
        return header is not None and int.from_bytes(header[2:4], "big") == sequence

    def answer(self, sequences: Iterable[int], now: float, rtt: float | None) -> NackAnswer:
        """Answer a NACK, with each packet at most once in a round trip: a repeat is asked for before the answer arrives.

        Args:
            sequences: 16 bits each.
            now: seconds.
            rtt: seconds between the relay and the peer that asks; None while unknown.
        """
        rtt = DEFAULT_RTT if rtt is None else rtt
        since = now - min(max(MIN_AGE, ROUND_TRIPS * rtt), MAX_AGE)
        quiet = now - max(rtt, MIN_REPEAT)
        packets: list[bytes] = []
        answered: set[int] = set()
        for sequence in sequences:
            packet = self.find(sequence, since)
            if packet is None:
                continue
            slot = sequence & (SLOTS - 1)
            again = self._sent_again[slot] >= self._times[slot]
            if again and self._sent_again[slot] > quiet:
                answered.add(sequence)
                continue
            repeats = self._repeats[slot] if again else 0
            if repeats < MAX_REPEATS:
                self._repeats[slot] = repeats + 1
                self._sent_again[slot] = now
                packets.append(packet)
                answered.add(sequence)
        return NackAnswer(tuple(packets), frozenset(answered))


_NOTHING = NackAnswer((), frozenset())


class PacketHistory:
    """The streams that a transport has sent.

    Attributes:
        streams: by SSRC. To look up; `open_stream` adds.
    """

    __slots__ = ("_retransmitted", "streams")

    def __init__(self) -> None:
        self.streams: dict[int, SentStream] = {}
        self._retransmitted: dict[tuple[int, int], int] = {}
        """SSRC of retransmissions (RFC 4588), and the sequence number of what was sent again → that of the retransmission."""

    def open_stream(self, ssrc: int, ring: Ring) -> SentStream:
        """Begin to remember a stream, whose packets arrive in `ring`."""
        self.streams.pop(ssrc, None)
        if len(self.streams) == MAX_STREAMS:
            # The one that began first: a browser that renegotiates leaves the SSRCs it began with behind.
            del self.streams[next(iter(self.streams))]
        stream = self.streams[ssrc] = SentStream(ring)
        return stream

    def retransmitted(self, ssrc: int, original: int, sequence: int) -> None:
        """A retransmission goes out: its SSRC, the sequence number of what it repeats, and its own; 16 bits each."""
        self._retransmitted.pop((ssrc, original), None)
        if len(self._retransmitted) == SLOTS:
            del self._retransmitted[next(iter(self._retransmitted))]
        self._retransmitted[ssrc, original] = sequence

    def was_retransmitted(self, ssrc: int, original: int) -> bool:
        """Whether a retransmission with this SSRC has repeated that packet, lately."""
        return (ssrc, original) in self._retransmitted

    def answer(
        self, ssrc: int, sequences: Iterable[int], now: float, rtt: float | None, retransmissions: int | None = None
    ) -> NackAnswer:
        """Answer a NACK of one stream: arguments as of `SentStream.answer`.

        What never arrived from its sender, but for its retransmission, is answered with that: the retransmission was lost, too.

        Args:
            retransmissions: the SSRC of the stream's retransmissions; None while unknown.
        """
        stream = self.streams.get(ssrc)
        answer = _NOTHING if stream is None else stream.answer(sequences, now, rtt)
        again = self.streams.get(retransmissions) if retransmissions is not None else None
        if again is None or retransmissions is None:
            return answer
        repeated = {
            self._retransmitted[retransmissions, one]: one for one in sequences if self.was_retransmitted(retransmissions, one)
        }
        second = again.answer([number for number, one in repeated.items() if one not in answer.answered], now, rtt)
        return NackAnswer(answer.packets + second.packets, answer.answered | {repeated[number] for number in second.answered})
