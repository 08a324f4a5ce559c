"""What the payload types of a description carry: which streams a key frame can be requested of, and which packets begin one.

A payload type tells less than it seems to. Chromium sends its video inside RED (RFC 2198) whenever the description has RED, and
protects it by ULPFEC (RFC 5109) on the same SSRC: the payload type of VP8 is then found behind the RTP header only.
"""

from collections.abc import Iterable
from typing import Final

from relay.media.api import Codec, MediaDescription
from relay.rtp.keyframes import keyframe_detector
from relay.rtp.packet import PAYLOAD_TYPE, Buffer, payload_range

_OTHER_STREAMS: Final = frozenset({"rtx", "flexfec", "flexfec-03"})
"""Video formats that are only sent with an SSRC of their own (RFC 4588 section 4, RFC 8627)."""

_NO_VIDEO: Final = _OTHER_STREAMS | {"ulpfec", "parityfec"}
"""Formats of video sections that carry no video. ULPFEC and its like may share the SSRC of the video that they protect."""

_UNKNOWN: Final = ("unknown", Codec(payload_type=-1, name="unknown", clock_rate=90_000))
"""What a packet carries whose payload type no description mentions: it is forwarded, and counted by the clock of video."""


class PayloadFormats:
    """The payload types of one peer, as its latest description has them."""

    __slots__ = ("_codecs", "_sections")

    def __init__(self, media: Iterable[MediaDescription] = ()) -> None:
        # RFC 9143 section 9.1.1: a payload type means one thing in all sections of a BUNDLE group.
        media = tuple(media)
        self._codecs = {codec.payload_type: (section.kind, codec) for section in media for codec in section.codecs}

        self._sections = [frozenset(section.ssrcs) for section in media]

    def __contains__(self, payload_type: int) -> bool:
        return payload_type in self._codecs

    def clock_rate(self, payload_type: int) -> int:
        """Hz; that of video when it is unknown."""
        return self._codecs.get(payload_type, _UNKNOWN)[1].clock_rate

    def is_video(self, payload_type: int) -> bool:
        """Whether a stream that has sent this can be asked for a key frame.

        RED in a video section counts: what it wraps is video, or protects video on the same SSRC.
        """
        kind, codec = self._codecs.get(payload_type, _UNKNOWN)
        return kind == "video" and codec.name not in _NO_VIDEO

    def may_become_video(self, payload_type: int) -> bool:
        """Whether a later packet of a stream that began with this may carry video."""
        kind, codec = self._codecs.get(payload_type, _UNKNOWN)
        return kind == "video" and codec.name not in _OTHER_STREAMS

    def is_retransmission(self, payload_type: int) -> bool:
        """Whether a packet repeats another one (RFC 4588), the sequence number of which is what its payload begins with."""
        return self._codecs.get(payload_type, _UNKNOWN)[1].name == "rtx"

    def together(self, one: int, other: int) -> bool:
        """Whether two SSRCs may be a stream and its retransmissions: the same section names both, or none does."""
        return all((one in section) is (other in section) for section in self._sections)

    def begins_keyframe(self, packet: Buffer) -> bool:
        """Whether a decrypted RTP packet begins a key frame, by the codec that it carries itself, inside RED or not."""
        begin, end = payload_range(packet, len(packet))
        if begin == end:
            return False
        codec = self._codecs.get(packet[1] & PAYLOAD_TYPE, _UNKNOWN)[1]
        if codec.name == "red":
            payload_type, begin = _primary_block(packet, begin, end)
            codec = self._codecs.get(payload_type, _UNKNOWN)[1]
        detector = keyframe_detector(codec.name)
        return detector is not None and detector(packet, begin, end)


def repeated_sequence(packet: Buffer) -> int | None:
    """The sequence number of what a retransmission repeats (RFC 4588 section 4); None for padding, which repeats nothing."""
    begin, end = payload_range(packet, len(packet))
    return packet[begin] << 8 | packet[begin + 1] if begin + 2 < end else None


def _primary_block(buffer: Buffer, begin: int, end: int) -> tuple[int, int]:
    """Payload type of the primary block of a RED payload, and where the block begins; (-1, end) if it is cut off.

    RFC 2198 section 3: four bytes of header for each redundant block, the length in the lower ten bits; one byte for the primary
    block, which comes last. Chromium's video has the primary block only.
    """
    position, redundant = begin, 0
    while position < end and buffer[position] & 0x80:
        if position + 4 > end:
            return -1, end
        redundant += (buffer[position + 2] & 0x03) << 8 | buffer[position + 3]
        position += 4
    primary = position + 1 + redundant
    return (buffer[position] & 0x7F, primary) if primary < end else (-1, end)
