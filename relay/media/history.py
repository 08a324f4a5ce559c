"""What was sent a moment ago, as it was sent: for answering NACKs without asking the media's sender.

One `PacketHistory` per transport holds the encrypted bytes of every stream that leaves by it. They are written one after
the other into one arena, round and round: storing a packet is a copy and three array stores, nothing is ever freed, and the
bound on bytes holds by construction. Where a packet is, is found by its sequence number; whether it is still the same
packet, by its position and by its own RTP header, which SRTP leaves readable.
"""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

from relay.media.rtp import Buffer, peek

MAX_BYTES = 512 * 1024
"""Of packets per transport: 1.7 s at 2.5 Mbit/s, the most that browsers send for one camera unasked."""

MIN_BYTES = 32 * 1024
"""Where the arena begins; it doubles while a lap takes less than `MAX_AGE`. 2 s of a voice call are 16 KiB."""

SLOTS = 512
"""Packets per stream, a power of two: nearly as many of full size (1,100 bytes) fill `MAX_BYTES`."""

MAX_STREAMS = 12
"""Per transport: three simulcast layers and a shared screen, each with retransmissions, and sound, are nine."""

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


@dataclass(frozen=True, slots=True)
class Answer:
    """What to do about the sequence numbers of a NACK."""

    packets: tuple[bytes, ...]
    """To send now, as they are."""
    answered: frozenset[int]
    """Not to be asked of the media's sender (`rtcp.without_nacks`): sent now, or so recently that they are on their way."""


class _Index:
    """Where one stream's packets are, by sequence number modulo `SLOTS`."""

    __slots__ = ("positions", "repeats", "sent_again", "sizes", "times")

    def __init__(self) -> None:
        self.positions = array("Q", bytes(8 * SLOTS))
        self.sizes = array("H", bytes(2 * SLOTS))
        """Bytes; 0 where no packet is."""
        self.times = array("d", bytes(8 * SLOTS))
        self.sent_again = array("d", bytes(8 * SLOTS))
        """When a slot's packet was last sent again: earlier than `times`, it was another packet's time."""
        self.repeats = array("B", bytes(SLOTS))


_INDEX_BYTES = 27 * SLOTS


class PacketHistory:
    """The encrypted packets that a transport has sent, of all its streams.

    Positions count the bytes stored since the beginning. A lap is one passage through the arena: `_lap` is the position at
    which this one began, and what it has not written over yet is of the lap before.
    """

    __slots__ = ("_arena", "_capacity", "_head", "_indexes", "_lap", "_lap_before", "_lap_time")

    def __init__(self, now: float) -> None:
        self._capacity = MIN_BYTES
        self._arena = memoryview(bytearray(MIN_BYTES))
        self._head = 0
        self._lap = 0
        self._lap_before = 0
        self._lap_time = now
        self._indexes: dict[int, _Index] = {}

    @property
    def memory(self) -> int:
        """Bytes held, for packets and for finding them."""
        return self._capacity + _INDEX_BYTES * len(self._indexes)

    def store(self, ssrc: int, sequence: int, packet: Buffer, now: float) -> None:
        """Remember an outgoing packet; its bytes are copied.

        Args:
            ssrc, sequence: as in its RTP header.
            packet: encrypted; no more than `MIN_BYTES`.
            now: seconds.
        """
        size = len(packet)
        head = self._head
        begin = head - self._lap
        end = begin + size
        if end > self._capacity:
            begin = self._turn(now)
            end = begin + size
        self._arena[begin:end] = packet
        self._head = head + size
        index = self._indexes.get(ssrc)
        if index is None:
            index = self._open(ssrc)
        slot = sequence & (SLOTS - 1)
        index.positions[slot] = head
        index.sizes[slot] = size
        index.times[slot] = now

    def _turn(self, now: float) -> int:
        """The arena is full: double it if the lap was too short, else go round. Returns where the next packet goes."""
        used = self._head - self._lap
        self._lap_before = self._lap
        if now - self._lap_time < MAX_AGE and self._capacity < MAX_BYTES:
            # Of the lap before nothing is left but what the next packet did not fit in: it is given up.
            self._capacity *= 2
            arena = memoryview(bytearray(self._capacity))
            arena[:used] = self._arena[:used]
            self._arena = arena
            return used
        self._lap = self._head
        self._lap_time = now
        return 0

    def _open(self, ssrc: int) -> _Index:
        if len(self._indexes) == MAX_STREAMS:
            # The one that began first: a browser that renegotiates leaves the SSRCs it began with behind.
            del self._indexes[next(iter(self._indexes))]
        index = self._indexes[ssrc] = _Index()
        return index

    def find(self, ssrc: int, sequence: int, since: float) -> bytes | None:
        """A packet that was stored at `since` (seconds) or later, if it is still held."""
        index = self._indexes.get(ssrc)
        if index is None:
            return None
        slot = sequence & (SLOTS - 1)
        size = index.sizes[slot]
        if not size or index.times[slot] < since:
            return None
        position = index.positions[slot]
        begin = position - self._lap
        if begin < 0:
            begin = position - self._lap_before
            if begin < self._head - self._lap:
                return None
        packet = bytes(self._arena[begin : begin + size])
        # The slot may hold another packet of the stream, a multiple of SLOTS away.
        return packet if peek(packet)[2] == sequence else None

    def answer(self, ssrc: int, sequences: Iterable[int], now: float, rtt: float | None) -> Answer:
        """Answer a NACK, with each packet at most once in a round trip: a repeat is asked for before the answer arrives.

        Args:
            ssrc: the media's.
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
            packet = self.find(ssrc, sequence, since)
            if packet is None:
                continue
            index = self._indexes[ssrc]
            slot = sequence & (SLOTS - 1)
            again = index.sent_again[slot] >= index.times[slot]
            if again and index.sent_again[slot] > quiet:
                answered.add(sequence)
                continue
            repeats = index.repeats[slot] if again else 0
            if repeats < MAX_REPEATS:
                index.repeats[slot] = repeats + 1
                index.sent_again[slot] = now
                packets.append(packet)
                answered.add(sequence)
        return Answer(tuple(packets), frozenset(answered))
