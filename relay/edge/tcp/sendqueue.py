"""What waits to be sent on a TCP connection that is slower than its media.

Audio never waits behind video: it has a lane of its own, which goes first. Video is dropped by whole frames, since a receiver
cannot decode the rest of an incomplete one. Media is encrypted, but the RTP header is readable (RFC 3711 section 3.1).
"""

from collections import deque
from typing import Final

from relay.rtp.packet import is_rtcp

BULK_LIMIT: Final = 128 * 1024
"""Bytes of video and data that may wait: half a second of HD video. Below that, the sender's own congestion control sees the
delay and slows down, which is better than any loss."""

URGENT_LIMIT: Final = 32 * 1024
"""Bytes of audio, RTCP and STUN that may wait: about two seconds. The oldest go first: late audio is of no use."""

LEAST_COST: Final = 256
"""Bytes that a packet of video or data counts for, however small it is: with its object it takes as much, and a queue of very
many would take long to search for a frame."""

VIDEO_PACKET: Final = 400
"""Bytes. A stream that showed a longer packet is video: Opus stays below at any rate that a call uses."""

MAX_STREAMS: Final = 256
"""SSRCs that are told apart, as many as a transport may have."""

_HALF_CLOCK: Final = 2**31


class SendQueue:
    """The lanes of one connection."""

    __slots__ = ("_broken", "_bulk", "_urgent", "_video", "bulk_bytes", "dropped_frames", "dropped_packets", "urgent_bytes")

    def __init__(self) -> None:
        self._urgent: deque[bytes] = deque()
        self._bulk: deque[tuple[bytes, bytes]] = deque()
        """Which frame it is of (timestamp and SSRC, as they lie in the header; empty: of none), and what goes on the wire."""
        self._video: set[bytes] = set()
        """The SSRCs that carry video."""
        self._broken: dict[bytes, int] = {}
        """SSRC → the timestamp of its latest frame that was dropped: what still comes of it is dropped too."""
        self.urgent_bytes = 0
        self.bulk_bytes = 0
        self.dropped_packets = 0
        """Since it was last set to 0, those of the frames included."""
        self.dropped_frames = 0

    def __bool__(self) -> bool:
        return bool(self._urgent or self._bulk)

    def push(self, datagram: bytes, wire: bytes) -> None:
        """Take something to be sent.

        Args:
            datagram: an SRTP or SRTCP packet, a DTLS record or a STUN message.
            wire: the bytes that carry it on the connection.
        """
        # RFC 7983: SRTP begins with 128 to 191.
        if len(datagram) >= 12 and 127 < datagram[0] < 192 and not is_rtcp(datagram[1]):
            if self._is_video(datagram[8:12], len(datagram)):
                self._push_video(datagram, wire)
            else:
                self._push_urgent(wire)
        elif datagram and 19 < datagram[0] < 64:
            # Data channels, mostly: SCTP, like DTLS, sends again what is dropped here.
            if self.bulk_bytes + _cost(wire) > BULK_LIMIT:
                self.dropped_packets += 1
            else:
                self._push_bulk(b"", wire)
        else:
            self._push_urgent(wire)

    def pop(self) -> bytes | None:
        """What goes on the wire next; None when nothing waits."""
        if self._urgent:
            wire = self._urgent.popleft()
            self.urgent_bytes -= len(wire)
            return wire
        if self._bulk:
            _, wire = self._bulk.popleft()
            self.bulk_bytes -= _cost(wire)
            return wire
        return None

    def _is_video(self, ssrc: bytes, length: int) -> bool:
        if ssrc in self._video:
            return True
        if length <= VIDEO_PACKET:
            return False
        if len(self._video) >= MAX_STREAMS:
            self._video.clear()  # those that are still there show it again with their next packet
            self._broken.clear()
        self._video.add(ssrc)
        return True

    def _push_urgent(self, wire: bytes) -> None:
        self._urgent.append(wire)
        self.urgent_bytes += len(wire)
        while self.urgent_bytes > URGENT_LIMIT:
            self.urgent_bytes -= len(self._urgent.popleft())
            self.dropped_packets += 1

    def _push_bulk(self, frame: bytes, wire: bytes) -> None:
        self._bulk.append((frame, wire))
        self.bulk_bytes += _cost(wire)

    def _push_video(self, datagram: bytes, wire: bytes) -> None:
        timestamp, ssrc, frame = int.from_bytes(datagram[4:8]), datagram[8:12], datagram[4:12]
        broken = self._broken.get(ssrc)
        if timestamp == broken:
            self.dropped_packets += 1
            return
        # What was sent again may be older than the frame that is being dropped, which is then still to be dropped.
        newer = broken is None or (timestamp - broken) % 2**32 < _HALF_CLOCK
        if self.bulk_bytes + _cost(wire) > BULK_LIMIT:
            if newer:
                self._broken[ssrc] = timestamp
            self._drop_frame(frame)
            self.dropped_packets += 1
            return
        if newer:
            self._broken.pop(ssrc, None)
        self._push_bulk(frame, wire)

    def _drop_frame(self, frame: bytes) -> None:
        """Drop what waits of a frame."""
        kept = deque(one for one in self._bulk if one[0] != frame)
        self.dropped_packets += len(self._bulk) - len(kept)
        self.dropped_frames += 1
        self._bulk = kept
        self.bulk_bytes = sum(_cost(wire) for _, wire in kept)


def _cost(wire: bytes) -> int:
    return max(len(wire), LEAST_COST)
