"""A capture file, read: pcapng (draft-ietf-opsawg-pcapng) as `relay.media.capture` writes it, sealed or not.

Interface 0 (link type 147) has events, as JSON. Each other interface (link type 228) is a transport of a party with one
description of its media; its packets are RTP and RTCP behind an IPv4 and a UDP header that mean nothing. Reading stops at the
first block that makes no sense, and says where: what a crash cut off is no reason to lose what comes before.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from struct import Struct
from typing import Any, Final

import msgspec

from relay.errors import RelayError
from relay.sealed import SealError, is_sealed, open_sealed

EVENTS: Final = 147
"""Link type USER0: JSON."""

PACKETS: Final = 228
"""Link type IPV4: raw IPv4 packets."""

HEADERS: Final = 28
"""Bytes of the IPv4 and UDP headers before each packet."""

MAX_BLOCK: Final = 1 << 20
"""Bytes. A packet has 64 KiB at most, an option too; what is longer is no length."""

MAX_INTERFACES: Final = 4096
"""A description is sent with each renegotiation; a call has tens of them."""

MAX_PAUSE: Final = 4 * 3600 * 10**9
MAX_BACK: Final = 10 * 10**9
"""Nanoseconds that a record may be later, or earlier, than the latest before it. Else its time is damaged, and would make days of
silence."""

_CHUNK: Final = 1 << 16
"""Bytes that are read at a time: they stay in the cache while they are taken apart, and their memory is used again."""

_ADVANCE: Final = 1 << 20
"""Bytes after which it is said how many have been read."""

_SECTION: Final = 0x0A0D0D0A
_INTERFACE: Final = 1
_ENHANCED_PACKET: Final = 6
_BYTE_ORDER: Final = 0x1A2B3C4D
_IF_NAME, _COMMENT, _IF_TSRESOL = 2, 1, 9


class CaptureError(RelayError, ValueError):
    """A file is no recording of a relay."""


class CapturedCodec(msgspec.Struct, frozen=True):
    """As of `relay.media.api.Codec`."""

    payload_type: int
    name: str
    clock_rate: int
    channels: int = 1
    parameters: dict[str, str] = {}


class CapturedGroup(msgspec.Struct, frozen=True):
    """As of `relay.media.api.SsrcGroup`."""

    semantics: str
    ssrcs: tuple[int, ...] = ()


class CapturedMedia(msgspec.Struct, frozen=True):
    """A media section of what a party said that it sends: as of `relay.media.api.MediaDescription`."""

    mid: str
    kind: str
    direction: str = "sendrecv"
    ssrcs: tuple[int, ...] = ()
    ssrc_groups: tuple[CapturedGroup, ...] = ()
    rids: tuple[Any, ...] = ()
    """Ids, or objects that have one as `id`."""
    extensions: dict[int, str] = {}
    codecs: tuple[CapturedCodec, ...] = ()


class CaptureInterface(msgspec.Struct, frozen=True):
    """From here on, packets may name this interface."""

    number: int
    name: str
    """`A` or `B`, and from a party's second transport on its number: `A2`."""
    party: str
    """`A`: the caller; `B`: the callee."""
    media: tuple[CapturedMedia, ...] = ()


class CapturedPacket(msgspec.Struct, frozen=True, gc=False):
    """RTP or RTCP, decrypted, as it arrived."""

    at: int
    """Nanoseconds since 1970: the wall clock when the recording began, and the monotonic clock since."""
    interface: int
    data: bytes


class CaptureEvent(msgspec.Struct, frozen=True):
    """What the relay noted."""

    at: int
    """As of `CapturedPacket`."""
    name: str
    """`started`, `hold`, …: see docs/recording.md. `unreadable` if it is no JSON object with a name."""
    fields: Mapping[str, Any]
    size: int = 0
    """Bytes of its text."""


class CaptureCut(msgspec.Struct, frozen=True):
    """The last record of a file that has no proper end."""

    offset: int
    """Bytes before the first block that makes no sense. Of a sealed file: of its plain text."""
    left: int
    """Bytes from there on."""
    reason: str


Record = CaptureInterface | CapturedPacket | CaptureEvent | CaptureCut

_sections = msgspec.json.Decoder(dict[str, tuple[CapturedMedia, ...]])


def read_capture(path: Path, keys: Iterable[bytes] = (), *, advance: Callable[[int], None] | None = None) -> Iterator[Record]:
    """The records of a capture file, in order.

    Args:
        keys: of 32 bytes each, that may open a sealed file.
        advance: called with the number of bytes that have been read, now and then.

    Raises:
        CaptureError: at the first record: the file is no recording of a relay, or none of the keys opens it.
        OSError: it cannot be read.
    """
    return read_blocks(_chunks(path, tuple(keys), advance or (lambda _: None)))


def _chunks(path: Path, keys: tuple[bytes, ...], advance: Callable[[int], None]) -> Iterator[bytes]:
    done = 0
    if is_sealed(path):
        for chunk in open_sealed(path, keys):
            yield chunk
            done += len(chunk)
            advance(done)
        return
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
            done += len(chunk)
            if not done % _ADVANCE:
                advance(done)


def read_blocks(chunks: Iterable[bytes]) -> Iterator[Record]:
    """The records of a file that comes in pieces of any size. As of `read_capture`."""
    pieces = iter(chunks)
    beginning = b""
    try:
        for piece in pieces:
            beginning += piece
            if len(beginning) >= 28:
                break
    except SealError as error:
        raise CaptureError(str(error)) from error
    order = _byte_order(beginning)
    return _Blocks(order).read(chain((beginning,), pieces))


def _byte_order(beginning: bytes) -> str:
    if not beginning:
        raise CaptureError("this is no recording of a relay: the file is empty")
    if len(beginning) < 28:
        raise CaptureError("this is no recording of a relay: the file ends before its first block does")
    for order in "<>":
        kind, _, magic = Struct(f"{order}III").unpack_from(beginning)
        if kind == _SECTION and magic == _BYTE_ORDER:
            return order
    raise CaptureError("this is no recording of a relay: the file does not begin as pcapng does")


class _Pieces:
    """The pieces of a file, up to where a seal is broken."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self.size = 0
        self.cut: str | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self._pieces:
                self.size += len(piece)
                yield piece
        except SealError as error:
            self.cut = str(error)


class _Blocks:
    """Reads blocks of one byte order."""

    def __init__(self, order: str) -> None:
        self._head = Struct(f"{order}II").unpack_from
        self._whole = Struct(f"{order}IIIIIII").unpack_from
        """The beginning of a block that may be a packet's."""
        self._word = Struct(f"{order}I").unpack_from
        self._option = Struct(f"{order}HH").unpack_from
        self._link = Struct(f"{order}H").unpack_from
        self._types: list[int] = []
        self._units: list[int] = []
        """Link type, and nanoseconds per unit of time, of each interface."""
        self._started = False

    def read(self, chunks: Iterable[bytes]) -> Iterator[Record]:
        pieces = _Pieces(chunks)
        yield from self._read(pieces)
        if pieces.cut is not None and self._started:
            yield CaptureCut(pieces.size, 0, pieces.cut)

    def _read(self, pieces: "_Pieces") -> Iterator[Record]:  # noqa: PLR0912
        head, whole, word, types, units = self._head, self._whole, self._word, self._types, self._units
        rest, position, base, latest = b"", 0, 0, 0
        for piece in pieces:
            base += position
            rest = rest[position:] + piece if position < len(rest) else piece
            position, end = 0, len(rest)
            while end - position >= 12:
                if end - position >= 28:
                    kind, length, number, high, low, size, _ = whole(rest, position)
                else:
                    kind, length = head(rest, position)
                    number = high = low = size = 0
                after = position + length
                if length < 12 or length & 3 or length > MAX_BLOCK:
                    yield self._cut(base + position, len(rest) - position, pieces, f"a block says that it has {length} bytes")
                    return
                if after > end:
                    break
                if word(rest, after - 4)[0] != length:
                    yield self._cut(base + position, len(rest) - position, pieces, "the two lengths of a block differ")
                    return
                if kind == _ENHANCED_PACKET and length >= 32:
                    if number >= len(types) or size > length - 32:
                        reason = "a packet names no interface, or is longer than its block"
                        yield self._cut(base + position, len(rest) - position, pieces, reason)
                        return
                    begin = position + 28
                    at = ((high << 32) | low) * units[number]
                    if at > latest:
                        if at > latest + MAX_PAUSE and latest:
                            yield self._cut(
                                base + position, len(rest) - position, pieces, "a record is hours after the one before"
                            )
                            return
                        latest = at
                    elif at < latest - MAX_BACK:
                        yield self._cut(base + position, len(rest) - position, pieces, "a record is earlier than the one before")
                        return
                    if types[number] == PACKETS:
                        if size >= HEADERS + 8:
                            yield CapturedPacket(at, number, rest[begin + HEADERS : begin + size])
                    elif types[number] == EVENTS:
                        yield self._event(at, rest[begin : begin + size])
                elif kind == _INTERFACE and length >= 20:
                    interface = self._interface(rest[position + 8 : after - 4])
                    if interface is not None:
                        yield interface
                position = after
        if not self._started:
            raise CaptureError("this is no recording of a relay: it has no event `started`")
        if position < len(rest) and pieces.cut is None:
            yield CaptureCut(base + position, len(rest) - position, "the file ends within a block")

    def _cut(self, offset: int, here: int, pieces: "_Pieces", reason: str) -> CaptureCut:
        if not self._started:
            raise CaptureError(f"this is no recording of a relay: {reason}")
        return CaptureCut(offset, here + sum(map(len, pieces)), reason)

    def _interface(self, body: bytes) -> CaptureInterface | None:
        link = self._link(body)[0]
        number = len(self._types)
        if not number and link != EVENTS:
            raise CaptureError(f"this is no recording of a relay: its first interface has link type {link}, not {EVENTS}")
        if number >= MAX_INTERFACES:
            return None  # Packets that name it end the reading.
        options = dict(self._options(body))
        resolution = options.get(_IF_TSRESOL, b"\6")[:1] or b"\6"
        # Powers of two (the high bit) are of foreign files only, and finer than 1 ns means nothing here.
        self._units.append(10 ** (9 - min(resolution[0], 9)))
        self._types.append(link)
        if link != PACKETS:
            return None
        name = options.get(_IF_NAME, b"").decode(errors="replace")
        try:
            media = _sections.decode(options.get(_COMMENT, b"{}")).get("media", ())
        except (msgspec.MsgspecError, UnicodeDecodeError):
            media = ()
        return CaptureInterface(number, name, name[:1], media)

    def _options(self, body: bytes) -> Iterator[tuple[int, bytes]]:
        position = 8
        while position + 4 <= len(body):
            code, length = self._option(body, position)
            position += 4
            if not code:
                return
            yield code, body[position : position + length]
            position += length + (-length & 3)

    def _event(self, at: int, text: bytes) -> CaptureEvent:
        try:
            fields = msgspec.json.decode(text, type=dict[str, Any])
            name = fields.pop("event", None)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            fields, name = {}, None
        if not self._started:
            if name != "started":
                raise CaptureError("this is no recording of a relay: its first event is not `started`")
            self._started = True
        return CaptureEvent(at, name if isinstance(name, str) else "unreadable", fields, len(text))
