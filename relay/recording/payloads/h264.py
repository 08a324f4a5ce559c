"""H.264 (RFC 6184), as an Annex B byte stream: single units, STAP-A and FU-A, which is packetization-mode 1."""

import base64
import binascii
from typing import Final

from relay.recording.payloads.frame import Bits, FrameFacts, Parts

_START: Final = b"\0\0\0\1"
_IDR, _SPS, _PPS = 5, 7, 8
_STAP_A, _FU_A = 24, 28
_HIGH_PROFILES: Final = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})


def _units(payload: bytes) -> list[bytes]:
    """The whole units of a packet; none of a fragment."""
    if not payload:
        raise ValueError("an H.264 payload is empty")
    kind = payload[0] & 0x1F
    if 1 <= kind <= 23:
        return [payload]
    if kind != _STAP_A:
        return []
    units, position = [], 1
    while position < len(payload):
        size = int.from_bytes(payload[position : position + 2])
        position += 2
        if not size or position + size > len(payload):
            raise ValueError("a unit of an H.264 aggregation packet is empty or cut off")
        units.append(payload[position : position + size])
        position += size
    if not units:
        raise ValueError("an H.264 aggregation packet is empty")
    return units


def key_size(payload: bytes) -> tuple[int, int] | None:
    """Width and height, if a sequence parameter set is in this packet; (0, 0) if an IDR picture begins with it without one."""
    if not payload:
        return None
    kind = payload[0] & 0x1F
    if kind == _FU_A:
        return (0, 0) if len(payload) > 1 and payload[1] & 0x9F == 0x80 | _IDR else None
    if kind not in (_IDR, _SPS, _STAP_A):
        return None
    try:
        found = None
        for unit in _units(payload):
            if unit[0] & 0x1F == _SPS:
                return sps_size(unit)
            if unit[0] & 0x1F == _IDR:
                found = (0, 0)
        return found
    except ValueError:
        return None


def sps_size(unit: bytes) -> tuple[int, int]:
    """Width and height of a sequence parameter set (H.264 section 7.3.2.1.1).

    Raises:
        ValueError: it is none.
    """
    bits = Bits(unit[1:512].replace(b"\0\0\3", b"\0\0"))
    profile = bits.read(8)
    bits.read(16)
    bits.exp_golomb()
    chroma = 1
    if profile in _HIGH_PROFILES:
        chroma = _skip_high(bits)
    bits.exp_golomb()
    order = bits.exp_golomb()
    if order == 0:
        bits.exp_golomb()
    elif order == 1:
        bits.read(1)
        bits.exp_golomb()
        bits.exp_golomb()
        for _ in range(min(bits.exp_golomb(), 255)):
            bits.exp_golomb()
    bits.exp_golomb()
    bits.read(1)
    width = (bits.exp_golomb() + 1) * 16
    height = bits.exp_golomb() + 1
    frames_only = bits.read(1)
    if not frames_only:
        bits.read(1)
    height *= 16 * (2 - frames_only)
    bits.read(1)
    if bits.read(1):
        left, right, top, bottom = (bits.exp_golomb() for _ in range(4))
        across = 2 if chroma in (1, 2) else 1
        down = (2 if chroma == 1 else 1) * (2 - frames_only)
        width -= (left + right) * across
        height -= (top + bottom) * down
    if not (0 < width <= 16384 and 0 < height <= 16384):
        raise ValueError("a sequence parameter set has an impossible size")
    return width, height


def _skip_high(bits: Bits) -> int:
    """What high profiles have more; chroma_format_idc."""
    chroma = bits.exp_golomb()
    if chroma == 3:
        bits.read(1)
    bits.exp_golomb()
    bits.exp_golomb()
    bits.read(1)
    if bits.read(1):
        for index in range(8 if chroma != 3 else 12):
            if bits.read(1):
                last = following = 8
                for _ in range(16 if index < 6 else 64):
                    if following:
                        code = bits.exp_golomb()
                        following = (last + (code + 1 >> 1 if code & 1 else -(code >> 1))) & 0xFF
                    last = following or last
    return chroma


def parameter_sets(sprop: str) -> bytes:
    """The units of `sprop-parameter-sets` (RFC 6184 section 8.1), as a byte stream; what is no base64 is left out."""
    sets = []
    for text in sprop.split(",")[:16]:
        try:
            sets.append(_START + base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError):
            continue
    return b"".join(one for one in sets if len(one) > 5)


def parameter_units(payload: bytes) -> dict[int, bytes]:
    """The parameter sets in a packet, by their type: 7, 8. Never raises."""
    if not payload or payload[0] & 0x1F not in (_SPS, _PPS, _STAP_A):
        return {}
    try:
        return {unit[0] & 0x1F: _START + unit for unit in _units(payload) if unit[0] & 0x1F in (_SPS, _PPS)}
    except ValueError:
        return {}


class H264Frames:
    __slots__ = ("_fragment", "_kinds", "_parts", "_referred", "_sets", "_size")

    def __init__(self, sprop: str = "") -> None:
        self._sets = parameter_sets(sprop)
        """That an IDR picture without its own needs."""
        self._parts = Parts()
        self._kinds: set[int] = set()
        self._size: tuple[int, int] | None = None
        self._referred = False
        self._fragment = False
        """The last unit is not whole yet."""

    @property
    def held(self) -> int:
        return self._parts.size

    def begins(self, payload: bytes) -> bool:
        if len(payload) < 2:
            raise ValueError("an H.264 payload is cut off")
        kind, following = payload[0] & 0x1F, payload[1:2]
        if kind == _FU_A:
            if not payload[1] & 0x80:
                return False
            kind, following = payload[1] & 0x1F, payload[2:3]
        # A slice begins a picture if its first macroblock is number 0: Exp-Golomb "1".
        return kind not in (1, _IDR) or bool(following and following[0] & 0x80)

    def add(self, payload: bytes) -> None:
        if len(payload) < 2:
            raise ValueError("an H.264 payload is cut off")
        kind = payload[0] & 0x1F
        if kind == _FU_A:
            self._add_fragment(payload)
            return
        if self._fragment:
            raise ValueError("an H.264 unit is cut off by another one")
        units = _units(payload)
        if not units:
            raise ValueError(f"H.264 packets of type {kind} are not known")
        for unit in units:
            self._note(unit[0], unit)
            self._parts.append(_START + unit)

    def _add_fragment(self, payload: bytes) -> None:
        if len(payload) < 3:
            raise ValueError("an H.264 fragment is empty")
        head = payload[1]
        if head & 0x80:
            if self._fragment:
                raise ValueError("an H.264 unit is cut off by another one")
            first = payload[0] & 0xE0 | head & 0x1F
            self._note(first, bytes([first]) + payload[2:])
            self._parts.append(_START + bytes([first]) + payload[2:])
        elif not self._fragment:
            raise ValueError("the beginning of an H.264 unit is missing")
        else:
            self._parts.append(payload[2:])
        self._fragment = not head & 0x40

    def _note(self, first: int, unit: bytes) -> None:
        kind = first & 0x1F
        self._kinds.add(kind)
        self._referred = self._referred or bool(first & 0x60)
        if kind == _SPS:
            try:
                self._size = sps_size(unit)
            except ValueError:
                self._size = None

    def facts(self) -> FrameFacts:
        return FrameFacts(_IDR in self._kinds, self._size, discardable=bool(self._kinds) and not self._referred)

    def take(self) -> bytes:
        kinds, fragment = self._kinds, self._fragment
        self._kinds, self._size, self._referred, self._fragment = set(), None, False, False
        if fragment or not self._parts:
            self._parts.clear()
            raise ValueError("an H.264 frame is empty, or its last unit is cut off")
        data = self._parts.take()
        return self._sets + data if _IDR in kinds and _SPS not in kinds else data
