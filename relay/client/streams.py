"""The streams that a peer connection receives: which packet belongs to which, and the figures of each."""

from collections.abc import Collection
from typing import Final, NamedTuple

from aiortc import RTCRtpTransceiver
from aiortc.rtp import RtcpSrPacket, RtpPacket

from relay.client.figures import StreamFigures
from relay.client.peer import Negotiated

MAX_STREAMS: Final = 64
"""SSRCs that are counted."""


class CountedPacket(NamedTuple):
    """Where a packet was counted."""

    codec: str
    """`rtx`: it is a retransmission."""
    ssrc: int
    """Of the stream, whose packet a retransmission repeats."""
    figures: StreamFigures


class CountedStreams:
    """
    Attributes:
        negotiated: the codecs of the payload types.
        first: seconds of the event loop at which the first packet came, by kind.
    """

    def __init__(self) -> None:
        self.negotiated = Negotiated()
        self.first: dict[str, float] = {}
        self._streams: dict[tuple[str, int], StreamFigures] = {}

    def take(
        self, transceiver: RTCRtpTransceiver, packet: RtpPacket, arrival: float, negotiated: Negotiated | None = None
    ) -> CountedPacket | None:
        """Count a packet; None: it belongs to nothing that was negotiated, or there are too many streams.

        Args:
            arrival: seconds.
            negotiated: on the connection that it came by, if there are several.
        """
        codec, rate = (self.negotiated if negotiated is None else negotiated).get(packet.payload_type, ("", 0))
        kind = transceiver.kind
        if codec == "rtx":
            main = self._main(kind)
            if main is None:
                return None
            # A packet with nothing but the number in it is a probe.
            main[1].add_retransmission(int.from_bytes(packet.payload[:2]) if len(packet.payload) > 2 else None)
            return CountedPacket(codec, *main)
        if not rate:
            return None
        stream = self._streams.get((kind, packet.ssrc))
        if stream is None:
            if len(self._streams) >= MAX_STREAMS:
                return None
            stream = self._streams[kind, packet.ssrc] = StreamFigures(rate)
            self.first.setdefault(kind, arrival)
        stream.add(packet.sequence_number, packet.timestamp, len(packet.payload), bool(packet.marker), arrival)
        return CountedPacket(codec, packet.ssrc, stream)

    def take_report(self, transceiver: RTCRtpTransceiver, report: RtcpSrPacket) -> None:
        """Take a sender report."""
        if (stream := self._streams.get((transceiver.kind, report.ssrc))) is not None:
            stream.add_report(report.sender_info.ntp_timestamp, report.sender_info.rtp_timestamp)

    @property
    def all(self) -> Collection[StreamFigures]:
        return self._streams.values()

    def figures(self, kind: str) -> StreamFigures | None:
        """The stream of that kind with the most packets; None: nothing has arrived."""
        found = self._main(kind)
        return found[1] if found is not None else None

    def _main(self, kind: str) -> tuple[int, StreamFigures] | None:
        found = [(ssrc, stream) for (of, ssrc), stream in self._streams.items() if of == kind]
        return max(found, key=lambda one: one[1].packets, default=None)
