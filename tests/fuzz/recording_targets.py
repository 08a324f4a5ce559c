"""Fuzz targets of what reads recordings: what clients have sent, and files that others may have changed.

What is refused is refused by a `ValueError` or, of a sealed file, a `SealError`; nothing takes more memory than it says.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any, Final

from relay.recording.assembly.audio_track import AudioTrack
from relay.recording.assembly.budget import USUAL_LIMIT, HeldLimit, NoteBudget
from relay.recording.assembly.frames import Decodability, FrameAssembler
from relay.recording.assembly.sources import MAX_SSRCS, MAX_TRACKS, PayloadUse
from relay.recording.assembly.streams import Arrived, unpack_red, unpack_rtx
from relay.recording.assembly.survey import CaptureFacts, _primary, survey
from relay.recording.assembly.tracks import TrackWriter
from relay.recording.assembly.ulpfec import MAX_PENDING, REMEMBERED, UlpfecDecoder
from relay.recording.payloads import h264
from relay.recording.payloads.audio import opus_samples
from relay.recording.payloads.formats import VIDEO, depacketizer
from relay.recording.payloads.frame import MAX_FRAME
from relay.recording.records import (
    MAX_INTERFACES,
    CaptureCut,
    CapturedPacket,
    CaptureError,
    CaptureEvent,
    CaptureInterface,
    Record,
    read_blocks,
)
from relay.rtp.extensions import header_extensions
from relay.rtp.packet import payload_range
from relay.sealed import SealedFile, SealError, open_sealed
from tests.fuzz.recording_corpus import GAP, IN_RED, KEY, MARKER, NEXT, PLAIN, REPAIR, capture_of
from tests.fuzz.recording_corpus import sealed as sealed_file
from tests.recording.capture_file import START, headers, packet_block

# -- payloads -------------------------------------------------------------------------------------------------------------


def runs(data: bytes) -> Iterator[tuple[int, bytes]]:
    """As of `recording_corpus.run`: any bytes are some payloads in a row."""
    position = 0
    while position + 3 <= len(data):
        length = int.from_bytes(data[position + 1 : position + 3])
        yield data[position], data[position + 3 : position + 3 + length]
        position += 3 + length


def _video(codec: str, data: bytes) -> None:
    payloads = list(runs(data))
    _directly(codec, [payload for _, payload in payloads])
    _as_a_stream(codec, payloads)


def _directly(codec: str, payloads: list[bytes]) -> None:
    """A depacketiser takes anything."""
    unpacker = depacketizer(codec, {"sprop-parameter-sets": (payloads or [b""])[0][:60].decode("latin-1")})
    for payload in payloads:
        size = VIDEO[codec](payload)
        assert size is None or (size[0] >= 0 and size[1] >= 0)
        with suppress(ValueError):
            assert isinstance(unpacker.begins(payload), bool)
        with suppress(ValueError):
            unpacker.add(payload)
        facts = unpacker.facts()
        assert facts.layer in range(8)
        assert 0 <= unpacker.held <= MAX_FRAME + len(payload)
    with suppress(ValueError):
        assert len(unpacker.take()) <= MAX_FRAME + 1000
    assert unpacker.held == 0, "nothing of a frame is left for the next one"


def _as_a_stream(codec: str, payloads: list[tuple[int, bytes]]) -> None:
    """Frames of a stream: no byte of them comes from nowhere, and none is decodable before a key frame."""
    assembler, decodability = FrameAssembler(codec, {}), Decodability()
    sequence = timestamp = 0
    frames = []
    for said, payload in payloads:
        sequence += 2 if said & GAP else 1
        timestamp += 3000 if said & NEXT else 0
        frames += assembler.push(Arrived(sequence, timestamp, bool(said & MARKER), codec, payload, 0.0))
    frames += assembler.flush()
    frames += assembler.drop()
    whole = sum(len(one.data or b"") for one in frames)
    # H.264 gets four bytes for the two of a unit's length; AV1 a size for what has none, VP9 an index of its layers.
    assert whole <= sum(3 * len(payload) + 20 for _, payload in payloads)
    begun = False
    for frame in frames:
        decodable = decodability.decodable(frame)
        begun = begun or (frame.facts.key and frame.data is not None)
        assert not decodable or (begun and frame.data is not None)
    assert assembler.malformed <= len(payloads)


def _video_target(codec: str) -> Callable[[bytes], None]:
    return lambda data: _video(codec, data)


def fuzz_opus(data: bytes) -> None:
    """Packets and the pauses before them, in 5 ms: what is laid abuts, and lasts no longer than the packets and the pauses do."""
    laid: list[tuple[int, int]] = []
    track = AudioTrack("opus", 48_000, lambda begin, payload, samples: laid.append((begin, samples)), NoteBudget())
    time = 0.0
    for pause, payload in runs(data):
        samples = 0
        with suppress(ValueError):
            samples = opus_samples(payload)
            assert 120 <= samples <= 5760
        time += pause * 0.005
        track.packet(time, payload, "pause" if pause else "")
        time += samples / 48_000
    track.fill_until(time, "end")
    cursor = 0
    for begin, samples in laid:
        assert begin == cursor
        assert samples > 0
        cursor += samples
    assert cursor == track.cursor
    assert cursor <= (time + 0.13) * 48_000


# -- what payloads are wrapped in -----------------------------------------------------------------------------------------

_RED: Final = PayloadUse("red", "red", 90_000, {}, -1)
_ANY: Final[dict[int, PayloadUse]] = dict.fromkeys(range(128), PayloadUse("media", "vp8", 90_000, {}, -1))


def fuzz_red(data: bytes) -> None:
    list(header_extensions(data))
    begin, _ = _primary(data, 0, len(data), _RED, _ANY)
    try:
        blocks = unpack_red(data)
    except ValueError:
        return
    assert sum(len(one.payload) for one in blocks) < max(1, len(data))
    assert blocks[-1].offset == 0
    assert data[begin:] == blocks[-1].payload, "both passes over a capture find the same"
    assert all(0 <= one.payload_type <= 127 and one.offset < 1 << 14 and len(one.payload) < 1 << 10 for one in blocks[:-1])


def fuzz_rtx(data: bytes) -> None:
    """Retransmissions, and parameter sets: both are looked at before anything says what they are."""
    original = unpack_rtx(data)
    assert (original is None) == (len(data) <= 2)
    if original is not None:
        assert original == (int.from_bytes(data[:2]), data[2:])
    assert set(h264.parameter_units(data)) <= {7, 8}
    h264.parameter_sets(data.decode("latin-1"))


def fuzz_ulpfec(data: bytes) -> None:
    """Packets of a stream, and repair among them: what is repaired is RTP of that stream."""
    decoder = UlpfecDecoder([("http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time", 4)])
    ssrcs = set()
    for said, payload in runs(data):
        found: list[bytes] = []
        if said & REPAIR:
            with suppress(ValueError):
                found = decoder.repair(payload)
        else:
            begin, end = payload_range(payload, len(payload)) if len(payload) >= 12 and payload[0] & 0xC0 == 0x80 else (0, 0)
            if begin >= end:  # as `_Stream.remember` asks
                continue
            ssrcs.add(payload[8:12])
            found = decoder.packet(payload, red=bool(said & IN_RED))
        for packet in found:
            assert packet[0] & 0xC0 == 0x80
            assert packet[8:12] in ssrcs
            assert 12 <= len(packet) <= 12 + 65_535
        seen, pending = decoder._seen, decoder._pending
        assert len(seen) <= REMEMBERED
        assert len(pending) <= MAX_PENDING
        assert decoder.held == sum(len(one) for one, _ in seen.values())
    decoder.forget()
    assert not decoder.held


# -- files ----------------------------------------------------------------------------------------------------------------

_ENOUGH: Final = 3000


class _EnoughWritten(Exception):
    """Hours of silence between two packets are no news."""


class NullMuxer:
    """Instead of the containers, which are PyAV's: takes what is written, and looks at its times."""

    def __init__(self, enough: int = _ENOUGH) -> None:
        self._enough = enough
        self._ends: dict[Any, int] = {}
        self._written = 0

    def write(self, key: Any, begin: int, payload: bytes, duration: int, *, is_keyframe: bool = True) -> None:
        before = self._ends.get(key)
        if key.kind == "audio":
            assert begin == (before or 0), "audio abuts"
            assert duration > 0
        else:
            assert before is None or begin > before
            assert len(payload) <= MAX_FRAME + 1000
        self._ends[key] = begin + duration
        self._written += 1
        if self._written > self._enough:
            raise _EnoughWritten


def assembled(
    records: Callable[[], Iterable[Record]], limit: HeldLimit = USUAL_LIMIT, enough: int = _ENOUGH
) -> tuple[CaptureFacts, TrackWriter]:
    """Both passes over a capture, as `relay.recording.assembly.products` has them.

    Args:
        enough: packets in the tracks, after which no more are wanted.
    """
    facts = survey(records())
    _bounded(facts)
    tracks = {key: track for key, track in sorted(facts.tracks.items()) if key.kind == "audio" or track.keyframes}
    muxer: Any = NullMuxer(enough)
    first = [one.timing.at(one.first) for one in facts.streams.values() if one.packets and one.first is not None]
    zero = max(-5.0, min([0.0, *first]))
    writer = TrackWriter(facts, tracks, muxer, zero, keep_broken=True, limit=limit)
    with suppress(_EnoughWritten):
        writer.take(records())
        held = [one.bytes_held for one in writer.streams.values()] + [one.bytes_held for one in writer.video.values()]
        assert sum(held) <= limit.held + 2 * limit.unseen + 65_536
        writer.finish(facts.seconds(facts.last) - zero)
    _bounded(facts)
    return facts, writer


def _bounded(facts: CaptureFacts) -> None:
    assert len(facts.tracks) <= MAX_TRACKS
    assert len(facts.streams) <= sum(len(one.senders) for one in facts.transports.values()) <= MAX_SSRCS
    assert all(len(one.sections) <= MAX_TRACKS for one in facts.transports.values())


def fuzz_capture(data: bytes) -> None:
    """Packets of both parties in a file that is whole: `recording_corpus.CAPTURES` says how. How files are read is another
    target's: here, what is the same in all of them is read once, and the packets are as the reader gives them."""
    records = capture_records(data)
    assembled(lambda: records)


def capture_records(data: bytes) -> list[Record]:
    """What the reader gives of the file that an input of `fuzz_capture` stands for."""
    packets = (CapturedPacket(at, interface, packet) for at, interface, packet in _captured(data) if len(packet) >= 8)
    return [*_beginning(), *packets]


def capture_file_of(data: bytes) -> bytes:
    """That file."""
    blocks = [
        packet_block(interface, at, headers("AB"[interface - 1], len(packet)) + packet)
        for at, interface, packet in _captured(data)
    ]
    return _before() + b"".join(blocks)


def _captured(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Nanoseconds, interface and packet."""
    time = 0.0
    for said, packet in runs(data):
        time += (said >> 2) / 100
        yield START + round(time * 1e9), 1 + (said & 1), packet[:2048]


@cache
def _before() -> bytes:
    """What is before the packets of a capture."""
    whole = capture_of([])
    return whole[: whole.rindex((6).to_bytes(4, "little"), 0, whole.rindex(b'"hold"'))]


@cache
def _beginning() -> tuple[Record, ...]:
    return tuple(read_blocks([_before()]))


def fuzz_pcapng(data: bytes) -> None:
    """A file of anything. Read in pieces it is what it is at once."""
    pieces = [data[at : at + 97] for at in range(0, len(data), 97)]
    read, in_pieces = _records([data]), _records(pieces)
    assert [type(one) for one in read] == [type(one) for one in in_pieces]
    assert [one for one in read if not isinstance(one, CaptureCut)] == [
        one for one in in_pieces if not isinstance(one, CaptureCut)
    ]
    if not read:
        return
    assert isinstance(read[0], CaptureEvent | CaptureInterface)
    for record in read:
        match record:
            case CapturedPacket():
                assert record.interface < MAX_INTERFACES
                assert 8 <= len(record.data) <= len(data)
            case CaptureCut():
                assert record is read[-1]
                assert record.offset + record.left <= len(data)
    assembled(lambda: read)


def _records(pieces: list[bytes]) -> list[Record]:
    try:
        return list(read_blocks(pieces))
    except CaptureError as error:
        assert str(error).startswith("this is no recording of a relay: ")
        return []


_PLAINS: Final = (PLAIN, b"")


def fuzz_sealed(data: bytes) -> None:
    """A sealed file that someone has changed gives nothing that was not sealed; and any bytes come back as they were sealed."""
    _authentic(_file(data), _PLAINS)
    plain, cut = data[2:700], int.from_bytes(data[:2])
    size = 1 + cut % 300
    if len(data) < 2:
        return
    whole = sealed_file(plain, size, b"s" * 32)
    assert b"".join(open_sealed(_file(whole), [KEY])) == plain
    _authentic(_file(whole[: cut % (len(whole) + 1)]), (plain,))


def _authentic(path: str, plains: tuple[bytes, ...]) -> None:
    read = b""
    try:
        for chunk in open_sealed(path, [KEY]):
            read += chunk
    except SealError as error:
        assert str(error)
    assert any(one.startswith(read) for one in plains)
    try:
        with SealedFile(path, [KEY]) as file:
            assert any(file.read(3, file.size) == one[3 : file.size] and file.size == len(one) for one in plains)
    except SealError as error:
        assert str(error)


@cache
def _memory() -> int:
    """A file in memory, for one input after the other: to make one takes longer than to read it."""
    return os.memfd_create("sealed", os.MFD_CLOEXEC)


def _file(data: bytes) -> str:
    """Bytes as a file; until the next ones are."""
    descriptor = _memory()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, data, 0)
    return f"/proc/self/fd/{descriptor}"


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    **{codec: _video_target(codec) for codec in VIDEO},
    "opus": fuzz_opus,
    "red": fuzz_red,
    "rtx": fuzz_rtx,
    "ulpfec": fuzz_ulpfec,
    "capture": fuzz_capture,
    "pcapng": fuzz_pcapng,
    "sealed": fuzz_sealed,
}
