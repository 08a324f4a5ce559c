"""The second pass over a capture: packets become tracks. Holds the packets and frames of a few seconds."""

import math
from collections.abc import Iterable, Mapping
from typing import Final

from relay.recording.assembly.audio_track import FILL_DELAY, AudioTrack, Lay
from relay.recording.assembly.budget import USUAL_LIMIT, HeldLimit
from relay.recording.assembly.frames import CodedFrame, Decodability, FrameAssembler
from relay.recording.assembly.mux import Muxer
from relay.recording.assembly.selection import TimedFrame
from relay.recording.assembly.sources import PayloadUse, TrackKey
from relay.recording.assembly.streams import Arrived, Reorder, Unwrap, payload_of, unpack_red, unpack_rtx
from relay.recording.assembly.survey import NANOSECOND, CaptureFacts, StreamFacts, TrackFacts
from relay.recording.assembly.ulpfec import UlpfecDecoder
from relay.recording.assembly.video_track import VideoTrack
from relay.recording.records import CapturedPacket, CaptureEvent, CaptureInterface, Record
from relay.rtp.packet import is_rtcp, peek

CAUSAL: Final = 0.1
"""Seconds that media may seem to be sent after it arrived: what the time lines are off at most."""

TICK: Final = 0.5
"""Seconds of arrival after which tracks are looked at that got nothing."""


class _Stream:
    """One SSRC of media in the second pass: its packets in order, each to its track."""

    def __init__(self, facts: StreamFacts, zero: float) -> None:
        self.facts, self.payloads = facts, facts.payloads
        self.unwrap = Unwrap(facts.rate)
        self.reorder = Reorder()
        self.held: tuple[bool, PayloadUse, bytes, float] | None = None
        self.repaired = self.redundant = self.repair_packets = self.recovered = self.malformed = 0
        protected = any(one.codec == "ulpfec" for one in self.payloads.values())
        self.ulpfec = UlpfecDecoder(facts.sender.section.extensions.items()) if protected else None
        self.resumed = False
        self.audio: dict[str, AudioTrack] = {}
        self.video: dict[str, tuple[FrameAssembler, Decodability, VideoTrack, int]] = {}
        self._zero = zero
        self._sequence: int | None = None
        self._expected = 0
        """Timestamp at which the packet before this one ends, if it has one of audio."""

    def packet(self, use: PayloadUse, marker: bool, data: bytes, begin: int, end: int, arrival: float) -> None:
        """A packet whose numbers the unwrapping has, with its header.

        Args:
            begin, end: where its payload lies.
        """
        if use.role == "red" and begin < end and data[begin] < 0x80:  # one block, as all of Chromium's video
            self.arrived(self.within_red(data[begin]), marker, data[begin + 1 : end], arrival)
        else:
            self.arrived(use, marker, data[begin:end], arrival)
        if self.ulpfec is not None:
            self.remember(data, begin, use, arrival)

    def arrived(self, use: PayloadUse, marker: bool, payload: bytes, arrival: float) -> None:
        """A packet whose numbers the unwrapping has."""
        unwrap = self.unwrap
        sequence, timestamp = unwrap.sequence, unwrap.timestamp
        if self.resumed and sequence == unwrap.high:
            self.resumed = False
            self.deliver(self.reorder.begin(sequence))
            self.gap()
            for _, decodability, *_ in self.video.values():
                decodability.resume()
        if use.role == "red":
            self._red(sequence, timestamp, marker, payload, arrival)
        else:
            self._push(sequence, timestamp, marker, use, payload, arrival)

    def _push(self, sequence: int, timestamp: int, marker: bool, use: PayloadUse, payload: bytes, arrival: float) -> None:
        codec = use.codec if use.role == "media" and payload else ""
        if use.role == "fec":
            self.repair_packets += 1
            if self.ulpfec is not None and use.codec == "ulpfec":
                self._repair(payload, arrival)
        reorder = self.reorder
        packet = Arrived(sequence, timestamp, marker, codec, payload, arrival)
        if sequence == reorder.next and not reorder.waiting:  # as nearly always: what `push` does then
            reorder.next = sequence + 1
            self._deliver_one(packet)
            return
        for ready in reorder.push(packet):
            self._deliver_one(ready)

    def _red(self, sequence: int, timestamp: int, marker: bool, payload: bytes, arrival: float) -> None:
        payloads = self.payloads
        if not payload:
            self._push(sequence, timestamp, marker, _NOTHING, b"", arrival)
            return
        try:
            blocks = unpack_red(payload)
        except ValueError:
            self.malformed += 1
            self._push(sequence, timestamp, marker, _NOTHING, b"", arrival)
            return
        *redundant, primary = blocks
        for distance, block in zip(range(len(redundant), 0, -1), redundant, strict=True):
            use = payloads.get(block.payload_type)
            if use is not None and use.codec in self.audio and block.payload and self.reorder.missing(sequence - distance):
                self.redundant += 1
                self._push(sequence - distance, timestamp - block.offset, False, use, block.payload, arrival)
        self._push(sequence, timestamp, marker, self.within_red(primary.payload_type), primary.payload, arrival)

    def within_red(self, payload_type: int) -> PayloadUse:
        """What a block of RED is by its payload type."""
        use = self.payloads.get(payload_type)
        return use if use is not None and use.role != "red" else _NOTHING

    def resent(self, use: PayloadUse, payload: bytes, timestamp: int, marker: bool, arrival: float) -> None:
        """A retransmission (RFC 4588)."""
        original = unpack_rtx(payload)
        inner = self.payloads.get(use.original)
        if original is None or inner is None or not self.unwrap.started:
            return
        sequence, when = self.unwrap.locate(original[0], timestamp)
        if not self.reorder.missing(sequence):
            return
        self.repaired += 1
        if inner.role == "red":
            self._red(sequence, when, marker, original[1], arrival)
        elif inner.role == "media":
            self._push(sequence, when, marker, inner, original[1], arrival)

    def remember(self, data: bytes, begin: int, use: PayloadUse, arrival: float) -> None:
        """A packet that forward error correction may protect. What is repaired with its help goes where it belongs."""
        assert self.ulpfec is not None, "asked before"
        if begin == len(data):  # padding
            return
        inner = self.payloads.get(data[begin]) if use.role == "red" else use
        if inner is not None and inner.role == "media":
            self._recovered(self.ulpfec.packet(data, red=use.role == "red"), arrival)

    def _repair(self, payload: bytes, arrival: float) -> None:
        assert self.ulpfec is not None, "asked before"
        try:
            self._recovered(self.ulpfec.repair(payload), arrival)
        except ValueError:
            self.malformed += 1

    def _recovered(self, packets: list[bytes], arrival: float) -> None:
        for data in packets:
            flags, second, seq, ts, _ = peek(data)
            sequence, timestamp = self.unwrap.locate(seq, ts)
            use = self.payloads.get(second & 0x7F)
            begin, end = payload_of(data, flags)
            if use is not None and use.role == "media" and begin < end and self.reorder.missing(sequence):
                self.recovered += 1
                self._push(sequence, timestamp, second & 0x80 != 0, use, data[begin:end], arrival)

    def restart(self, use: PayloadUse, marker: bool, payload: bytes, arrival: float) -> None:
        """The sender began anew with the packet that was held, and this one."""
        held, self.held = self.held, None
        self.deliver(self.reorder.begin(self.unwrap.held_sequence))
        self.gap()
        sequence, timestamp = self.unwrap.sequence, self.unwrap.timestamp
        if held is not None:
            self.unwrap.sequence, self.unwrap.timestamp = self.unwrap.held_sequence, self.unwrap.held_timestamp
            self.arrived(held[1], held[0], held[2], held[3])
            self.unwrap.sequence, self.unwrap.timestamp = sequence, timestamp
        self.arrived(use, marker, payload, arrival)

    def gap(self) -> None:
        """What comes next does not follow what came: nothing between is lost."""
        self._sequence = None
        for assembler, *_ in self.video.values():
            assembler.gap()

    def deliver(self, packets: list[Arrived]) -> None:
        for packet in packets:
            self._deliver_one(packet)

    def _deliver_one(self, packet: Arrived) -> None:
        if packet.codec in self.audio:
            self._audio(packet)
        elif self.video:
            self._video(packet)
        else:
            self._sequence = packet.sequence

    def _audio(self, packet: Arrived) -> None:
        track = self.audio[packet.codec]
        # Nothing is sent after it has arrived: whatever a hostile sender's timestamps say, audio is no longer than the recording.
        time = min(self.facts.timing.at(packet.timestamp), packet.arrival + CAUSAL) - self._zero
        reason = ""
        if not track.packets:
            reason = "start"
        elif self._sequence is None:
            reason = "pause"
        elif packet.sequence != self._sequence + 1:
            reason = "lost"
        elif abs(packet.timestamp - self._expected) > 2:
            reason = "pause"
        self._sequence = packet.sequence
        track.packet(time, packet.payload, reason)
        self._expected = packet.timestamp + track.last_samples

    def _video(self, packet: Arrived) -> None:
        if packet.codec:
            found = self.video.get(packet.codec)
            if found is None:
                return
            if len(self.video) > 1:
                for codec, other in self.video.items():
                    if codec != packet.codec:
                        other[0].gap()
            frames = found[0].push(packet)
            if frames:
                self._frames(found, frames, packet.arrival)
        else:
            for found in self.video.values():
                self._frames(found, found[0].push(packet), packet.arrival)

    def _frames(
        self, found: tuple[FrameAssembler, Decodability, VideoTrack, int], frames: list[CodedFrame], arrival: float
    ) -> None:
        if not frames:
            return
        _, decodability, track, layer = found
        for frame in frames:
            time = min(self.facts.timing.at(frame.timestamp), arrival + CAUSAL) - self._zero
            decodable = decodability.decodable(frame)
            track.frame(layer, TimedFrame(max(0.0, time), frame, decodable, decodability.lost))

    @property
    def bytes_held(self) -> int:
        """That wait."""
        frames = sum(assembler.held for assembler, *_ in self.video.values())
        return self.reorder.held + frames + (0 if self.ulpfec is None else self.ulpfec.held)

    def relieve(self) -> None:
        """Go on without what is missing."""
        if self.ulpfec is not None:
            self.ulpfec.forget()
        self.deliver(self.reorder.flush())
        for found in self.video.values():
            self._frames(found, found[0].drop(), math.inf)

    def flush(self) -> None:
        self.deliver(self.reorder.flush())
        for found in self.video.values():
            self._frames(found, found[0].flush(), math.inf)


_RELIEVED: Final = "more than {} MiB waited for missing packets: frames were left out that these might have completed"

_NOTHING: Final = PayloadUse("other", "", 90000, {}, -1)


class TrackWriter:
    """Takes the records of a capture once more, and writes the tracks that the first pass found."""

    def __init__(
        self,
        facts: CaptureFacts,
        tracks: Mapping[TrackKey, TrackFacts],
        muxer: Muxer,
        zero: float,
        *,
        keep_broken: bool,
        limit: HeldLimit = USUAL_LIMIT,
    ) -> None:
        """Args: zero: seconds of the relay's clock, from the beginning of the recording, at which the files begin."""
        self._limit = limit
        self._facts, self._begin, self._zero = facts, facts.begin, zero
        self.audio: dict[TrackKey, AudioTrack] = {}
        self.video: dict[TrackKey, VideoTrack] = {}
        self.streams = {name: _Stream(one, zero) for name, one in facts.streams.items() if one.packets}
        self._by_interface: dict[int, dict[int, tuple[_Stream | None, int]]] = {}
        """Interface → SSRC → its stream, and of retransmissions the SSRC that they repeat, else 0."""
        self._routes: dict[str, dict[int, tuple[_Stream | None, int]]] = {}
        self._next_tick = 0.0
        self._unlooked = 0
        """Bytes of packets since it was looked at how much waits."""
        for key, track in tracks.items():
            budget = facts.budget(key.party)
            if key.kind == "audio":
                rate = track.streams[0].rate
                self.audio[key] = AudioTrack(key.codec, rate, _layer(muxer, key), budget, stereo=track.stereo)
            else:
                self.video[key] = VideoTrack(track, muxer, budget, keep_broken=keep_broken)
            for layer, one in enumerate(track.streams):
                stream = self.streams[one.transport.name, one.sender.ssrc]
                if key.kind == "audio":
                    stream.audio[key.codec] = self.audio[key]
                else:
                    parameters = _parameters(one, key.codec)
                    stream.video[key.codec] = (FrameAssembler(key.codec, parameters), Decodability(), self.video[key], layer)

    def take(self, records: Iterable[Record]) -> None:
        for record in records:
            if type(record) is CapturedPacket:
                self._packet(record)
            elif isinstance(record, CaptureInterface):
                transport = self._facts.transports.get(record.name)
                if transport is None:  # beyond as many as a recording has
                    self._by_interface[record.number] = {}
                    continue
                transport.describe(record.media)
                self._by_interface[record.number] = self._routes.setdefault(record.name, self._route(record.name))
            elif isinstance(record, CaptureEvent) and record.name in ("hold", "paused"):
                for stream in self.streams.values():
                    stream.resumed = True

    def _route(self, name: str) -> dict[int, tuple[_Stream | None, int]]:
        routes: dict[int, tuple[_Stream | None, int]] = {}
        for ssrc, sender in self._facts.transports[name].senders.items():
            if sender.role == "rtx":
                original = self._facts.transports[name].original(sender)
                routes[ssrc] = (self.streams.get((name, original)), original)
            else:
                routes[ssrc] = (self.streams.get((name, ssrc)), 0)
        return routes

    def _packet(self, record: CapturedPacket) -> None:
        data = record.data
        if len(data) < 12:
            return
        flags, second, seq, ts, ssrc = peek(data)
        if flags & 0xC0 != 0x80 or is_rtcp(second):
            return
        stream, original = self._by_interface[record.interface].get(ssrc, (None, 0))
        if stream is None:
            return
        use = stream.payloads.get(second & 0x7F)
        if use is None:
            return
        arrival = (record.at - self._begin) * NANOSECOND
        if arrival >= self._next_tick:
            self._tick(arrival)
        self._unlooked += len(data)
        if self._unlooked > self._limit.unseen:
            self._relieve()
        begin, end = payload_of(data, flags)
        marker = second & 0x80 != 0
        if original:
            stream.resent(use, data[begin:end], ts, marker, arrival)
            return
        placed = stream.unwrap.feed(seq, ts, arrival)
        if placed == Unwrap.ORDINARY:
            stream.packet(use, marker, data, begin, end, arrival)
        elif placed == Unwrap.HELD:
            stream.held = (marker, use, data[begin:end], arrival)
        else:
            stream.restart(use, marker, data[begin:end], arrival)

    def _tick(self, arrival: float) -> None:
        self._next_tick = arrival + TICK
        now = arrival - self._zero
        for stream in self.streams.values():
            # Before silence takes its time.
            stream.deliver(stream.reorder.expire(arrival))
        for audio in self.audio.values():
            audio.fill_until(now - FILL_DELAY, "pause" if audio.packets else "start")
        for video in self.video.values():
            video.tick(now)

    def _relieve(self) -> None:
        """Where too much waits, let the largest go on without what they wait for."""
        self._unlooked = 0
        holders: list[_Stream | VideoTrack] = [*self.streams.values(), *self.video.values()]
        held = sum(one.bytes_held for one in holders)
        if held <= self._limit.held:
            return
        if not self._facts.counts["relieved"]:
            self._facts.warnings.append(_RELIEVED.format(self._limit.held >> 20))
        for _ in range(2 * len(holders)):  # what a stream gives on may wait in its track
            self._facts.counts["relieved"] += 1
            max(holders, key=lambda one: one.bytes_held).relieve()
            held = sum(one.bytes_held for one in holders)
            if held <= self._limit.held // 2:
                break

    def finish(self, end: float) -> None:
        """Write what still waits; audio goes on until the end of the recording.

        Args:
            end: seconds, of the recording.
        """
        for stream in self.streams.values():
            stream.flush()
        for video in self.video.values():
            video.tick(math.inf)
        for audio in self.audio.values():
            audio.fill_until(end, "end")


def _layer(muxer: Muxer, key: TrackKey) -> Lay:
    def lay(begin: int, payload: bytes, samples: int) -> None:
        muxer.write(key, begin, payload, samples)

    return lay


def _parameters(stream: StreamFacts, codec: str) -> Mapping[str, str]:
    return next((use.parameters for use in stream.sender.section.payloads.values() if use.codec == codec), {})
