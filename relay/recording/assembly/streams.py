"""RTP streams, put in order: numbers unwrapped once, retransmissions and redundancy unpacked, packets in sequence."""

from struct import Struct
from typing import Final, NamedTuple

import msgspec

from relay.recording.assembly.budget import PER_ITEM
from relay.rtp.packet import payload_range

REORDER_TIME: Final = 2.0
"""Seconds of arrival that a gap stays open: browsers ask for a packet again for 1 s, and a round trip may take another."""

REORDER_PACKETS: Final = 1024
"""Packets that wait behind a gap at most."""

RESTART_PACKETS: Final = 1000
RESTART_SECONDS: Final = 30.0
"""A jump of more than this, without a pause of arrival that matches, is a sender that began anew."""

_osn = Struct("!H").unpack_from


def payload_of(data: bytes, flags: int) -> tuple[int, int]:
    """As `relay.rtp.packet.payload_range`, quicker for the header that browsers send: an extension, no CSRC, no padding."""
    if flags == 0x90 and len(data) >= 16:
        begin = 16 + ((data[14] << 8 | data[15]) << 2)
        return (begin, len(data)) if begin <= len(data) else (0, 0)
    return payload_range(data, len(data)) if flags & 0x3F else (12, len(data))


class Unwrap:
    """Sequence numbers (16 bits) and timestamps (32 bits) of one SSRC, as numbers that only grow.

    The same packets in the same order give the same numbers: both passes over a capture use it.
    """

    __slots__ = (
        *("_arrival", "_most", "_odd", "_rate", "_seq", "_ts", "held_sequence", "held_timestamp", "high", "newest", "restarts"),
        *("sequence", "started", "timestamp"),
    )

    ORDINARY, HELD, RESTARTED = range(3)

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._most = int(RESTART_SECONDS * rate)
        self.started = False
        self._seq = self._ts = 0
        self._arrival = 0.0
        self._odd: tuple[int, int, float] | None = None
        self.high = self.newest = 0
        """The highest sequence number and timestamp so far."""
        self.sequence = self.timestamp = 0
        """Of the packet that was fed last."""
        self.held_sequence = self.held_timestamp = 0
        """Of the packet before it, if that was held and the sender has restarted."""
        self.restarts = 0

    def feed(self, seq: int, ts: int, arrival: float) -> int:
        """Place a packet.

        A packet that fits to nothing is `HELD`: it is dropped, unless the next one follows it (as of RFC 3550, A.1). Then the
        sender has `RESTARTED`, and both count.

        Args:
            arrival: seconds.
        """
        if seq == self._seq + 1 and 0 <= ts - self._ts <= self._most and self.started:  # the next one, as nearly always
            self.sequence = self.high = self.high + 1
            self.timestamp = self.newest = self.newest + ts - self._ts
            self._seq, self._ts, self._arrival, self._odd = seq, ts, arrival, None
            return self.ORDINARY
        ahead = ((seq - self._seq + 0x8000) & 0xFFFF) - 0x8000
        later = ((ts - self._ts + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        if not self.started:
            self.started = True
            self.sequence = self.high = seq
            self.timestamp = self.newest = ts
        elif -RESTART_PACKETS <= ahead <= RESTART_PACKETS and abs(later) <= self._most:
            self.sequence = self.high + ahead
            self.timestamp = self.newest + later
            if ahead <= 0:
                return self.ORDINARY
            self.high = self.sequence
            self.newest = self.timestamp
        else:
            pause = arrival - self._arrival
            if later > 0 and abs(later / self._rate - pause) <= max(1.0, pause * 0.02):
                # It went on sending while nothing arrived: a hold, an outage. Its numbers may have wrapped any number of times.
                self.sequence = self.high = self.high + (ahead & 0xFFFF)
                self.timestamp = self.newest = self.newest + later
            elif self._odd is None or not self._follows(seq, ts):
                self._odd = (seq, ts, arrival)
                return self.HELD
            else:
                self._restart(seq, ts)
                self._seq, self._ts, self._arrival, self._odd = seq, ts, arrival, None
                return self.RESTARTED
        self._seq, self._ts, self._arrival, self._odd = seq, ts, arrival, None
        return self.ORDINARY

    def _follows(self, seq: int, ts: int) -> bool:
        assert self._odd is not None
        before, when, _ = self._odd
        return 0 < ((seq - before) & 0xFFFF) <= 16 and abs(((ts - when + 0x80000000) & 0xFFFFFFFF) - 0x80000000) <= self._rate * 2

    def _restart(self, seq: int, ts: int) -> None:
        assert self._odd is not None
        before, when, arrival = self._odd
        self.restarts += 1
        # Re-anchored by arrival; at least 1 ms later, so that timestamps of before and after cannot be mistaken.
        self.held_sequence = self.high + 2
        self.held_timestamp = self.newest + max(self._rate // 1000, int((arrival - self._arrival) * self._rate))
        self.sequence = self.high = self.held_sequence + ((seq - before) & 0xFFFF)
        self.timestamp = self.held_timestamp + ((ts - when + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        self.newest = max(self.held_timestamp, self.timestamp)

    def is_near(self, seq: int, ts: int) -> bool:
        """Whether a packet with these numbers may be one of this stream, sent lately."""
        ahead = ((seq - self._seq + 0x8000) & 0xFFFF) - 0x8000
        later = ((ts - self._ts + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        return self.started and abs(ahead) <= RESTART_PACKETS and abs(later) <= self._most

    def locate(self, seq: int, ts: int) -> tuple[int, int]:
        """Where a packet belongs that is sent again."""
        ahead = ((seq - self._seq + 0x8000) & 0xFFFF) - 0x8000
        return self.high + ahead, self.timestamp_of(ts)

    def timestamp_of(self, ts: int) -> int:
        """An RTP timestamp of now, unwrapped."""
        return self.newest + ((ts - self._ts + 0x80000000) & 0xFFFFFFFF) - 0x80000000


class Arrived(msgspec.Struct, frozen=True, gc=False):
    """A packet of a stream, without what it was wrapped in."""

    sequence: int
    timestamp: int
    """Both unwrapped."""
    marker: bool
    codec: str
    """Lower-case; empty if it carries nothing that is written: padding, forward error correction, telephone events."""
    payload: bytes
    arrival: float


class Reorder:
    """Gives packets on by their sequence numbers. A gap is waited for, then given up."""

    __slots__ = ("_missing", "duplicates", "held", "late", "lost", "next", "waiting")

    def __init__(self) -> None:
        self.next: int | None = None
        """The sequence number that is next in order; None before the first."""
        self.waiting: dict[int, Arrived] = {}
        """Behind a gap, in the order of arrival."""
        self._missing: set[int] = set()
        """Given up, of the last `REORDER_PACKETS`."""
        self.held = 0
        """Bytes that wait."""
        self.lost = self.late = self.duplicates = 0

    def push(self, packet: Arrived) -> list[Arrived]:
        """What may go on now that this packet is here, in order."""
        sequence = packet.sequence
        if self.next is None:
            self.next = sequence
        if sequence == self.next and not self.waiting:
            self.next = sequence + 1
            return [packet]
        if sequence < self.next or sequence in self.waiting:
            self._count_behind(sequence)
            return []
        self.waiting[sequence] = packet
        self.held += len(packet.payload) + PER_ITEM
        return self._ready(packet.arrival)

    def missing(self, sequence: int) -> bool:
        """Whether a packet is of use still."""
        return self.next is not None and sequence >= self.next and sequence not in self.waiting

    def _ready(self, now: float) -> list[Arrived]:
        assert self.next is not None
        waiting, following, out = self.waiting, self.next, []
        while waiting:
            if (packet := waiting.pop(following, None)) is not None:
                out.append(packet)
                self.held -= len(packet.payload) + PER_ITEM
                following += 1
            elif len(waiting) > REORDER_PACKETS or now - next(iter(waiting.values())).arrival > REORDER_TIME:
                # `next(iter())` is the one that has waited longest.
                first = min(waiting)
                self._give_up(following, first)
                following = first
            else:
                break
        self.next = following
        return out

    def expire(self, now: float) -> list[Arrived]:
        """What has waited long enough, by now."""
        return self._ready(now) if self.waiting else []

    def flush(self) -> list[Arrived]:
        """What still waits, in order: no more will come before it."""
        return self.expire(float("inf"))

    def begin(self, sequence: int) -> list[Arrived]:
        """Go on from here: the sender has restarted. Returns what still waited."""
        out = self.flush()
        self.next = sequence
        self._missing.clear()
        return out

    def _give_up(self, begin: int, end: int) -> None:
        self.lost += end - begin
        self._missing.update(range(max(begin, end - REORDER_PACKETS), end))
        if len(self._missing) > 2 * REORDER_PACKETS:
            self._missing = {one for one in self._missing if one >= end - REORDER_PACKETS}

    def _count_behind(self, sequence: int) -> None:
        if sequence in self._missing:
            self._missing.discard(sequence)
            self.late += 1
        else:
            self.duplicates += 1


def unpack_rtx(payload: bytes) -> tuple[int, bytes] | None:
    """The original sequence number and payload of a retransmission (RFC 4588 section 4); None for a probe, which has none."""
    if len(payload) <= 2:
        return None
    return _osn(payload)[0], payload[2:]


class RedBlock(NamedTuple):
    """A block of a RED packet."""

    payload_type: int
    offset: int
    """By which its timestamp is earlier than the packet's, in units of the clock."""
    payload: bytes


def unpack_red(payload: bytes) -> list[RedBlock]:
    """The blocks of a RED packet (RFC 2198 section 3), the primary one last.

    Raises:
        ValueError: a header or a block is cut off.
    """
    if payload and not payload[0] & 0x80:  # that of nearly every packet of video
        return [RedBlock(payload[0], 0, payload[1:])]
    headers: list[tuple[int, int, int]] = []
    position = 0
    while True:
        if position >= len(payload):
            raise ValueError("a RED header is cut off")
        first = payload[position]
        if not first & 0x80:
            position += 1
            break
        if position + 4 > len(payload):
            raise ValueError("a RED header is cut off")
        value = int.from_bytes(payload[position + 1 : position + 4])
        headers.append((first & 0x7F, value >> 10, value & 0x3FF))
        position += 4
    blocks = []
    for payload_type, offset, length in headers:
        if position + length > len(payload):
            raise ValueError("a RED block is cut off")
        blocks.append(RedBlock(payload_type, offset, payload[position : position + length]))
        position += length
    return [*blocks, RedBlock(first & 0x7F, 0, payload[position:])]
