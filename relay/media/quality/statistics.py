"""How good a call is: what the relay can tell from the packets and reports that pass.

A leg is the path between the relay and one peer. `StreamStatistics.received` is on the hot path; everything else happens
a few times a second.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from relay.mos import QualityScore, mean_opinion, transmission_rating
from relay.rtp.rtcp import FullIntraRequest, Nack, PictureLoss, ReceiverReport, ReportBlock, RtcpPacket, SenderReport

SNAPSHOT_INTERVAL = 2.0
"""Seconds between two reports: 100 packets of a 20 ms audio stream, so that one lost packet is 1 %."""

MAX_STREAMS = 256
"""SSRCs per leg. Peers choose them, and could choose too many; but each shared screen brings new ones."""

MAX_SENDER_REPORTS = 64
"""Sender reports per leg that a receiver may still refer to: several of each stream."""

RTT_GAIN = 1 / 2
"""Of a new measurement. They come seconds apart: the 1/8 of RFC 6298 would take a quarter of a minute to follow."""

LOSS_GAIN = 1 / 2
"""Of a new figure: a snapshot of one audio and one thin video stream has some 150 packets, of which chance loses few or many."""

MAX_RTT = 10.0
"""Seconds: what claims to have taken longer was not measured but made up."""

ENDPOINT_DELAY = 0.06
"""Seconds of a call's delay that no network causes: 20 ms of frame, 6.5 ms of Opus looking ahead, the sound cards' buffers."""


@dataclass(frozen=True, slots=True)
class StreamReport:
    """One stream, as the relay receives it from the peer that sends it. An interval is the time since the last report."""

    ssrc: int
    packets: int
    bytes: int
    """RTP packets with their headers."""
    lost: int
    """Sequence numbers that have not arrived. Retransmissions with an SSRC of their own (RFC 4588) fill no gap here."""
    expected: int
    """Packets, in this interval."""
    loss: float
    """Of the packets expected in this interval, 0 to 1."""
    jitter: float
    """Seconds (RFC 3550, 6.4.1)."""
    bitrate: float
    """Bit/s, in this interval."""
    highest_sequence: int
    """Unwrapped."""
    nacks: int
    """Packets that the receiving peer asked for again; each time counts."""
    plis: int
    firs: int
    keyframes: int


@dataclass(frozen=True, slots=True)
class LegReport:
    """One leg, in the time since the last report."""

    rtt: float | None
    """Seconds between the relay and the peer, smoothed; None while unknown."""
    loss_from_peer: float
    """Of the packets that the peer sent, 0 to 1."""
    loss_to_peer: float
    """Of the packets that the peer was sent, 0 to 1, by its latest reports: what the relay's repair did not mend."""
    jitter: float
    """Seconds, of the steadiest stream: what others have on top is their encoder's, not the network's."""
    bitrate: float
    """Bit/s from the peer."""
    score: float
    """1 to 4.5 (`QualityScore`)."""
    streams: tuple[StreamReport, ...]


class StreamStatistics:
    """Counts one stream that a peer sends.

    A sequence number far ahead is a gap, not a restart: SRTP's packet index goes with it and knows no restart.
    """

    __slots__ = (
        "_arrival",
        "_bytes_before",
        "_clock_rate",
        "_expected_before",
        "_first",
        "_highest",
        "_jitter",
        "_keyframe_timestamp",
        "_packets_before",
        "_snapshot_time",
        "_timestamp",
        "bitrate",
        "bytes",
        "firs",
        "is_read",
        "is_video",
        "keyframes",
        "nacks",
        "packets",
        "payload_type",
        "plis",
        "ssrc",
    )

    def __init__(self, ssrc: int, clock_rate: int, sequence: int, timestamp: int, now: float) -> None:
        """The clock's Hz, and the header of the first packet, which has yet to be counted by `received`."""
        self.ssrc = ssrc
        self.payload_type = -1
        """Of the packet that was looked at last; -1 before the first."""
        self.packets = 0
        self.bytes = 0
        self.nacks = 0
        self.plis = 0
        self.firs = 0
        self.keyframes = 0
        self.bitrate = 0.0
        """Bit/s, as of the last snapshot."""
        self.is_video = False
        """It can be asked for a keyframe."""
        self.is_read = False
        """Its payload says something to the relay: it may begin a keyframe, or repeat another packet."""
        self._clock_rate = clock_rate
        # A cycle up, so that what was sent before the first packet to arrive is not negative.
        self._first = 0x10000 + sequence
        self._highest = self._first - 1
        self._timestamp = timestamp
        self._arrival = now
        self._jitter = 0.0
        self._keyframe_timestamp = -1
        self._snapshot_time = now
        self._bytes_before = 0
        self._packets_before = 0
        self._expected_before = 0

    def received(self, sequence: int, timestamp: int, size: int, now: float) -> bool:
        """Count a packet: 16 and 32 bits of its header, its length in bytes as RTP, and its arrival in seconds.

        Returns:
            Whether it is the first to arrive with its timestamp: it may begin a frame.
        """
        self.packets += 1
        self.bytes += size
        ahead = (sequence - self._highest) & 0xFFFF
        if ahead < 0x8000:
            self._highest += ahead
            if timestamp != self._timestamp:
                self._advance(timestamp, now)
                return True
        return False

    def _advance(self, timestamp: int, now: float) -> None:
        """RFC 3550, A.8, for the first packet of each timestamp: the sender spreads the others of a frame over time."""
        elapsed = (timestamp - self._timestamp) & 0xFFFFFFFF
        difference = abs((now - self._arrival) * self._clock_rate - elapsed)
        self._timestamp = timestamp
        self._arrival = now
        # As libwebrtc does: 5 s of difference are a source that paused or a clock that jumped, perhaps back.
        if difference < 5 * self._clock_rate:
            self._jitter += (difference - self._jitter) / 16

    @property
    def heard_at(self) -> float:
        """When the last packet with a new timestamp arrived, seconds."""
        return self._arrival

    @property
    def highest(self) -> int:
        """The newest sequence number so far, unwrapped."""
        return self._highest

    @property
    def lost(self) -> int:
        """Packets that have not arrived so far."""
        # RFC 3550, A.3: duplicates, and packets from before the first, would make it negative.
        return max(0, self._highest - self._first + 1 - self.packets)

    @property
    def timestamp(self) -> int:
        """Of the newest packet so far."""
        return self._timestamp

    def skip_to(self, sequence: int) -> None:
        """The next packet has this sequence number, unwrapped. What is missing before it counts neither as expected nor as lost:
        it was sent while the sender's path was dead, and that is reported already."""
        gap = sequence - 1 - self._highest
        self._first += gap
        self._highest += gap

    def keyframe(self, timestamp: int) -> None:
        """Count the keyframe that a packet with this timestamp begins: once, however many packets claim to begin it."""
        if timestamp != self._keyframe_timestamp:
            self._keyframe_timestamp = timestamp
            self.keyframes += 1

    def snapshot(self, now: float) -> StreamReport:
        """The figures so far; begins a new interval."""
        all_expected = self._highest - self._first + 1
        expected = all_expected - self._expected_before
        packets = self.packets - self._packets_before
        elapsed = now - self._snapshot_time
        report = StreamReport(
            ssrc=self.ssrc,
            packets=self.packets,
            bytes=self.bytes,
            lost=self.lost,
            expected=expected,
            loss=max(0, expected - packets) / expected if expected else 0.0,
            jitter=self._jitter / self._clock_rate,
            bitrate=(self.bytes - self._bytes_before) * 8 / elapsed if elapsed > 0 else 0.0,
            highest_sequence=self._highest,
            nacks=self.nacks,
            plis=self.plis,
            firs=self.firs,
            keyframes=self.keyframes,
        )
        self._snapshot_time = now
        self._bytes_before = self.bytes
        self._packets_before = self.packets
        self._expected_before = all_expected
        self.bitrate = report.bitrate
        return report


class RetransmissionStatistics(StreamStatistics):
    """Counts a stream of retransmissions (RFC 4588)."""

    __slots__ = ()

    def received(self, sequence: int, timestamp: int, size: int, now: float) -> bool:
        """As of `StreamStatistics`; each packet is one to look at, since each says what it repeats."""
        super().received(sequence, timestamp, size, now)
        return True


class RoundTripTime:
    """The round trip between the relay and a peer, from reports that were meant for the other peer.

    A sender report that the relay forwards to the peer comes back as a reference in the peer's report blocks, with the time
    that the peer held it. The relay takes its own time of forwarding where the sender would take the NTP time in the
    report (RFC 3550, 6.4.1), and so measures only the leg between itself and the peer.
    """

    __slots__ = ("_forwarded", "value")

    value: float | None
    """Seconds, smoothed; None while unknown."""

    def __init__(self) -> None:
        self.value = None
        self._forwarded: dict[tuple[int, int], float] = {}

    def forwarded(self, report: SenderReport, now: float) -> None:
        """A sender report goes to the peer."""
        if len(self._forwarded) == MAX_SENDER_REPORTS:
            del self._forwarded[next(iter(self._forwarded))]
        self._forwarded[report.ssrc, report.ntp_time >> 16 & 0xFFFFFFFF] = now

    def reported(self, block: ReportBlock, now: float) -> None:
        """A report block comes from the peer. One that refers to nothing known is left out."""
        forwarded = self._forwarded.get((block.ssrc, block.last_sender_report))
        if forwarded is None:
            return
        # Rounding, and nothing else, makes it negative on a short path.
        measured = max(0.0, now - forwarded - block.delay / 65536)
        if measured <= MAX_RTT:
            self.value = measured if self.value is None else self.value + (measured - self.value) * RTT_GAIN


class LegStatistics:
    """Everything that is counted of one leg."""

    __slots__ = ("_loss_to_peer", "_reported", "_rtt", "_score", "loss_from_peer", "loss_to_peer", "streams")

    streams: dict[int, StreamStatistics]
    """What the peer sends, by SSRC. To look up; `open_stream` adds."""

    def __init__(self, now: float) -> None:
        self.streams = {}
        self._rtt = RoundTripTime()
        self._score = QualityScore(now)
        self._loss_to_peer = 0.0
        self.loss_from_peer = 0.0
        """Of the packets that the peer sent, 0 to 1, over the last snapshots."""
        self.loss_to_peer = 0.0
        """Of the packets that the other peer sent to this one, the same: on both legs together."""
        # By SSRC: the block that the last figure was reckoned with, and the latest.
        self._reported: dict[int, tuple[ReportBlock, ReportBlock]] = {}

    @property
    def rtt(self) -> float | None:
        """Seconds between the relay and the peer; None while unknown."""
        return self._rtt.value

    def open_stream(
        self,
        ssrc: int,
        clock_rate: int,
        sequence: int,
        timestamp: int,
        now: float,
        kind: type[StreamStatistics] = StreamStatistics,
    ) -> StreamStatistics:
        """Begin to count a stream: arguments as of `kind`. Forgets the oldest one when there are too many."""
        if len(self.streams) == MAX_STREAMS:
            del self.streams[next(iter(self.streams))]
        stream = self.streams[ssrc] = kind(ssrc, clock_rate, sequence, timestamp, now)
        return stream

    def forget(self, ssrc: int) -> None:
        """The peer does not use this SSRC any more."""
        self.streams.pop(ssrc, None)
        self._reported.pop(ssrc, None)

    def from_peer(self, packets: Iterable[RtcpPacket], now: float) -> None:
        """RTCP arrived from the peer: its report blocks describe the path to it."""
        for packet in packets:
            if isinstance(packet, SenderReport | ReceiverReport):
                for block in packet.blocks:
                    self._rtt.reported(block, now)
                    self._keep(block)

    def _keep(self, block: ReportBlock) -> None:
        known = self._reported.get(block.ssrc)
        if known is None and len(self._reported) == MAX_STREAMS:
            del self._reported[next(iter(self._reported))]
        self._reported[block.ssrc] = (known[0] if known else block, block)

    def for_peer(self, packets: Iterable[RtcpPacket], now: float) -> None:
        """RTCP arrived from the other peer, to be forwarded or answered by the relay: it reports on this peer's streams."""
        for packet in packets:
            match packet:
                case SenderReport():
                    self._rtt.forwarded(packet, now)
                case Nack(media_ssrc=ssrc) if ssrc in self.streams:
                    self.streams[ssrc].nacks += len(packet.sequences)
                case PictureLoss(media_ssrc=ssrc) if ssrc in self.streams:
                    self.streams[ssrc].plis += 1
                case FullIntraRequest():
                    for ssrc in packet.media_ssrcs:
                        if ssrc in self.streams:
                            self.streams[ssrc].firs += 1

    def snapshot(self, now: float) -> LegReport:
        """The figures since the last snapshot; to be called every `SNAPSHOT_INTERVAL`."""
        streams = tuple(stream.snapshot(now) for stream in self.streams.values())
        expected = sum(stream.expected for stream in streams)
        loss_from_peer = sum(stream.loss * stream.expected for stream in streams) / expected if expected else 0.0
        jitter = min((stream.jitter for stream in streams if stream.expected), default=0.0)
        self._update_loss_to_peer()
        self.loss_from_peer += (loss_from_peer - self.loss_from_peer) * LOSS_GAIN
        self.loss_to_peer += (self._loss_to_peer - self.loss_to_peer) * LOSS_GAIN
        # Half a round trip, and a jitter buffer of twice the jitter, as receivers keep it.
        delay = ENDPOINT_DELAY + (self.rtt or 0.0) / 2 + 2 * jitter
        opinion = mean_opinion(transmission_rating(delay, max(loss_from_peer, self._loss_to_peer)))
        return LegReport(
            rtt=self.rtt,
            loss_from_peer=loss_from_peer,
            loss_to_peer=self._loss_to_peer,
            jitter=jitter,
            bitrate=sum(stream.bitrate for stream in streams),
            score=self._score.update(opinion, now),
            streams=streams,
        )

    def _update_loss_to_peer(self) -> None:
        """From the growth of the cumulative figures (RFC 3550, 6.4.4), since a fraction says nothing of how many packets.

        Without a new report the last figure stays: those on audio come up to 5 s apart.
        """
        expected = lost = 0
        for before, block in self._reported.values():
            expected += max(0, block.highest_sequence - before.highest_sequence)
            lost += block.packets_lost - before.packets_lost
        if expected:
            self._loss_to_peer = min(max(lost / expected, 0.0), 1.0)
            self._reported = {ssrc: (block, block) for ssrc, (_, block) in self._reported.items()}
