"""What a peer sends: its streams, by SSRC, and what the relay reads of their packets.

Sans-IO.
"""

from collections.abc import Callable, Iterable
from typing import Final

from relay.media.api import MediaDescription
from relay.media.quality.statistics import LegStatistics, RetransmissionStatistics, StreamStatistics
from relay.media.transport.payloads import PayloadFormats, repeated_sequence
from relay.media.transport.ssrcs import SsrcTable
from relay.rtp.packet import PAYLOAD_TYPE

MAX_SEARCHES: Final = 8
"""Packets of a transport per second whose rollover counter is searched for. Bounds what a forged source address costs."""


class ReceivedStreams:
    """The streams of one peer.

    Args:
        own: SSRCs that the relay itself uses on the same keys.
        on_retransmission: takes the SSRC of a retransmission that arrived, the sequence number of what it repeats, and its own.

    Attributes:
        statistics: of all streams that were ever heard and are not forgotten.
        live: those that were heard lately, which the forwarding path needs no closer look at.
        ssrcs: that authentic packets of the peer have carried, of RTCP senders that send no media too.
        formats: what the payload types of the peer's packets mean.
        searches: for rollover counters, since the last tick.
    """

    __slots__ = ("_on_retransmission", "formats", "live", "searches", "ssrcs", "statistics")

    def __init__(self, own: Iterable[int], on_retransmission: Callable[[int, int, int], None], now: float) -> None:
        self._on_retransmission = on_retransmission
        self.searches = 0
        self.statistics = LegStatistics(now)
        self.live: dict[int, StreamStatistics] = {}
        self.ssrcs = SsrcTable(self.statistics.streams, own)
        self.formats = PayloadFormats()

    def describe(self, media: tuple[MediaDescription, ...]) -> None:
        """The peer sends this from now on."""
        self.formats = PayloadFormats(media)
        self.ssrcs.describe(ssrc for section in media for ssrc in section.ssrcs)
        # A stream may have begun before the description that explains it arrived.
        for stream in self.statistics.streams.values():
            self._classify(stream)

    def open(self, ssrc: int, payload_type: int, sequence: int, timestamp: int, now: float) -> StreamStatistics:
        """Begin to count a stream, with its first authentic packet."""
        kind = RetransmissionStatistics if self.formats.is_retransmission(payload_type) else StreamStatistics
        stream = self.statistics.open_stream(ssrc, self.formats.clock_rate(payload_type), sequence, timestamp, now, kind)
        stream.payload_type = payload_type
        self._classify(stream)
        return stream

    def forget(self, ssrc: int) -> None:
        """The peer has not used this SSRC for long, and will not be heard under it again."""
        self.live.pop(ssrc, None)
        self.statistics.forget(ssrc)

    def may_search(self) -> bool:
        """Whether one more packet's rollover counter may be searched for; it counts as done."""
        self.searches += 1
        return self.searches <= MAX_SEARCHES

    def tick(self, silence: float, now: float) -> None:
        """Begin a new second: streams that were silent for `silence` seconds are looked at closely when they come back."""
        self.searches = 0
        for ssrc in [ssrc for ssrc, stream in self.live.items() if now - stream.heard_at > silence]:
            del self.live[ssrc]

    def read_payload(self, stream: StreamStatistics, packet: memoryview, timestamp: int) -> None:
        """Detect the key frame that a decrypted packet may begin; note which packet it repeats."""
        payload_type = packet[1] & PAYLOAD_TYPE
        if not stream.is_read:
            return
        if self.formats.is_retransmission(payload_type):
            original = repeated_sequence(packet)
            if original is not None:
                self._on_retransmission(stream.ssrc, original, packet[2] << 8 | packet[3])
            return
        if payload_type != stream.payload_type:
            # RFC 3264 section 8.3.2 lets a sender change its codec in mid-call. Chromium also sends ULPFEC with the SSRC of the
            # video that it protects, and such a packet may be the first to arrive.
            stream.payload_type = payload_type
            stream.is_video |= self.formats.is_video(payload_type)
        if self.formats.begins_keyframe(packet):
            stream.keyframe(timestamp)

    def retransmissions_of(self, ssrc: int) -> int | None:
        """The SSRC by which the peer sends again what was lost of a stream (RFC 4588); None while unknown."""
        formats = self.formats
        found = [
            other
            for other, stream in self.statistics.streams.items()
            if formats.is_retransmission(stream.payload_type) and formats.together(ssrc, other)
        ]
        return found[0] if len(found) == 1 else None

    def _classify(self, stream: StreamStatistics) -> None:
        stream.is_video = self.formats.is_video(stream.payload_type)
        may_be_video = self.formats.may_become_video(stream.payload_type)
        stream.is_read = may_be_video or self.formats.is_retransmission(stream.payload_type)
