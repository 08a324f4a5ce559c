"""What a caller receives, written to a file as it arrives: packets are put together to frames, and not decoded.

Audio and video stand at their times of arrival at the beginning, and go on by their RTP timestamps. A gap in the audio is filled,
because players close a gap up, and what follows would be early: a short one with packets that a decoder conceals, others with
silence.
"""

import io
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
from aiortc import RTCRtpCodecParameters
from aiortc.codecs import depayload
from aiortc.rtp import RtpPacket, unwrap_rtx

from relay.client.errors import UnusableMedia

SUFFIXES: Final = (".webm", ".mkv")

WAIT_FOR_TRACKS: Final = 2.0
"""Seconds after the first frame in which the other tracks are to begin; what begins later is not in the file."""

MAX_PENDING: Final = 3000
"""Frames that are kept until the file begins."""

_OPUS_SILENCE: Final = {1: b"\xf8\xff\xfe", 2: b"\xfc\xff\xfe"}
CONCEALED: Final = 0.4
"""Seconds of a gap of Opus, at most, that a decoder conceals (RFC 7845, section 4.1). Behind a packet of silence, audio would be
too quiet for 100 ms."""
_OF_AIORTC: Final = {"vp8": "VP8", "h264": "H264"}
"""aiortc tells codecs apart by their names with the capitals of their registration."""
_MUXED: Final = {"vp8": "vp8", "h264": "h264"}


@dataclass(slots=True)
class _Stream:
    """An SSRC that is received."""

    kind: str
    codec: str
    clock_rate: int
    order: "_Order"
    origin: int | None = None
    """Timestamp of the first frame."""
    last: int = 0
    """Units since `origin`."""
    start: float = 0.0
    """Seconds on the file's time line at which `origin` is."""
    written: int = 0
    """Of audio: units up to which the file is filled."""
    before: bytes = b""
    """The packet of audio that was written last."""
    stream: Any = None
    pending: list[tuple[float, int, bytes]] = field(default_factory=list)
    """Arrival, units since `origin`, data."""


class _Order:
    """Puts packets in order and together to frames. Frames with a hole are left out."""

    def __init__(self, kind: str) -> None:
        self._video = kind == "video"
        # Video waits for packets that are sent again; audio is not sent again, and only sorted.
        self._patience = 256 if self._video else 8
        self._packets: dict[int, tuple[RtpPacket, bytes]] = {}
        self._next: int | None = None
        self._highest = 0
        self._parts: list[bytes] = []
        self._broken = False

    def add(self, packet: RtpPacket, data: bytes) -> list[tuple[bytes, int]]:
        """The frames that are whole now, each with its timestamp."""
        if self._next is None:
            self._next = self._highest = packet.sequence_number
        # RFC 1982: the signed difference of two 16-bit numbers.
        number = self._highest + ((packet.sequence_number - self._highest + 0x8000) & 0xFFFF) - 0x8000
        if number < self._next:
            return []
        self._packets[number] = packet, data
        self._highest = max(self._highest, number)
        frames = self._whole()
        while self._packets and self._highest - self._next >= self._patience:
            self._skip()
            frames += self._whole()
        return frames

    def flush(self) -> list[tuple[bytes, int]]:
        """What waits for packets that will not come."""
        frames: list[tuple[bytes, int]] = []
        while self._packets:
            self._skip()
            frames += self._whole()
        return frames

    def _skip(self) -> None:
        """Give up what is missing."""
        self._next = min(self._packets)
        self._parts.clear()
        self._broken = self._video

    def _whole(self) -> list[tuple[bytes, int]]:
        frames: list[tuple[bytes, int]] = []
        assert self._next is not None, "a packet has come"
        while (found := self._packets.pop(self._next, None)) is not None:
            self._next += 1
            packet, data = found
            self._parts.append(data)
            if packet.marker or not self._video:
                whole = b"".join(self._parts)
                if whole and not self._broken:
                    frames.append((whole, packet.timestamp))
                self._parts.clear()
                self._broken = False
        return frames


class PacketRecorder:
    """
    Args:
        path: ends in `.webm` or `.mkv`; H.264 needs `.mkv`.
        kinds: the tracks to wait for.

    Raises:
        UnusableMedia: the file cannot be written.

    Attributes:
        frames: written, by kind.
        inserted: packets in the place of missing audio.
    """

    def __init__(self, path: str | Path, kinds: tuple[str, ...]) -> None:
        self.frames = {"audio": 0, "video": 0}
        self.inserted = 0
        self._path = Path(path)
        if self._path.suffix not in SUFFIXES:
            raise UnusableMedia(f"{path}: a recording ends in {' or '.join(SUFFIXES)}")
        try:
            self._path.write_bytes(b"")  # the container is written later only
            self._container: Any = av.open(str(path), "w", format="webm" if self._path.suffix == ".webm" else "matroska")
        except (OSError, av.FFmpegError) as error:
            raise UnusableMedia(f"{path} cannot be written: {error}") from error
        self._kinds = kinds
        self._streams: dict[str, _Stream] = {}
        self._zero: float | None = None
        self._begun = False

    def add(self, kind: str, codec: str, clock_rate: int, packet: RtpPacket, arrival: float) -> None:
        """Take a packet. `arrival`: in seconds."""
        stream = self._streams.get(kind)
        if stream is None:
            stream = self._streams[kind] = _Stream(kind, codec, clock_rate, _Order(kind))
        if codec != stream.codec:
            return
        parameters = RTCRtpCodecParameters(
            mimeType=f"{kind}/{_OF_AIORTC.get(codec, codec)}", clockRate=clock_rate, payloadType=packet.payload_type
        )
        try:
            data = depayload(parameters, packet.payload) if packet.payload else b""
        except ValueError:
            return
        for frame, timestamp in stream.order.add(packet, data):
            self._take(stream, frame, timestamp, arrival)

    def close(self) -> None:
        """Write what is left, and close the file."""
        for stream in self._streams.values():
            for frame, timestamp in stream.order.flush():
                self._take(stream, frame, timestamp, self._zero or 0.0)
        if not self._begun and self._streams:
            self._begin()
        if self._begun:
            for stream in self._streams.values():
                self._write_pending(stream)
        self._container.close()

    def _take(self, stream: _Stream, data: bytes, timestamp: int, arrival: float) -> None:
        if stream.origin is None:
            stream.origin = timestamp
        # The signed difference to the last one: timestamps wrap after 2^32.
        ahead = ((timestamp - stream.origin - stream.last + 2**31) % 2**32) - 2**31
        stream.last += ahead
        if self._zero is None:
            self._zero = arrival
        if len(stream.pending) < MAX_PENDING:
            stream.pending.append((arrival, stream.last, data))
        if self._begun:
            self._write_pending(stream)
        elif arrival - self._zero > WAIT_FOR_TRACKS:
            self._begin()

    def _begin(self) -> None:
        """Declare the streams: a container must know them before the first frame."""
        self._begun = True
        assert self._zero is not None, "a frame has come"
        for stream in self._streams.values():
            if not stream.pending:
                continue
            # The packet that was least delayed tells best where the stream stands.
            lead = min(arrival - units / stream.clock_rate for arrival, units, _ in stream.pending)
            stream.start = max(0.0, lead - self._zero)
            if stream.kind == "audio":
                stream.stream = self._audio_stream(stream)
            else:
                first = next((at for at, (_, _, data) in enumerate(stream.pending) if is_key_frame(stream.codec, data)), None)
                if first is None:
                    continue
                del stream.pending[:first]
                width, height = _size_of(stream.codec, stream.pending[0][2])
                stream.stream = self._container.add_mux_stream(_MUXED[stream.codec], rate=30, width=width, height=height)
                stream.stream.time_base = Fraction(1, stream.clock_rate)
        for stream in self._streams.values():
            self._write_pending(stream)

    def _audio_stream(self, stream: _Stream) -> Any:
        if stream.codec == "opus":
            return self._container.add_stream_from_template(_opus_template().streams.audio[0])
        return self._container.add_mux_stream({"pcmu": "pcm_mulaw", "pcma": "pcm_alaw"}[stream.codec], rate=stream.clock_rate)

    def _write_pending(self, stream: _Stream) -> None:
        if stream.stream is not None:
            for _, units, data in stream.pending:
                if stream.kind == "audio":
                    self._fill(stream, units, data)
                self._write(stream, units, data)
                stream.written, stream.before = units + _units_of(stream, data), data
        stream.pending.clear()

    def _fill(self, stream: _Stream, until: int, data: bytes) -> None:
        """Fill the place of audio that is missing."""
        if stream.codec != "opus" or not self.frames["audio"]:
            return
        filling, step = _OPUS_SILENCE[2 if data[0] & 4 else 1], _units_of(stream, data)
        if until - stream.written <= CONCEALED * stream.clock_rate:
            filling = bytes([stream.before[0] & 0xFC])  # one frame of the same kind, without any bytes
            step = _units_of(stream, filling)
        while stream.written + step <= until:
            self._write(stream, stream.written, filling)
            stream.written += step
            self.inserted += 1

    def _write(self, stream: _Stream, units: int, data: bytes) -> None:
        packet = av.Packet(data)
        packet.stream = stream.stream
        packet.pts = packet.dts = units + round(stream.start * stream.clock_rate)
        packet.time_base = Fraction(1, stream.clock_rate)
        packet.is_keyframe = stream.kind == "audio" or is_key_frame(stream.codec, data)
        self._container.mux(packet)
        self.frames[stream.kind] += 1


def without_retransmission(packet: RtpPacket, payload_type: int, ssrc: int) -> RtpPacket | None:
    """The packet that a retransmission carries (RFC 4588); None: a probe without content."""
    return unwrap_rtx(packet, payload_type, ssrc) if len(packet.payload) > 2 else None


def is_key_frame(codec: str, data: bytes) -> bool:
    """Whether a frame of video can be decoded by itself."""
    if codec == "vp8":
        return not data[0] & 1  # RFC 6386 section 9.1
    return any(data[at + 3] & 0x1F == 5 for at in _start_codes(data) if at + 3 < len(data))  # an IDR slice


def _start_codes(data: bytes) -> list[int]:
    found, at = [], data.find(b"\0\0\1")
    while at >= 0:
        found.append(at)
        at = data.find(b"\0\0\1", at + 3)
    return found


def _size_of(codec: str, data: bytes) -> tuple[int, int]:
    if codec == "vp8":
        return int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF
    decoder: Any = av.CodecContext.create(_MUXED[codec], "r")
    frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    return (frames[0].width, frames[0].height) if frames else (640, 360)


def _units_of(stream: _Stream, data: bytes) -> int:
    """The duration of a packet of audio in units of its clock."""
    if stream.kind != "audio":
        return 0
    if stream.codec != "opus":
        return len(data)
    config, count = data[0] >> 3, (1, 2, 2, data[1] & 63 if len(data) > 1 else 1)[data[0] & 3]
    # RFC 6716, table 2: milliseconds of one frame.
    if config < 12:
        milliseconds = (10.0, 20.0, 40.0, 60.0)[config % 4]
    elif config < 16:
        milliseconds = (10.0, 20.0)[config % 2]
    else:
        milliseconds = (2.5, 5.0, 10.0, 20.0)[config % 4]
    return round(milliseconds * 48) * max(1, count)


def _opus_template() -> Any:
    """An Ogg file with Opus: a stream that is made from it has the header, which a stream made for muxing has not."""
    file = io.BytesIO()
    with av.open(file, "w", format="ogg") as container:
        stream: Any = container.add_stream("libopus", rate=48_000)
        stream.layout = "stereo"
        frame = av.AudioFrame(format="s16", layout="stereo", samples=960)
        frame.sample_rate, frame.pts = 48_000, 0
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    file.seek(0)
    return av.open(file)
