"""Facts from the packets of a call, as they arrived at the relay. Sans-IO; nothing here raises on a peer's bytes.

Feed it the records of a capture in their order: `describe` with what a party says that it will send, `add` with each packet.
"""

import statistics
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from relay.recording.verify import intervals
from relay.recording.verify.figures import PacketFigures
from relay.recording.verify.formats import MOST_STREAMS, Format, PartyFormats
from relay.recording.verify.pace import SenderPace
from relay.rtp import rtcp
from relay.rtp.keyframes import KeyframeDetector, keyframe_detector
from relay.rtp.packet import PAYLOAD_TYPE, Buffer, header_length, is_rtcp, payload_range, peek

RESTART = 1000
"""Packets. A larger jump of the sequence number begins a new count (a sender that restarted under its old SSRC)."""
RECENT = 30.0
"""Seconds of media that the packets of a stream are apart which may be of one time."""
LATE = 2.0
"""Seconds after which the assembly no longer waits for a packet."""
SHORTEST_DRIFT = 60.0
"""Seconds of sender reports that a drift takes: below, their scatter of milliseconds is hundreds of ppm."""
FEWEST_REPORTS = 6
_NTP_FRACTION = 1 << 32
_KEPT_REPORTS = 64
"""Sender reports of which the arrival is known, for round trips."""
_REPAIRS = frozenset({"rtx", "ulpfec", "flexfec-03", "flexfec"})


class _RtpStream:
    """What arrived under one SSRC."""

    def __init__(self, party: str, ssrc: int, kind: str, codec: str, clock_rate: int, begin: float) -> None:
        self.party, self.ssrc, self.kind, self.codec, self.clock_rate = party, ssrc, kind, codec, clock_rate
        self._begin = begin
        self._detector: KeyframeDetector | None = keyframe_detector(codec)
        self.packets = self.bytes = self.duplicates = self.reordered = self.late = self.repaired = self.restarts = 0
        self.gone = self._expected_before = 0
        self._first = self._highest = -1
        self.interrupted = False
        """Whether what comes next goes on after a gap that is no loss."""
        self._missing: dict[int, float] = {}
        """Unwrapped sequence number → when it was found missing."""
        self._timestamp: int | None = None
        self._transit: float | None = None
        self._jitter = self.jitter = 0.0
        self.frame_times = array("d")
        self.key_times = array("d")
        self._pace = SenderPace()
        self._in_order = False
        """Whether the packet before was the one that its sender numbered just before."""
        self._by_second: dict[int, list[int]] = {}
        """Second → bytes, packets."""
        self.reports: list[tuple[float, float, float]] = []
        """Arrival, NTP and media time of each sender report, in seconds."""
        self.report_arrivals: dict[int, float] = {}
        self.round_trips: list[float] = []
        self.nacked = self.key_frame_requests = 0

    def receive(self, arrival: float, sequence: int, timestamp: int, size: int) -> bool:
        """Count a packet; whether it is new."""
        self.packets += 1
        self.bytes += size
        second = self._by_second.setdefault(int(arrival - self._begin), [0, 0])
        second[0] += size
        second[1] += 1
        self._in_order = False
        if self._highest < 0:
            self._first = self._highest = sequence + 0x10000  # room for packets that come before it
            return True
        ahead = (sequence - self._highest + 0x8000 & 0xFFFF) - 0x8000
        unwrapped = self._highest + ahead
        if abs(ahead) > RESTART or (self.interrupted and ahead > 0):
            self.restarts += not self.interrupted
            self.interrupted = False
            self._expected_before += self._highest - self._first + 1
            self._first = self._highest = unwrapped
            return True
        if ahead > 0:
            self._in_order = ahead == 1
            for one in range(self._highest + 1, unwrapped):
                self._missing[one] = arrival
            self._highest = unwrapped
            return True
        return self._fill(unwrapped, arrival)

    def _fill(self, unwrapped: int, arrival: float) -> bool:
        if unwrapped < self._first:
            self._first = unwrapped
            self.reordered += 1
            return True
        since = self._missing.pop(unwrapped, None)
        if since is None:
            self.duplicates += 1
            return False
        self.reordered += 1
        self.late += arrival - since > LATE
        return True

    def repair(self, sequence: int) -> bool:
        """Count a retransmitted packet, by the number that the original had; whether it was missing."""
        unwrapped = self._highest + (sequence - self._highest + 0x8000 & 0xFFFF) - 0x8000
        if self._missing.pop(unwrapped, None) is None:
            return False
        self.repaired += 1
        return True

    def is_near(self, sequence: int, timestamp: int) -> bool:
        """Whether a packet with these numbers may be one of this stream, sent lately."""
        if self._timestamp is None:
            return False
        ahead = (sequence - self._highest + 0x8000 & 0xFFFF) - 0x8000
        later = (timestamp - self._timestamp + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        return abs(ahead) <= RESTART and abs(later) <= RECENT * self.clock_rate

    def time(self, arrival: float, timestamp: int) -> float:
        """Media time in seconds, unwrapped; measures jitter (RFC 3550 A.8) by the way."""
        if self._timestamp is None:
            self._timestamp = timestamp
        else:
            self._timestamp += (timestamp - self._timestamp + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        media = self._timestamp / self.clock_rate
        transit = arrival - media
        if self._transit is not None and abs(transit - self._transit) < 10:
            self._jitter += (abs(transit - self._transit) - self._jitter) / 16
            self.jitter = max(self.jitter, self._jitter)
        self._transit = transit
        return media

    def frame(self, arrival: float, media: float, data: Buffer, begin: int, end: int) -> None:
        """A packet with payload of a video frame."""
        times = self.frame_times
        if not times or media > times[-1]:
            times.append(media)
            self._pace.frame(arrival - self._begin, media, follows=self._in_order)
        if self._detector is not None and self._detector(data, begin, end) and (not self.key_times or media > self.key_times[-1]):
            self.key_times.append(media)

    def report(self, arrival: float, packet: rtcp.SenderReport) -> None:
        if not packet.ntp_time:  # RFC 3550, 6.4.1: a sender without a wall clock
            return
        base = self.reports[-1][2] * self.clock_rate if self.reports else packet.rtp_timestamp
        ahead = (packet.rtp_timestamp - round(base) + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        self.reports.append((arrival, packet.ntp_time / _NTP_FRACTION, (round(base) + ahead) / self.clock_rate))
        self.report_arrivals[packet.ntp_time >> 16 & 0xFFFFFFFF] = arrival
        if len(self.report_arrivals) > _KEPT_REPORTS:
            del self.report_arrivals[next(iter(self.report_arrivals))]

    def feedback(self, arrival: float, block: rtcp.ReportBlock) -> None:
        sent = self.report_arrivals.get(block.last_sender_report)
        if sent is not None and block.last_sender_report:
            trip = arrival - sent - block.delay / 65536
            if 0 <= trip < 60:
                self.round_trips.append(trip)

    def figures(self) -> PacketFigures:
        expected = self._expected_before + self._highest - self._first + 1 if self._highest >= 0 else 0
        seconds = max(self._by_second, default=-1) + 1
        lost: dict[int, int] = {}
        for when in self._missing.values():
            lost[int(when - self._begin)] = lost.get(int(when - self._begin), 0) + 1
        drift, drift_error = _slope([(ntp, media) for _, ntp, media in self.reports])
        sender, _ = _slope(_envelope(self.reports))
        video = self.kind == "video"
        keys = intervals.gaps(self.key_times, 0)
        return PacketFigures(
            ssrc=self.ssrc,
            codec=self.codec,
            packets=self.packets,
            bytes=self.bytes,
            expected=expected,
            lost_before_repair=len(self._missing) + self.repaired,
            repaired=self.repaired,
            lost=len(self._missing),
            duplicates=self.duplicates,
            reordered=self.reordered,
            late=self.late,
            restarts=self.restarts,
            longest_burst=_longest_run(sorted(self._missing)),
            jitter=self.jitter if self.packets > 1 else None,
            frames=len(self.frame_times) if video else None,
            key_frames=len(self.key_times) if video and self._detector else None,
            longest_key_frame_distance=intervals.longest(keys) or None if video else None,
            frame_rate=self._pace.rate,
            usual_frame_rate=self._pace.usual_rate,
            sender_left_out=self._pace.left_out,
            sender_pauses=self._pace.pauses(),
            freezes=_from_zero(intervals.freezes(self.frame_times), self.frame_times),
            gaps=_from_zero(intervals.gaps(self.frame_times), self.frame_times),
            nacked=self.nacked,
            key_frame_requests=self.key_frame_requests,
            round_trip=statistics.median(self.round_trips) if self.round_trips else None,
            sender_reports=len(self.reports),
            drift=drift,
            drift_error=drift_error,
            sender_clock=-sender if sender is not None else None,
            bitrate=[self._by_second.get(second, (0, 0))[0] * 8.0 for second in range(seconds)],
            loss=[
                _share(lost.get(second, 0), self._by_second.get(second, (0, 0))[1] + lost.get(second, 0))
                for second in range(seconds)
            ],
        )


class PacketFacts:
    """All streams of a call."""

    def __init__(self) -> None:
        self._formats: dict[str, PartyFormats] = {}
        self._streams: dict[tuple[str, int], _RtpStream] = {}
        self._begin: float | None = None
        self.unknown = 0
        """Packets that are no RTP or RTCP, or of a payload type that no description has."""

    def describe(self, party: str, media: Sequence[Mapping[str, Any]]) -> None:
        """Learn what a party says that it will send: the media descriptions of an interface of the capture."""
        self._formats.setdefault(party, PartyFormats()).learn(media)

    def add(self, arrival: float, party: str, data: Buffer) -> None:
        """Count one decrypted packet.

        Args:
            arrival: seconds, on any clock that does not go back.
            party: that sent it.
        """
        if self._begin is None:
            self._begin = arrival
        if len(data) < 4:
            self.unknown += 1
        elif is_rtcp(data[1]):
            self._add_rtcp(arrival, party, data)
        else:
            self._add_rtp(arrival, party, data)

    def interrupt(self) -> None:
        """The recording paused, for a hold or otherwise: what was not captured is not lost."""
        for stream in self._streams.values():
            stream.interrupted = True

    def _add_rtp(self, arrival: float, party: str, data: Buffer) -> None:
        size = len(data)
        if not header_length(data, size):
            self.unknown += 1
            return
        _, second, sequence, timestamp, ssrc = peek(data)
        formats = self._formats.setdefault(party, PartyFormats())
        used = formats.formats.get(second & PAYLOAD_TYPE)
        begin, end = payload_range(data, size)
        if used is None:
            self.unknown += 1
            return
        formats.notice(ssrc, data)
        if used.name in _REPAIRS:
            # RFC 4588, 4: the original's sequence number is before its payload. Shorter ones probe for bandwidth.
            if used.name == "rtx" and end - begin > 2:
                repeated = data[begin] << 8 | data[begin + 1]
                original = self._original(party, formats, ssrc, used.apt, repeated, timestamp)
                if original is not None:
                    original.repair(repeated)
            return
        if used.name == "red":
            used, begin = _unwrapped(formats, used, data, begin, end)
        stream = self._stream(party, ssrc, used, arrival)
        if stream is None or not stream.receive(arrival, sequence, timestamp, size):
            return
        media = stream.time(arrival, timestamp)
        # A packet of padding alone probes for bandwidth; forward error correction within RED is not of a frame of its own.
        if used.kind == "video" and end > begin and used.name not in _REPAIRS:
            stream.frame(arrival, media, data, begin, end)

    def _original(
        self, party: str, formats: PartyFormats, ssrc: int, apt: int | None, sequence: int, timestamp: int
    ) -> _RtpStream | None:
        """The stream that a retransmission is of: by descriptions, by the layers that packets name, or by its numbers."""
        if ssrc in formats.repaired_by:
            return self._streams.get((party, formats.repaired_by[ssrc]))
        codec = formats.formats.get(apt) if apt is not None else None
        fitting = [one for one in self._streams.values() if one.party == party and codec is not None and one.kind == codec.kind]
        layer = formats.layers.get(ssrc)
        if layer is not None:
            fitting = [one for one in fitting if formats.layers.get(one.ssrc, layer) == layer]
        if len(fitting) > 1:
            # A recording may begin when packets name no layer any more. Each layer counts its own numbers.
            fitting = [one for one in fitting if one.is_near(sequence, timestamp)]
            if len(fitting) == 1 and len(formats.repaired_by) < MOST_STREAMS:
                formats.repaired_by[ssrc] = fitting[0].ssrc
        return fitting[0] if len(fitting) == 1 else None

    def _stream(self, party: str, ssrc: int, used: Format, arrival: float) -> _RtpStream | None:
        stream = self._streams.get((party, ssrc))
        if stream is None and len(self._streams) < MOST_STREAMS:
            begin = arrival if self._begin is None else self._begin
            stream = _RtpStream(party, ssrc, used.kind, used.name, used.clock_rate, begin)
            self._streams[party, ssrc] = stream
        return stream

    def _add_rtcp(self, arrival: float, party: str, data: Buffer) -> None:
        try:
            packets = rtcp.parse(data)
        except rtcp.RtcpError:
            self.unknown += 1
            return
        for packet in packets:
            if isinstance(packet, rtcp.SenderReport) and (stream := self._streams.get((party, packet.ssrc))):
                stream.report(arrival, packet)
            if isinstance(packet, rtcp.SenderReport | rtcp.ReceiverReport):
                for block in packet.blocks:
                    for stream in self._sent_to(party, block.ssrc):
                        stream.feedback(arrival, block)
            elif isinstance(packet, rtcp.Nack):
                for stream in self._sent_to(party, packet.media_ssrc):
                    stream.nacked += len(packet.sequences)
            elif isinstance(packet, rtcp.PictureLoss):
                for stream in self._sent_to(party, packet.media_ssrc):
                    stream.key_frame_requests += 1
            elif isinstance(packet, rtcp.FullIntraRequest):
                for stream in (one for ssrc in packet.media_ssrcs for one in self._sent_to(party, ssrc)):
                    stream.key_frame_requests += 1

    def _sent_to(self, party: str, ssrc: int) -> Iterable[_RtpStream]:
        return [one for (sender, number), one in self._streams.items() if sender != party and number == ssrc]

    def figures(self) -> dict[tuple[str, str], list[PacketFigures]]:
        """The figures of each stream, by party and kind, in the order in which the streams began."""
        found: dict[tuple[str, str], list[PacketFigures]] = {}
        for stream in self._streams.values():
            found.setdefault((stream.party, stream.kind), []).append(stream.figures())
        return found


def _unwrapped(formats: PartyFormats, red: Format, data: Buffer, begin: int, end: int) -> tuple[Format, int]:
    """The format of the primary block of a RED packet (RFC 2198), and where it begins."""
    lengths = 0
    while begin < end and data[begin] & 0x80:
        if begin + 4 > end:
            return red, end
        lengths += (data[begin + 2] & 0x03) << 8 | data[begin + 3]
        begin += 4
    if begin >= end:
        return red, end
    return formats.formats.get(data[begin] & PAYLOAD_TYPE, red), min(begin + 1 + lengths, end)


def _envelope(reports: Sequence[tuple[float, float, float]]) -> list[tuple[float, float]]:
    """Of each 10 s, the report that took the least time to arrive: sender's time, and arrival."""
    best: dict[int, tuple[float, float]] = {}
    for arrival, ntp, _ in reports:
        window = int((ntp - reports[0][1]) // 10)
        if window not in best or arrival - ntp < best[window][1] - best[window][0]:
            best[window] = (ntp, arrival)
    return [*best.values()]


def _slope(points: Sequence[tuple[float, float]]) -> tuple[float | None, float | None]:
    """By how many ppm the second grows faster than the first, and the standard error of that."""
    if len(points) < FEWEST_REPORTS or points[-1][0] - points[0][0] < SHORTEST_DRIFT:
        return None, None
    xs = [x - points[0][0] for x, _ in points]
    ys = [(y - points[0][1]) - x for (_, y), x in zip(points, xs, strict=True)]
    slope, intercept = statistics.linear_regression(xs, ys)
    mean = statistics.fmean(xs)
    spread = sum((x - mean) ** 2 for x in xs)
    rest = sum((y - slope * x - intercept) ** 2 for x, y in zip(xs, ys, strict=True)) / (len(xs) - 2)
    return slope * 1e6, (rest / spread) ** 0.5 * 1e6


def _longest_run(numbers: Sequence[int]) -> int:
    longest = run = 0
    before: int | None = None
    for number in numbers:
        run = run + 1 if before is not None and number == before + 1 else 1
        longest = max(longest, run)
        before = number
    return longest


def _from_zero(found: list[tuple[float, float]], times: Sequence[float]) -> list[tuple[float, float]]:
    return [(start - times[0], duration) for start, duration in found]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
