"""What a capture file consists of: pcapng blocks (draft-ietf-opsawg-pcapng), laid out in memory where the packets arrive.

Interface 0 has events, as JSON. Every other interface is one description of what one transport's peer sends; its packets are RTP
and RTCP behind a made-up IPv4 and UDP header, which has no address of any peer. Times are nanoseconds of the wall clock at the
start plus what has passed of the monotonic clock since, so that an adjusted clock tears nothing. Sans-IO.
"""

import functools
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from relay.media.api import MediaDescription, PartyLabel

BLOCK_SIZE: Final = 64 * 1024
"""Bytes that are handed over at a time: 0.13 s of an HD call, and one write."""

COPIED_BELOW: Final = 16 * 1024
"""Bytes. What has less is copied out of its memory, which goes on being used: new memory costs more."""

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
_MAX_PACKET: Final = 2048
"""Bytes; packets are shorter, since receive buffers are."""

_event_head: Final = struct.Struct("<5I").pack
_pack_head: Final = struct.Struct("<7I28s").pack_into
_pack_tail: Final = struct.Struct("<2I").pack_into
_NEEDED_LEAST: Final = ("extensions", "parameters", "ssrcs", "ssrc_groups", "rids", "simulcast")
"""Of a description that is too long, in the order in which it is left out: only a hostile one is."""

_frame: Final = struct.Struct("<2I").unpack_from
_stamped: Final = struct.Struct("<3I").unpack_from


@functools.cache
def packet_headers(party: PartyLabel) -> tuple[bytes, ...]:
    """The IPv4 and UDP headers of a party's packets, by the length of the packet."""
    addresses = b"\x0a\x00\x00\x01\x0a\x00\x00\x02" if party == "A" else b"\x0a\x00\x00\x02\x0a\x00\x00\x01"
    ip, udp = struct.Struct("!BBHHHBBH"), struct.Struct("!HHHH")
    return tuple(
        ip.pack(0x45, 0, _HEADERS + size, 0, 0, 64, 17, 0) + addresses + udp.pack(5004, 5004, 8 + size, 0)
        for size in range(_MAX_PACKET + 1)
    )


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


@dataclass(slots=True)
class ClosedBlock:
    """Some pcapng blocks, to be written."""

    octets: bytes | bytearray
    """Of which `length` count."""
    length: int
    packets: int
    """Media packets in it."""
    last_at: float
    """Seconds, monotonic: when the last packet or event came."""


class CaptureBlocks:
    """Lays out one capture.

    Args:
        wall: nanoseconds since 1970, now.
        now: seconds, monotonic.
        version: of the relay, for the file.

    Attributes:
        dropped: packets left out because too much was waiting to be written.
    """

    __slots__ = (
        "_backlog",
        "_closed",
        "_dropping",
        "_fill",
        "_high",
        "_interfaces",
        "_limit",
        "_low",
        "_now",
        "_octets",
        "_offset",
        "_packets",
        "_view",
        "dropped",
    )

    def __init__(self, backlog: Backlog, wall: int, now: float, version: str) -> None:
        self._backlog = backlog
        self._offset = wall - int(now * 1e9)
        self._now = float("-inf")
        self._high = self._low = 0
        self._closed: list[ClosedBlock] = []
        self._interfaces = 0
        self._dropping = self.dropped = 0
        self._packets = self._fill = self._limit = 0
        self._octets = bytearray()
        self._view = memoryview(self._octets)
        application = _option(_SHB_USERAPPL, f"call-relay {version}".encode())
        self._add_block(_SECTION, struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1) + application + _END, now)
        self._add_interface(_LINK_EVENTS, _option(_IF_NAME, b"events"), now)

    # -- packets ------------------------------------------------------------------------------------------------------

    def add(
        self, interface: int, headers: tuple[bytes, ...], octets: memoryview | bytes, start: int, size: int, now: float
    ) -> None:
        """Lay out a packet: 0.6 µs, in the loop that forwards it.

        Args:
            headers: as of `packet_headers`.
            octets: has the packet, `size` bytes from `start` on.
            now: seconds, monotonic.
        """
        begin = self._fill
        length = (size + _OVERHEAD + 3) & ~3
        end = begin + length
        if end > self._limit:
            if not self._make_room(now):
                return
            begin = self._fill
            end = begin + length
        if now != self._now:  # a batch of packets has one time
            self._stamp(now)
        captured = size + _HEADERS
        # The tail first: its zeros are the padding, up to where the packet ends.
        _pack_tail(self._octets, end - 8, 0, length)
        _pack_head(self._octets, begin, _PACKET, length, interface, self._high, self._low, captured, captured, headers[size])
        begin += _OVERHEAD - 4
        self._view[begin : begin + size] = octets[start : start + size]
        self._fill = end
        self._packets += 1

    def _stamp(self, now: float) -> None:
        stamp = int(now * 1e9) + self._offset
        self._now, self._high, self._low = now, stamp >> 32, stamp & 0xFFFFFFFF

    def _make_room(self, now: float) -> bool:
        """Begin with new memory, for a packet; False if it has to be left out."""
        if self._backlog.is_full:
            self._dropping += 1
            self.dropped += 1
            self._limit = 0  # so that each packet asks
            return False
        self._begin(now)
        return True

    def _begin(self, now: float, size: int = BLOCK_SIZE) -> None:
        self._close()
        self._octets = bytearray(size)
        self._view = memoryview(self._octets)
        self._limit = size
        if self._dropping and size == BLOCK_SIZE:
            dropped, self._dropping = self._dropping, 0
            self.add_event("dropped", {"packets": dropped}, now)

    def _close(self) -> None:
        """Let what is laid out wait, to be taken."""
        length = self._fill
        if not length:
            return
        if length < COPIED_BELOW and self._limit:
            self._wait(bytes(self._view[:length]), length)
        else:
            self._wait(self._octets, length)
            self._octets = bytearray()
            self._view = memoryview(self._octets)
            self._limit = 0
        self._fill = self._packets = 0

    def _wait(self, octets: bytes | bytearray, length: int) -> None:
        self._backlog.queued += length
        self._closed.append(ClosedBlock(octets, length, self._packets, self._now))

    # -- the rest of a file -------------------------------------------------------------------------------------------

    def add_event(self, name: str, fields: Mapping[str, Any], now: float) -> None:
        """Note something that happened."""
        self._stamp(now)
        text = msgspec.json.encode({"event": name, **fields})
        body = _event_head(0, self._high, self._low, len(text), len(text)) + text
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
        if kind != _PACKET:
            self._stamp(now)
        length = len(body) + 12
        if self._fill + length > self._limit:
            self._begin(now, max(BLOCK_SIZE, length))
        frame = struct.pack("<II", kind, length) + body + struct.pack("<I", length)
        self._view[self._fill : self._fill + length] = frame
        self._fill += length

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
        stamp = int(at * 1e9) + self._offset
        cut = 0
        for number, block in enumerate(self._closed):
            if block.last_at > at:
                octets, packets = _without_later(block, stamp)
                self._backlog.queued += len(octets) - block.length
                cut += block.packets - packets
                self._closed[number] = ClosedBlock(octets, len(octets), packets, block.last_at)
        return cut


def _without_later(block: ClosedBlock, stamp: int) -> tuple[bytes, int]:
    """The pcapng blocks that are no media packet, or one that came not later than `stamp`; and the number of packets."""
    kept, packets, begin = [], 0, 0
    view = memoryview(block.octets)
    while begin < block.length:
        kind, length = _frame(view, begin)
        is_media = kind == _PACKET and _stamped(view, begin + 8)[0] != 0
        if is_media:
            _, high, low = _stamped(view, begin + 8)
        if not is_media or high << 32 | low <= stamp:
            kept.append(view[begin : begin + length])
            packets += is_media
        begin += length
    return b"".join(kept), packets


def whole_blocks(block: ClosedBlock, written: int) -> tuple[int, int]:
    """Of a block of which so many bytes were written: the bytes of its pcapng blocks that are whole, and their media packets."""
    begin = packets = 0
    while begin < block.length:
        kind, length = _frame(block.octets, begin)
        if begin + length > written:
            break
        packets += kind == _PACKET and _stamped(block.octets, begin + 8)[0] != 0
        begin += length
    return begin, packets


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)
