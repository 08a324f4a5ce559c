"""Media as browsers send it: real frames of real encoders, packetised here, into a capture file."""

import functools
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from struct import pack
from typing import Any, Final

import av

from relay.recording.decoding import decoder_of
from tests.recording.av1 import av1_frames
from tests.recording.capture_file import H264, OPUS, VP8, VP9, CaptureFile, audio_section, video_section

MTU: Final = 1100


@functools.cache
def encoded(name: str, frames: int, width: int = 320, height: int = 240, key_every: int = 25) -> tuple[tuple[bytes, bool], ...]:
    """Frames of an encoder, 25 a second, and which are key frames. A pattern that moves. `av1` are those of a file."""
    if name == "av1":
        return av1_frames(frames, width, height)
    encoder: Any = av.CodecContext.create(name, "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    encoder.gop_size = key_every
    encoder.bit_rate = 800_000
    encoder.thread_count = 1  # libvpx spins between its threads: on a busy machine a frame takes thirty times as long
    encoder.options = {
        # Less than zero: by a speed that does not depend on how busy the machine is, so that frames are the same each time.
        "libvpx": {"deadline": "realtime", "cpu-used": "-8", "lag-in-frames": "0", "error-resilient": "1"},
        "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"},
        "libx264": {
            "preset": "ultrafast",
            "x264-params": f"keyint={key_every}:scenecut=0:bframes=0:rc-lookahead=0:sync-lookahead=0",
        },
    }[name]
    out = []
    for frame in moving_pattern(frames, width, height):
        out += [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(frame)]
    out += [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(None)]
    return tuple(out)


def moving_pattern(frames: int, width: int, height: int) -> Iterator[av.VideoFrame]:
    for number in range(frames):
        frame = av.VideoFrame(width, height, "yuv420p")
        luma = bytes((x + 7 * number) & 0xFF for x in range(frame.planes[0].line_size)) * height
        frame.planes[0].update(luma)
        for plane in frame.planes[1:]:
            plane.update(bytes([128]) * plane.buffer_size)
        frame.pts, frame.time_base = number, Fraction(1, 25)
        yield frame


@functools.cache
def opus_packets(count: int, frequency: int = 440, layout: str = "mono") -> tuple[bytes, ...]:
    """A tone, 20 ms in a packet."""
    encoder: Any = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48000, layout, "s16"
    encoder.bit_rate = 32000
    channels = 1 if layout == "mono" else 2
    out = []
    for number in range(count):
        samples = [int(9000 * math.sin(2 * math.pi * frequency * (number * 960 + n) / 48000)) for n in range(960)]
        frame = av.AudioFrame(format="s16", layout=layout, samples=960)
        frame.planes[0].update(b"".join(pack("<h", one) * channels for one in samples))
        frame.sample_rate, frame.pts, frame.time_base = 48000, number * 960, Fraction(1, 48000)
        out += [bytes(packet) for packet in encoder.encode(frame)]
    return tuple(out[:count])


# -- packets ------------------------------------------------------------------------------------------------------------------


def vp8_payloads(
    frame: bytes, number: int, *, layer: int | None = None, base: int = 0, sync: bool = False, size: int = MTU
) -> list[bytes]:
    """RFC 7741, as Chromium does: a 15-bit picture id, and with temporal layers TL0PICIDX and TID."""
    picture = pack("!H", 0x8000 | number & 0x7FFF)
    extended = bytes([0x80 if layer is None else 0xE0]) + picture
    if layer is not None:
        extended += bytes([base & 0xFF, layer << 6 | (0x20 if sync else 0)])
    pieces = [frame[at : at + size] for at in range(0, len(frame), size)]
    return [bytes([0x80 | (0x10 if not index else 0)]) + extended + piece for index, piece in enumerate(pieces)]


def vp9_payloads(frame: bytes, number: int, *, key: bool, spatial: int | None = None, size: int = MTU) -> list[bytes]:
    """RFC 9628, non-flexible mode."""
    pieces = [frame[at : at + size] for at in range(0, len(frame), size)]
    out = []
    for index, piece in enumerate(pieces):
        first = 0x80 | (0 if key else 0x40) | (0 if index else 0x08) | (0x04 if index == len(pieces) - 1 else 0)
        layers = b"" if spatial is None else bytes([spatial << 1 | (1 if spatial else 0), 0])
        out.append(bytes([first | (0x20 if layers else 0)]) + pack("!H", 0x8000 | number & 0x7FFF) + layers + piece)
    return out


def annex_b_units(frame: bytes) -> list[bytes]:
    return [unit for unit in frame.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if unit]


def h264_payloads(frame: bytes, size: int = MTU) -> list[bytes]:
    """RFC 6184: small units together in a STAP-A, large ones in FU-A."""
    out: list[bytes] = []
    small: list[bytes] = []
    for unit in annex_b_units(frame):
        if len(unit) <= min(200, size):
            small.append(unit)
            continue
        out += _aggregated(small)
        small = []
        if len(unit) <= size:
            out.append(unit)
            continue
        pieces = [unit[at : at + size] for at in range(1, len(unit), size)]
        for index, piece in enumerate(pieces):
            flags = (0x80 if not index else 0) | (0x40 if index == len(pieces) - 1 else 0)
            out.append(bytes([unit[0] & 0xE0 | 28, flags | unit[0] & 0x1F]) + piece)
    return out + _aggregated(small)


def _aggregated(units: list[bytes]) -> list[bytes]:
    if len(units) < 2:
        return list(units)
    return [bytes([0x78]) + b"".join(pack("!H", len(one)) + one for one in units)]


def obus(unit: bytes) -> Iterator[bytes]:
    """The OBUs of a temporal unit, without their sizes and without the delimiter."""
    position = 0
    while position < len(unit):
        head = unit[position]
        begin = position + (2 if head & 4 else 1)
        size = shift = 0
        while True:
            octet = unit[begin]
            begin += 1
            size |= (octet & 0x7F) << shift
            shift += 7
            if not octet & 0x80:
                break
        if (head >> 3) & 15 != 2:
            yield bytes([head & ~2]) + unit[position + 1 : position + (2 if head & 4 else 1)] + unit[begin : begin + size]
        position = begin + size


def av1_payloads(unit: bytes, *, key: bool, size: int = MTU) -> list[bytes]:
    """One OBU after the other, each in as many packets as it needs; W is 1."""
    out = []
    for number, obu in enumerate(obus(unit)):
        pieces = [obu[at : at + size] for at in range(0, len(obu), size)]
        for index, piece in enumerate(pieces):
            head = (0x80 if index else 0) | (0x40 if index < len(pieces) - 1 else 0) | 0x10
            out.append(bytes([head | (0x08 if key and not number and not index else 0)]) + piece)
    return out


def payloads(payload_type: int, frame: bytes, number: int, *, key: bool, size: int = MTU) -> list[bytes]:
    if payload_type == VP8:
        return vp8_payloads(frame, number, size=size)
    if payload_type == VP9:
        return vp9_payloads(frame, number, key=key, size=size)
    if payload_type == H264:
        return h264_payloads(frame, size)
    return av1_payloads(frame, key=key, size=size)


def rtp(
    payload_type: int, sequence: int, timestamp: int, ssrc: int, payload: bytes, *, marker: bool = False,
    extensions: Mapping[int, bytes] | None = None, padding: int = 0,
) -> bytes:  # fmt: skip
    flags = 0x80 | (0x10 if extensions else 0) | (0x20 if padding else 0)
    elements = b"".join(bytes([number << 4 | len(value) - 1]) + value for number, value in (extensions or {}).items())
    elements += bytes(-len(elements) % 4)
    extension = b"\xbe\xde" + pack("!H", len(elements) // 4) + elements if extensions else b""
    head = pack("!BBHII", flags, payload_type | (0x80 if marker else 0), sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
    return head + extension + payload + (bytes(padding - 1) + bytes([padding]) if padding else b"")


def sender_report(ssrc: int, ntp_seconds: float, timestamp: int) -> bytes:
    ntp = int(ntp_seconds * (1 << 32)) & (1 << 64) - 1
    return pack("!BBHIQIII", 0x80, 200, 6, ssrc, ntp, timestamp & 0xFFFFFFFF, 0, 0)


@dataclass
class Packet:
    """On its way to the capture."""

    time: float
    """Seconds at which it arrives."""
    data: bytes
    interface: int = 1


@dataclass
class Stream:
    """A sender of one SSRC: numbers packets, by a clock of its own."""

    ssrc: int
    payload_type: int
    rate: int
    interface: int = 1
    sequence: int = 65500
    timestamp: int = 2**32 - 90_000
    """Of time 0. Both wrap soon."""
    ppm: float = 0
    """By which its clock runs faster than the relay's."""
    wall_ppm: float = 0
    """By which its wall clock does."""
    delay: float = 0.02
    wrap: int = 0
    """Payload type of RED that everything goes in; 0: none."""

    def stamp(self, time: float) -> int:
        return self.timestamp + round(time * self.rate * (1 + self.ppm * 1e-6))

    def packet(self, time: float, payload: bytes, *, marker: bool = False, late: float = 0, **more: Any) -> Packet:
        payload_type = self.payload_type
        if self.wrap:
            payload, payload_type = bytes([payload_type]) + payload, self.wrap
        data = rtp(payload_type, self.sequence, self.stamp(time), self.ssrc, payload, marker=marker, **more)
        self.sequence += 1
        return Packet(time + self.delay + late, data, self.interface)

    def report(self, time: float, error: float = 0) -> Packet:
        wall = 3_900_000_000 + time * (1 + self.wall_ppm * 1e-6)
        data = sender_report(self.ssrc, wall + error, self.stamp(time))
        return Packet(time + self.delay, data, self.interface)

    def frames(
        self,
        frames: Sequence[tuple[bytes, bool]],
        start: float = 0,
        fps: float = 25,
        times: Sequence[float] | None = None,
        **more: Any,
    ) -> Iterator[Packet]:
        """Args: times: of each frame, where they do not come at a steady rate."""
        for number, (frame, key) in enumerate(frames):
            pieces = payloads(self.payload_type, frame, number, key=key)
            for index, piece in enumerate(pieces):
                yield self.packet(
                    times[number] if times else start + number / fps,
                    piece,
                    marker=index == len(pieces) - 1,
                    late=index * 1e-4,
                    **more,
                )

    def audio(self, packets: Iterable[bytes], start: float = 0) -> Iterator[Packet]:
        for number, payload in enumerate(packets):
            yield self.packet(start + number * 0.02, payload)


# -- products -----------------------------------------------------------------------------------------------------------------


def product_packets(path: Path, kind: str) -> list[tuple[float, float, bytes, bool]]:
    """Beginning, duration, bytes and whether it is a key frame, of each packet of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = next(one for one in container.streams if one.type == kind)
        assert stream.time_base is not None
        return [
            (float(one.pts * stream.time_base), float((one.duration or 0) * stream.time_base), bytes(one), one.is_keyframe)
            for one in container.demux(stream)
            if one.pts is not None
        ]


def decoded_frames(path: Path) -> list[Any]:
    """All frames of the first video stream; fails on the first error."""
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def level(path: Path, begin: float, end: float) -> float:
    """Root mean square of the audio between two times, of 1, as one decodes it in a row: as a player does that knows no gaps."""
    return _loudness(heard(path)[int(begin * 48000) : int(end * 48000)])


def levels(path: Path) -> list[float]:
    """As `level`, of every 20 ms."""
    samples = heard(path)
    return [_loudness(samples[at : at + 960]) for at in range(0, len(samples) - 959, 960)]


def heard(path: Path) -> Sequence[float]:
    """What a player makes of the first audio stream: samples at 48 kHz, mono."""
    samples = array("f")
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=48000)
        stream = container.streams.audio[0]
        decoder = decoder_of(stream)
        for frame in (frame for packet in container.demux(stream) for frame in decoder.decode(packet)):
            for one in resampler.resample(frame):
                samples.frombytes(bytes(one.planes[0])[: one.samples * 4])
    return samples


def _loudness(samples: Sequence[float]) -> float:
    return math.sqrt(sum(one * one for one in samples) / max(1, len(samples)))


def captured(path: Path, seconds: int = 1, width: int = 320, height: int = 240, late: float = 0.0) -> bytes:
    """A call as the media plane writes it: audio and video of both parties.

    Args:
        late: seconds after which the microphones start.
    """
    with CaptureFile(path) as capture:
        packets: list[Packet] = []
        for interface, party in enumerate("AB", 1):
            capture.interface(party, [audio_section("0", [interface]), video_section("1", [interface + 10])])
            packets += Stream(interface, OPUS, 48000, interface).audio(opus_packets(round((seconds - late) * 50)), late)
            packets += Stream(interface + 10, VP8, 90000, interface).frames(encoded("libvpx", seconds * 25, width, height))
        for one in sorted(packets, key=lambda packet: packet.time):
            capture.packet(one.time, one.interface, one.data)
        capture.event(float(seconds), "ended", reason="call_ended")
    return path.read_bytes()
