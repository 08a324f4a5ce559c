"""VP9 (RFC 9628)."""

from typing import NamedTuple

from relay.recording.payloads.frame import Bits, FrameFacts, Parts, picture_id


class _Vp9Descriptor(NamedTuple):
    length: int
    inter: bool
    """P: predicted from frames of before."""
    begin: bool
    end: bool
    """B and E: of a frame of one spatial layer."""
    not_referred: bool
    """Z: no upper spatial layer refers to it."""
    temporal: int
    up: bool
    """U: one may switch up to this temporal layer here."""
    spatial: int
    base: int | None
    picture: tuple[int, int] | None


def _descriptor(payload: bytes) -> _Vp9Descriptor:
    """The payload descriptor (RFC 9628, 4.2)."""
    try:
        return _parse(payload)
    except IndexError:
        raise ValueError("a VP9 descriptor is cut off") from None


def _parse(payload: bytes) -> _Vp9Descriptor:
    first = payload[0]
    position = 1
    temporal = spatial = 0
    up, base, picture = False, None, None
    if first & 0x80:
        picture = picture_id(payload, position)
        position += 2 if payload[position] & 0x80 else 1
    flexible = bool(first & 0x10)
    if first & 0x20:
        layers = payload[position]
        temporal, up, spatial = layers >> 5, bool(layers & 0x10), (layers >> 1) & 7
        position += 1
        if not flexible:
            base = payload[position]
            position += 1
    if flexible and first & 0x40:
        for count in range(3):
            more = payload[position] & 1
            position += 1
            if not more:
                break
            if count == 2:
                raise ValueError("a VP9 frame refers to more than three")
    if first & 0x02:
        position = _scalability(payload, position)
    if position >= len(payload):
        raise ValueError("a VP9 payload has no more than its descriptor")
    inter, begin, end, not_referred = (bool(first & bit) for bit in (0x40, 0x08, 0x04, 0x01))
    return _Vp9Descriptor(position, inter, begin, end, not_referred, temporal, up, spatial, base, picture)


def _scalability(payload: bytes, position: int) -> int:
    """Where the scalability structure ends (RFC 9628, 4.2.1)."""
    header = payload[position]
    position += 1
    if header & 0x10:
        position += 4 * ((header >> 5) + 1)
    if header & 0x08:
        count = payload[position]
        position += 1
        for _ in range(count):
            position += 1 + ((payload[position] >> 2) & 3)
    return position


def _frame_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in a key frame's uncompressed header (VP9 bitstream specification, 6.2); None for another frame."""
    bits = Bits(data[:24])
    if bits.read(2) != 2:
        raise ValueError("a VP9 frame does not begin with its marker")
    profile = bits.read(1) | bits.read(1) << 1
    if profile == 3:
        bits.read(1)
    if bits.read(1):  # show_existing_frame
        return None
    if bits.read(1):  # frame_type: not a key frame
        return None
    bits.read(2)  # show_frame, error_resilient_mode
    if bits.read(24) != 0x498342:
        raise ValueError("a VP9 key frame has no sync code")
    if profile >= 2:
        bits.read(1)  # ten_or_twelve_bit
    if bits.read(3) != 7:  # color_space
        bits.read(1)
        if profile in (1, 3):
            bits.read(3)
    elif profile in (1, 3):
        bits.read(1)
    return bits.read(16) + 1, bits.read(16) + 1


def key_size(payload: bytes) -> tuple[int, int] | None:
    """Width and height, if a key frame begins with this packet; of its lowest spatial layer."""
    if not payload or payload[0] & 0x48 != 0x08:
        return None
    try:
        descriptor = _descriptor(payload)
        return None if descriptor.spatial else _frame_size(payload[descriptor.length : descriptor.length + 24])
    except ValueError:
        return None


class Vp9Frames:
    """All spatial layers of a timestamp are one superframe (VP9 bitstream specification, annex B)."""

    __slots__ = ("_complete", "_facts", "_parts", "_sizes", "_whole")

    def __init__(self) -> None:
        self._parts = Parts()
        self._sizes: list[int] = []
        """Bytes of each layer's frame that has ended, together with those before it."""
        self._facts = FrameFacts()
        self._complete = False
        self._whole = True

    @property
    def held(self) -> int:
        return self._parts.size

    def begins(self, payload: bytes) -> bool:
        descriptor = _descriptor(payload)
        return descriptor.begin and not descriptor.spatial

    def add(self, payload: bytes) -> None:
        descriptor = _descriptor(payload)
        data = payload[descriptor.length :]
        if not self._parts:
            size = None
            if descriptor.begin and not descriptor.inter:
                size = _frame_size(data)
            key = size is not None and not descriptor.spatial
            sync = key or descriptor.up
            self._facts = FrameFacts(key, size, descriptor.temporal, sync, descriptor.base, picture=descriptor.picture)
        elif descriptor.begin:
            self._whole = self._whole and self._complete
            if self._facts.key and descriptor.spatial:
                self._facts = self._facts._replace(size=_upper_size(data, self._facts.size))
        self._parts.append(data)
        self._complete = descriptor.end
        if descriptor.end:
            self._sizes.append(self._parts.size)

    def facts(self) -> FrameFacts:
        return self._facts

    def take(self) -> bytes:
        ends, whole = self._sizes, self._whole and self._complete
        self._sizes, self._whole, self._complete = [], True, False
        if not self._parts or not whole or len(ends) > 8:
            self._parts.clear()
            raise ValueError("a part of a VP9 frame is missing")
        data = self._parts.take()
        if len(ends) < 2:
            return data
        width = max(1, (max(ends).bit_length() + 7) // 8)
        marker = bytes([0xC0 | (width - 1) << 3 | (len(ends) - 1)])
        sizes = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
        return data + marker + b"".join(size.to_bytes(width, "little") for size in sizes) + marker


def _upper_size(data: bytes, lower: tuple[int, int] | None) -> tuple[int, int] | None:
    """An upper layer of a key picture is an inter frame: its size is coded, or that of a frame that it refers to."""
    try:
        return _inter_size(data) or lower
    except ValueError:
        return lower


def _inter_size(data: bytes) -> tuple[int, int] | None:
    """The size that an inter frame's uncompressed header has, if it has one."""
    bits = Bits(data[:24])
    bits.read(2)
    profile = bits.read(1) | bits.read(1) << 1
    if profile == 3:
        bits.read(1)
    if bits.read(1) or not bits.read(1):
        return None
    show, resilient = bits.read(1), bits.read(1)
    if not show and bits.read(1):  # intra_only
        return None
    if not resilient:
        bits.read(2)  # reset_frame_context
    bits.read(8)  # refresh_frame_flags
    bits.read(12)  # three references, and their signs
    for _ in range(3):
        if bits.read(1):  # found_ref: the size is a reference's
            return None
    return bits.read(16) + 1, bits.read(16) + 1
