"""Which packets begin a keyframe, by codec. Reads the few bytes that say so; decodes nothing.

Detectors take a buffer and the range of the RTP payload in it, without padding (`rtp.payload_range`). They never raise,
and answer no to what they do not understand.
"""

from collections.abc import Callable, Mapping

from relay.rtp.packet import Buffer

KeyframeDetector = Callable[[Buffer, int, int], bool]


def _vp8(buffer: Buffer, begin: int, end: int) -> bool:
    """RFC 7741, 4.2 and 4.3."""
    if begin >= end:
        return False
    first = buffer[begin]
    # S, and partition index 0: only the first packet of a frame carries the payload header.
    if first & 0x17 != 0x10:
        return False
    position = begin + 1
    if first & 0x80:
        if position >= end:
            return False
        present = buffer[position]
        position += 1
        if present & 0x80:
            if position >= end:
                return False
            position += 2 if buffer[position] & 0x80 else 1
        if present & 0x40:
            position += 1
        if present & 0x30:
            position += 1
    # P, inverted: 0 is a key frame (RFC 6386, 9.1).
    return position < end and not buffer[position] & 0x01


def _vp9(buffer: Buffer, begin: int, end: int) -> bool:
    """RFC 9628, 4.2."""
    if begin >= end:
        return False
    first = buffer[begin]
    # B begins a frame; P: it is predicted from other frames.
    if first & 0x48 != 0x08:
        return False
    if not first & 0x20:
        return True
    # With layers (L), only spatial layer 0 of a key picture can be decoded alone.
    position = begin + 1
    if first & 0x80:
        if position >= end:
            return False
        position += 2 if buffer[position] & 0x80 else 1
    return position < end and buffer[position] & 0x0E == 0


_H264_KEY_UNITS = frozenset({5, 7})
"""An IDR slice, or the sequence parameter set that goes before it: a decoder may start at either."""


def _h264(buffer: Buffer, begin: int, end: int) -> bool:
    """RFC 6184, 5."""
    if begin >= end:
        return False
    unit = buffer[begin] & 0x1F
    if unit == 24:
        return _h264_aggregate(buffer, begin + 1, end)
    if unit == 28:
        # RFC 6184, 5.8, FU-A: only the fragment with the start bit begins the unit.
        return begin + 1 < end and bool(buffer[begin + 1] & 0x80) and buffer[begin + 1] & 0x1F in _H264_KEY_UNITS
    return unit in _H264_KEY_UNITS


def _h264_aggregate(buffer: Buffer, position: int, end: int) -> bool:
    """RFC 6184, 5.7.1, STAP-A: units, each after its length of two bytes."""
    while position + 2 < end:
        size = (buffer[position] << 8) | buffer[position + 1]
        if size and buffer[position + 2] & 0x1F in _H264_KEY_UNITS:
            return True
        position += 2 + size
    return False


def _av1(buffer: Buffer, begin: int, end: int) -> bool:
    """RTP Payload Format For AV1, 4.4: N marks the first packet of a coded video sequence; then Z must not be set."""
    return begin < end and buffer[begin] & 0x88 == 0x08


_DETECTORS: Mapping[str, KeyframeDetector] = {"vp8": _vp8, "vp9": _vp9, "h264": _h264, "av1": _av1}


def keyframe_detector(codec: str) -> KeyframeDetector | None:
    """The detector for a codec by its lower-case name in `a=rtpmap`; None when keyframes mean nothing there.

    Look it up once per payload type, not per packet. More than one packet of a keyframe may be said to begin it: they
    have the same timestamp, and `StreamStatistics.keyframe` counts them once.
    """
    return _DETECTORS.get(codec)
