"""What a capture file consists of: pcapng blocks (draft-ietf-opsawg-pcapng), laid out in memory where the packets arrive.

Interface 0 has events, as JSON. Every other interface is one description of what one transport's peer sends; its packets are RTP
and RTCP behind a made-up IPv4 and UDP header, which has no address of any peer. Times are nanoseconds of the wall clock at the
start plus what has passed of the monotonic clock since, so that an adjusted clock tears nothing. Sans-IO.
"""

import functools
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from relay.media.api import MediaDescription, PartyLabel

BLOCK_SIZE: Final = 64 * 1024
"""Bytes that are handed over at a time, at most: 0.13 s of an HD call, and one write."""

MAX_COMMENT: Final = 65_000
"""Bytes: the length of an option has 16 bits."""

_SECTION: Final = 0x0A0D0D0A
_BYTE_ORDER: Final = 0x1A2B3C4D
_INTERFACE: Final = 1
_PACKET: Final = 6
_LINK_EVENTS: Final = 147
"""LINKTYPE_USER0."""
_LINK_IPV4: Final = 228
_COMMENT, _IF_NAME, _SHB_USERAPPL, _IF_TSRESOL = 1, 2, 4, 9
_NANOSECONDS: Final = b"\x09"
_END: Final = bytes(4)
"""Of options."""

_HEADERS: Final = 28
"""Bytes of the IPv4 and UDP headers."""
_OVERHEAD: Final = 28 + _HEADERS + 4
"""Bytes of a packet's block beside the packet: its head, the made-up headers, and its length again."""

CLOCK_TOLERANCE: Final = 1_000_000
"""Nanoseconds by which the wall clock may differ from a capture's clock for another capture to begin by that one."""

_event_lengths: Final = struct.Struct("<2I").pack
_pack_stamp: Final = struct.Struct("<2I").pack
_NEEDED_LEAST: Final = ("extensions", "parameters", "ssrcs", "ssrc_groups", "rids", "simulcast")
"""Of a description that is too long, in the order in which it is left out: only a hostile one is."""

_head: Final = struct.Struct("<3I").unpack_from
_stamped: Final = struct.Struct("<2I").unpack_from


class Envelopes(dict[int, tuple[bytes, bytes, bytes, int]]):
    """What surrounds the packets of an interface in their blocks, by the length of the packet.

    Each value: what is before the time, what is between the time and the packet, what is behind the packet, and the length of
    the whole block. They are made once per length: only the time and the packet differ from block to block.
    """

    def __init__(self, interface: int, party: PartyLabel) -> None:
        super().__init__()
        self._interface = interface
        self._addresses = b"\x0a\x00\x00\x01\x0a\x00\x00\x02" if party == "A" else b"\x0a\x00\x00\x02\x0a\x00\x00\x01"

    def __missing__(self, size: int) -> tuple[bytes, bytes, bytes, int]:
        length, captured = (size + _OVERHEAD + 3) & ~3, size + _HEADERS
        ip = struct.pack("!BBHHHBBH", 0x45, 0, captured, 0, 0, 64, 17, 0) + self._addresses
        udp = struct.pack("!HHHH", 5004, 5004, 8 + size, 0)
        head = struct.pack("<3I", _PACKET, length, self._interface)
        tail = bytes(-size % 4) + struct.pack("<I", length)
        self[size] = made = head, struct.pack("<2I", captured, captured) + ip + udp, tail, length
        return made


@functools.lru_cache(maxsize=16)
def envelopes(interface: int, party: PartyLabel) -> Envelopes:
    """Those that captures have in common: nearly all have one interface per party."""
    return Envelopes(interface, party)


def media_comment(media: Iterable[MediaDescription]) -> bytes:
    """What an interface says of its media, as JSON. Of a description that is too long, without what is needed least."""
    media = tuple(media)
    comment = msgspec.json.encode({"media": media})
    if len(comment) <= MAX_COMMENT:
        return comment
    sections = [msgspec.to_builtins(one, str_keys=True) for one in media]
    for needless in (_NEEDED_LEAST[:1], _NEEDED_LEAST[:2], _NEEDED_LEAST):
        comment = msgspec.json.encode({"media": [_without(one, needless) for one in sections]})
        if len(comment) <= MAX_COMMENT:
            return comment
    return b'{"media":[]}'


def _without(section: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    codecs = [{name: value for name, value in one.items() if name not in names} for one in section["codecs"]]
    return {name: codecs if name == "codecs" else value for name, value in section.items() if name not in names}


@dataclass(slots=True)
class Backlog:
    """Bytes of all captures of a process that are not written yet. One thread counts each way, so neither needs a lock."""

    limit: int = 0
    queued: int = 0
    written: int = 0
    """Of those that were queued: written, or given up."""

    @property
    def is_full(self) -> bool:
        return self.queued - self.written >= self.limit


class CaptureClock:
    """The wall clock of captures: that of one moment, plus what has passed of the monotonic clock since.

    Captures share one. A batch of packets has one time, and that is laid out once, not once for each capture.

    Args:
        wall: nanoseconds since 1970, now.
        now: seconds, monotonic.

    Attributes:
        now: when it was last asked for the time; seconds, monotonic.
        stamp: that time, as a pcapng block has it.
    """

    __slots__ = ("_offset", "now", "stamp")

    def __init__(self, wall: int, now: float) -> None:
        self._offset = wall - int(now * 1e9)
        self.now, self.stamp = float("-inf"), b""

    def nanoseconds(self, now: float) -> int:
        """Since 1970."""
        return int(now * 1e9) + self._offset

    def moment(self, nanoseconds: int) -> float:
        """Seconds, monotonic."""
        return (nanoseconds - self._offset) / 1e9

    def agrees(self, wall: int, now: float) -> bool:
        """Whether the wall clock has not been adjusted since."""
        return abs(wall - self.nanoseconds(now)) <= CLOCK_TOLERANCE

    def at(self, now: float) -> bytes:
        """A time, as a block has it."""
        if now != self.now:
            wall = self.nanoseconds(now)
            self.now, self.stamp = now, _pack_stamp(wall >> 32, wall & 0xFFFFFFFF)
        return self.stamp


@dataclass(slots=True)
class ClosedBlock:
    """Some pcapng blocks, to be written."""

    parts: list[bytes]
    """One pcapng block each."""
    length: int
    """Bytes."""
    packets: int
    """Media packets in it."""
    last_at: float
    """Seconds, monotonic: when the last packet or event came."""

    @property
    def octets(self) -> bytes:
        """All of it in one piece."""
        return b"".join(self.parts)


class CaptureBlocks:
    """Lays out one capture.

    Args:
        now: seconds, monotonic.
        version: of the relay, for the file.

    Attributes:
        dropped: packets left out because too much was waiting to be written.
    """

    __slots__ = (
        "_backlog",
        "_clock",
        "_closed",
        "_dropping",
        "_fill",
        "_interfaces",
        "_limit",
        "_others",
        "_parts",
        "dropped",
    )

    def __init__(self, backlog: Backlog, clock: CaptureClock, now: float, version: str) -> None:
        self._backlog = backlog
        self._clock = clock
        self._closed: list[ClosedBlock] = []
        self._interfaces = 0
        self._dropping = self.dropped = 0
        self._fill = self._limit = 0
        self._others = 0
        """Pcapng blocks that are being laid out and are no media packets."""
        self._parts: list[bytes] = []
        application = _option(_SHB_USERAPPL, f"call-relay {version}".encode())
        self._add_block(_SECTION, struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1) + application + _END, now)
        self._add_interface(_LINK_EVENTS, _option(_IF_NAME, b"events"), now)

    # -- packets ------------------------------------------------------------------------------------------------------

    def add(self, around: Envelopes, packet: bytes, now: float) -> None:
        """Lay out a packet: half a microsecond. That each has memory of its own takes less time than to fill a large buffer.

        Args:
            around: as of `envelopes`, by interface.
            now: seconds, monotonic.
        """
        head, headers, tail, length = around[len(packet)]
        if self._fill + length > self._limit and not self._make_room(now):
            return
        clock = self._clock
        stamp = clock.stamp if now == clock.now else clock.at(now)  # most packets are not the first of their batch
        self._parts.append(b"".join((head, stamp, headers, packet, tail)))
        self._fill += length

    def _make_room(self, now: float) -> bool:
        """Begin anew, with a packet; False if it has to be left out."""
        if self._backlog.is_full:
            self._dropping += 1
            self.dropped += 1
            self._limit = 0  # so that each packet asks
            return False
        self._begin(now)
        return True

    def _begin(self, now: float, size: int = BLOCK_SIZE) -> None:
        self._close()
        self._limit = size
        if self._dropping and size == BLOCK_SIZE:
            dropped, self._dropping = self._dropping, 0
            self.add_event("dropped", {"packets": dropped}, now)

    def _close(self) -> None:
        """Let what is laid out wait, to be taken."""
        parts = self._parts
        if not parts:
            return
        self._backlog.queued += self._fill
        last_at = self._clock.moment(_time_of(parts[-1])) if _has_time(parts[-1]) else self._clock.now
        self._closed.append(ClosedBlock(parts, self._fill, len(parts) - self._others, last_at))
        self._parts = []
        self._fill = self._others = self._limit = 0

    # -- the rest of a file -------------------------------------------------------------------------------------------

    def add_event(self, name: str, fields: Mapping[str, Any], now: float) -> None:
        """Note something that happened."""
        text = msgspec.json.encode({"event": name, **fields})
        body = bytes(4) + self._clock.at(now) + _event_lengths(len(text), len(text)) + text
        self._add_block(_PACKET, body + bytes(-len(text) % 4), now)

    def add_transport(self, party: PartyLabel, leg: int, comment: bytes, now: float) -> int:
        """Begin a transport's packets, or those by a new description; the number of their interface.

        Args:
            leg: which transport of the party it is, from 1.
            comment: as of `media_comment`.
        """
        name = party if leg == 1 else f"{party}{leg}"
        return self._add_interface(_LINK_IPV4, _option(_COMMENT, comment) + _option(_IF_NAME, name.encode()), now)

    def _add_interface(self, link: int, options: bytes, now: float) -> int:
        self._add_block(_INTERFACE, struct.pack("<HHI", link, 0, 0) + options + _option(_IF_TSRESOL, _NANOSECONDS) + _END, now)
        self._interfaces += 1
        return self._interfaces - 1

    def _add_block(self, kind: int, body: bytes, now: float) -> None:
        """Lay out any block. Never left out: there are few of them."""
        self._clock.at(now)
        length = len(body) + 12
        if self._fill + length > self._limit:
            self._begin(now, max(BLOCK_SIZE, length))
        self._parts.append(struct.pack("<II", kind, length) + body + struct.pack("<I", length))
        self._fill += length
        self._others += 1

    # -- taking -------------------------------------------------------------------------------------------------------

    def take(self, before: float) -> list[ClosedBlock]:
        """What has waited since that time, in seconds, monotonic, or longer. The rest is let wait."""
        count = next((at for at, one in enumerate(self._closed) if one.last_at > before), len(self._closed))
        taken = self._closed[:count]
        del self._closed[:count]
        self._close()
        return taken

    def take_all(self) -> list[ClosedBlock]:
        """All that there is."""
        self._close()
        taken, self._closed = self._closed, []
        return taken

    def cut(self, at: float) -> int:
        """Leave out the packets that came after that time, as far as they were not taken; how many these were."""
        self._close()
        stamp = self._clock.nanoseconds(at)
        cut = 0
        for number, block in enumerate(self._closed):
            if block.last_at > at:
                kept = [part for part in block.parts if not _is_media(part) or _time_of(part) <= stamp]
                left_out = len(block.parts) - len(kept)
                length = sum(map(len, kept))
                self._backlog.queued += length - block.length
                cut += left_out
                self._closed[number] = ClosedBlock(kept, length, block.packets - left_out, block.last_at)
        return cut


def _is_media(part: bytes) -> bool:
    """Whether a pcapng block is a packet, and no event or interface."""
    kind, _, interface = _head(part)
    return bool(kind == _PACKET and interface)


def _has_time(part: bytes) -> bool:
    """Whether a pcapng block is a packet or an event."""
    return bool(_head(part)[0] == _PACKET)


def _time_of(part: bytes) -> int:
    high, low = _stamped(part, 12)
    return int(high << 32 | low)


def together(blocks: Iterable[ClosedBlock], most: int) -> Iterator[ClosedBlock]:
    """The same in fewer blocks: neighbours become one, as long as that has at most so many parts."""
    joined: ClosedBlock | None = None
    for block in blocks:
        if joined is not None and len(joined.parts) + len(block.parts) <= most:
            length, packets = joined.length + block.length, joined.packets + block.packets
            joined = ClosedBlock(joined.parts + block.parts, length, packets, block.last_at)
            continue
        if joined is not None:
            yield joined
        joined = block
    if joined is not None:
        yield joined


def whole_blocks(block: ClosedBlock, written: int) -> tuple[int, int]:
    """Of a block of which so many bytes were written: the bytes of its pcapng blocks that are whole, and their media packets."""
    end = packets = 0
    for part in block.parts:
        if end + len(part) > written:
            break
        end += len(part)
        packets += _is_media(part)
    return end, packets


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)
