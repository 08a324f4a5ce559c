"""The first pass over a capture: what is in it, and when. Keeps a few numbers per stream and second, no packets."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, Final

from relay.recording.assembly.budget import NoteBudget
from relay.recording.assembly.clock import StreamTiming, solve
from relay.recording.assembly.sources import (
    MAX_SSRCS,
    MAX_TRACKS,
    MAX_TRANSPORTS,
    CapturedSource,
    CapturedTransport,
    PayloadUse,
    TrackKey,
)
from relay.recording.assembly.streams import Unwrap, payload_of, unpack_rtx
from relay.recording.payloads.formats import MAY_BE_KEY, VIDEO
from relay.recording.payloads.h264 import parameter_units
from relay.recording.records import CaptureCut, CapturedPacket, CaptureEvent, CaptureInterface, Record
from relay.rtp.extensions import header_extensions
from relay.rtp.packet import is_rtcp, payload_range, peek
from relay.rtp.rtcp import RtcpError, walk

MAX_EVENTS: Final = 100_000
MAX_EVENT_BYTES: Final = 16 << 20
"""Of all events: the relay's own have about 100 bytes each."""

NANOSECOND: Final = 1e-9

_sender_info = Struct("!IQI").unpack_from


@dataclass(slots=True)
class StreamFacts:
    """What the first pass found of one stream of media."""

    sender: CapturedSource
    transport: CapturedTransport
    timing: StreamTiming
    unwrap: Unwrap
    rate: int
    payloads: dict[int, PayloadUse]
    """Those of its media section, now."""
    packets: int = 0
    largest: int = 0
    """Pixels of the largest key frame: what ranks the layers of simulcast."""
    rotations: list[tuple[int, int]] = field(default_factory=list)
    """Timestamps, and by how many degrees the frames from there on are to be turned clockwise."""
    first: int | None = None
    """The lowest timestamp of media."""
    tracks: "dict[str, TrackFacts | None]" = field(default_factory=dict)
    """By codec; None: it is left out."""


@dataclass(slots=True)
class TrackFacts:
    """What the first pass found of one track."""

    key: TrackKey
    streams: list[StreamFacts] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)
    """Of the largest key frame."""
    keyframes: int = 0
    stereo: bool = False
    packets: int = 0
    parameter_units: dict[int, bytes] = field(default_factory=dict)
    """Of H.264 that says its rotation: the last parameter set of each type."""


@dataclass(slots=True)
class CaptureFacts:
    """What the first pass found."""

    started: CaptureEvent | None = None
    begin: int = 0
    """Nanoseconds since 1970 when the recording began."""
    last: int = 0
    """Of the last record."""
    events: list[CaptureEvent] = field(default_factory=list)
    transports: dict[str, CapturedTransport] = field(default_factory=dict)
    streams: dict[tuple[str, int], StreamFacts] = field(default_factory=dict)
    tracks: dict[TrackKey, TrackFacts] = field(default_factory=dict)
    cut: CaptureCut | None = None
    counts: Counter[str] = field(default_factory=Counter)
    unknown_codecs: Counter[str] = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)
    budgets: dict[str, NoteBudget] = field(default_factory=dict)
    """By party."""

    def budget(self, party: str) -> NoteBudget:
        """Of a party; those that a call has not share one."""
        return self.budgets.setdefault(party if party in ("A", "B") else "", NoteBudget())

    def seconds(self, at: int) -> float:
        """A record's time, from the beginning of the recording."""
        return (at - self.begin) * NANOSECOND


def survey(records: Iterable[Record]) -> CaptureFacts:
    """Read a capture through.

    Raises:
        CaptureError: it is no recording of a relay.
    """
    first_pass = _Survey()
    packet = first_pass.packet
    for record in records:
        if type(record) is CapturedPacket:
            packet(record)
        else:
            first_pass.other(record)
    return first_pass.finish()


class _Survey:
    def __init__(self) -> None:
        self._facts = CaptureFacts()
        self._event_bytes = 0
        self._interfaces: dict[int, CapturedTransport] = {}
        self._streams: dict[int, dict[int, StreamFacts | None]] = {}
        """Interface → SSRC → stream; None: nothing that counts here."""
        self._by_transport: dict[str, dict[int, StreamFacts | None]] = {}

    def other(self, record: Record) -> None:
        facts = self._facts
        if isinstance(record, CaptureInterface):
            transport = facts.transports.get(record.name) or CapturedTransport(record.name, record.party)
            if len(facts.transports) < MAX_TRANSPORTS or record.name in facts.transports:
                facts.transports[record.name] = transport
                transport.describe(record.media)
            self._interfaces[record.number] = transport
            self._streams[record.number] = self._by_transport.setdefault(record.name, {})
            # What no description named until now may have its description here.
            known = self._streams[record.number]
            for ssrc in [ssrc for ssrc, stream in known.items() if stream is None and ssrc not in transport.senders]:
                del known[ssrc]
        elif isinstance(record, CaptureEvent):
            if facts.started is None:
                facts.started, facts.begin = record, record.at
            facts.last = max(facts.last, record.at)
            self._event_bytes += record.size
            if len(facts.events) < MAX_EVENTS and self._event_bytes <= MAX_EVENT_BYTES:
                facts.events.append(record)
            else:
                facts.counts["events_left_out"] += 1
        elif isinstance(record, CaptureCut):
            facts.cut = record

    def packet(self, record: CapturedPacket) -> None:  # noqa: PLR0911, PLR0912
        facts = self._facts
        at, interface, data = record.at, record.interface, record.data
        facts.last = max(facts.last, at)
        if len(data) < 12 or data[0] & 0xC0 != 0x80:
            facts.counts["malformed"] += 1
            return
        flags, second, seq, ts, ssrc = peek(data)
        if is_rtcp(second):
            self._rtcp(interface, data)
            return
        streams = self._streams[interface]
        try:
            stream = streams[ssrc]
        except KeyError:
            stream = self._new(self._interfaces[interface], ssrc, second & 0x7F, data)
            if len(streams) < 4 * MAX_SSRCS:
                streams[ssrc] = stream
        if stream is None:
            facts.counts["other_packets"] += 1
            self._note_repeated(interface, ssrc, ts, data)
            return
        use = stream.payloads.get(second & 0x7F)
        if use is None:
            facts.counts["unknown_payload_types"] += 1
            return
        arrival = (at - facts.begin) * NANOSECOND
        unwrap = stream.unwrap
        placed, timing = unwrap.feed(seq, ts, arrival), stream.timing
        if placed != Unwrap.ORDINARY:
            if placed == Unwrap.HELD:
                return
            timing.restart(unwrap.held_timestamp, arrival)
        timestamp = unwrap.timestamp
        timing.add(timestamp, arrival)
        stream.packets += 1
        begin, end = payload_of(data, flags)
        if begin >= end:
            return
        if use.role == "red":
            if data[begin] < 0x80:  # one block, as all of Chromium's video
                begin, use = begin + 1, stream.payloads.get(data[begin], use)
            else:
                begin, use = _primary(data, begin, end, use, stream.payloads)
            if begin >= end:
                return
        if use.role == "media":
            self._media(stream, use, data, begin, end, timestamp)
            if second & 0x80 and stream.sender.section.orientation and flags & 0x10:
                self._note_rotation(stream, data, timestamp)
        elif use.role == "other":
            facts.unknown_codecs[use.codec] += 1

    def _media(self, stream: StreamFacts, use: PayloadUse, data: bytes, begin: int, end: int, timestamp: int) -> None:
        codec = use.codec
        track = stream.tracks.get(codec)
        if track is None:
            if codec in stream.tracks:
                return
            track = stream.tracks[codec] = self._track(stream, codec)
            if track is None:
                return
        track.packets += 1
        if stream.first is None or timestamp < stream.first:
            stream.first = timestamp
        quick = MAY_BE_KEY.get(codec)
        if quick is None:
            if data[begin] & 4 and codec == "opus":
                track.stereo = True
            return
        octet = data[begin]
        if codec == "h264" and stream.sender.section.orientation and octet & 0x1F in (7, 8, 24):
            track.parameter_units.update(parameter_units(data[begin:end]))
        size = VIDEO[codec](data[begin:end]) if quick[octet] else None
        if size is not None:
            track.keyframes += 1
            pixels = size[0] * size[1]
            stream.largest = max(stream.largest, pixels)
            if pixels > track.size[0] * track.size[1]:
                track.size = size

    def _track(self, stream: StreamFacts, codec: str) -> TrackFacts | None:
        section = stream.sender.section
        if (section.kind == "video") != (codec in VIDEO):
            return None
        key = TrackKey(section.party, section.kind, section.ordinal, codec)
        track = self._facts.tracks.get(key)
        if track is None:
            if len(self._facts.tracks) >= MAX_TRACKS:
                self._facts.counts["tracks_left_out"] += 1
                return None
            track = self._facts.tracks[key] = TrackFacts(key)
        track.streams.append(stream)
        return track

    def _new(self, transport: CapturedTransport, ssrc: int, payload_type: int, data: bytes) -> StreamFacts | None:
        facts = self._facts
        if sum(len(one.senders) for one in facts.transports.values()) >= MAX_SSRCS:
            facts.counts["ssrcs_left_out"] += 1
            return None
        sender = transport.resolve(ssrc, payload_type, data)
        if sender is None:
            facts.counts["unknown_ssrcs"] += 1
            return None
        transport.senders[ssrc] = sender
        if sender.role != "media":
            return None
        rate = sender.section.payloads[payload_type].rate
        timing = StreamTiming(rate, facts.budget(transport.party))
        stream = StreamFacts(sender, transport, timing, Unwrap(rate), rate, sender.section.payloads)
        facts.streams[transport.name, ssrc] = stream
        return stream

    def _note_repeated(self, interface: int, ssrc: int, timestamp: int, data: bytes) -> None:
        """Find out what a sender of retransmissions repeats, where no description says it.

        Packets of simulcast name their layer until the first report only (RFC 8852), which a recording may have missed. What is
        sent again has the timestamp and the number that it had, and each layer counts its own.
        """
        sender = self._interfaces[interface].senders.get(ssrc)
        if sender is None or sender.role != "rtx" or sender.repeated or ssrc in sender.section.originals:
            return
        begin, end = payload_range(data, len(data))
        original = unpack_rtx(data[begin:end])
        if original is None:
            return
        near = [
            one.sender.ssrc
            for one in self._streams[interface].values()
            if one is not None and one.sender.section is sender.section and one.unwrap.is_near(original[0], timestamp)
        ]
        if len(near) == 1:
            sender.repeated = near[0]

    def _rtcp(self, interface: int, data: bytes) -> None:
        streams = self._streams[interface]
        self._facts.counts["rtcp_packets"] += 1
        try:
            for kind, _, begin, end, _ in walk(data):
                if kind == 200 and end - begin >= 20:
                    ssrc, ntp, timestamp = _sender_info(data, begin + 4)
                    stream = streams.get(ssrc)
                    if stream is not None and stream.unwrap.started:
                        stream.timing.report(ntp, stream.unwrap.timestamp_of(timestamp))
        except RtcpError:
            self._facts.counts["malformed"] += 1

    def _note_rotation(self, stream: StreamFacts, data: bytes, timestamp: int) -> None:
        """3GPP TS 26.114, 7.4.5: the last packet of a key frame has it, and of each frame where it changes."""
        for identifier, value in header_extensions(data):
            if identifier == stream.sender.section.orientation and value:
                degrees = (value[0] & 3) * 90
                known = stream.rotations
                budget = self._facts.budget(stream.transport.party)
                if (not known or known[-1][1] != degrees) and budget.take("rotations"):
                    known.append((timestamp, degrees))

    def finish(self) -> CaptureFacts:
        facts = self._facts
        if facts.cut is not None:
            cut = facts.cut
            facts.warnings.append(f"the file ends at byte {cut.offset}: {cut.reason}; {cut.left} bytes are left out")
        facts.warnings += _missing(facts)
        for name in facts.transports:
            streams = [one for (of, _), one in facts.streams.items() if of == name and one.packets]
            for stream in streams:
                stream.timing.finish()
            # A microphone's clock first: its packets are paced by nothing, and are small.
            streams.sort(key=lambda one: (one.sender.section.kind != "audio", -one.packets))
            facts.warnings += solve([one.timing for one in streams], name)
        for codec, packets in facts.unknown_codecs.items():
            if codec not in ("telephone-event", "cn"):
                facts.warnings.append(f"{packets} packets of {codec} cannot be written; the capture has them")
        return facts


def _primary(data: bytes, begin: int, end: int, red: PayloadUse, payloads: dict[int, PayloadUse]) -> tuple[int, PayloadUse]:
    """Where the last block of a RED packet begins, and what it is (RFC 2198); the end, if it makes no sense."""
    redundant = 0
    while begin < end and data[begin] & 0x80:
        if begin + 4 > end:
            return end, red
        redundant += (data[begin + 2] & 3) << 8 | data[begin + 3]
        begin += 4
    if begin >= end:
        return end, red
    use = payloads.get(data[begin] & 0x7F)
    return (begin + 1 + redundant, use) if use is not None and use.role != "red" else (end, red)


_EARLY: Final = {
    "disk_full": "the recording ended early: the disk was full",
    "write_failed": "the recording ended early: it could not be written",
    "worker_lost": "the recording ended early: the process that wrote it died",
    "server_lost": "the recording ended early: the server died",
}


def _missing(facts: CaptureFacts) -> list[str]:
    """What the capture says that it has not."""
    dropped = sum(count for one in facts.events if one.name == "dropped" and isinstance(count := one.fields.get("packets"), int))
    found = [f"{dropped} packets are missing: the disk was too slow"] if dropped else []
    found += [f"packets are missing: {str(one.fields.get('reason'))[:200]}" for one in facts.events if one.name == "failed"][:1]
    ended = next((one for one in reversed(facts.events) if one.name == "ended"), None)
    if ended is not None:
        found += [_EARLY[reason]] if (reason := str(ended.fields.get("reason"))) in _EARLY else []
    elif facts.cut is None:
        found.append("the recording has no end: the process that wrote it died, or its disk failed")
    return found


def describe_started(facts: CaptureFacts) -> dict[str, Any]:
    """The fields of the first event."""
    return dict(facts.started.fields) if facts.started is not None else {}
