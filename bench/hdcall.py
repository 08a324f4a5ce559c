"""The traffic of a 720p30 video call, one direction of it: VP8 video of about 200 packets per second, and Opus audio.

Real codec data, because aiortc's MediaRelay decodes it; the other servers never look inside.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from typing import Final

import av
from aiortc.codecs.vpx import VpxPayloadDescriptor
from av.audio.frame import AudioFrame
from av.filter import Graph
from av.video.frame import VideoFrame

from bench.load import TICK, Schedule
from bench.packets import Packet
from bench.sdp import AUDIO_TYPE, VIDEO_TYPE

FRAME_RATE: Final = 30
_BIT_RATE: Final = 720_000
"""Asked of the encoder, bits per second. With this test pattern it delivers 1.8 Mbit/s: about 200 packets per second, as a
browser's 720p video has."""

_PAYLOAD: Final = 1_100
"""Bytes of a frame per packet."""
_AUDIO_SPACING: Final = 20
"""Ticks between audio packets."""
_TICKS_PER_SECOND: Final = 1_000_000_000 // TICK
_SAMPLE_RATE: Final = 48_000


@cache
def video(seconds: int) -> Sequence[Sequence[Packet]]:
    """The packets of each frame. The first frame is a keyframe, so that it can be played again and again."""
    encoder = av.CodecContext.create("libvpx", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 1280, 720, "yuv420p"
    encoder.framerate, encoder.time_base = Fraction(FRAME_RATE), Fraction(1, FRAME_RATE)
    encoder.bit_rate = _BIT_RATE
    encoder.qmin, encoder.qmax = 2, 56
    encoder.gop_size = 10 * FRAME_RATE * seconds
    encoder.options = {
        "cpu-used": "-6",
        "deadline": "realtime",
        "lag-in-frames": "0",
        "minrate": str(_BIT_RATE),
        "maxrate": str(_BIT_RATE),
        "bufsize": str(_BIT_RATE // 2),
    }
    frames: list[Sequence[Packet]] = []
    for number, frame in enumerate(_test_pattern(seconds * FRAME_RATE)):
        data = b"".join(bytes(packet) for packet in encoder.encode(frame))
        frames.append(_packets(data, number))
    return frames


@cache
def audio(seconds: int) -> Sequence[Packet]:
    """One Opus packet per 20 ms of a tone."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = _SAMPLE_RATE, "stereo", "s16"
    encoder.bit_rate = 32_000
    graph = Graph()
    tone = graph.add("sine", f"frequency=440:sample_rate={_SAMPLE_RATE}:samples_per_frame=960")
    shape = graph.add("aformat", "sample_fmts=s16:channel_layouts=stereo")
    sink = graph.add("abuffersink")
    tone.link_to(shape)
    shape.link_to(sink)
    graph.configure()
    packets: list[Packet] = []
    while len(packets) < seconds * _TICKS_PER_SECOND // _AUDIO_SPACING:
        frame = graph.pull()
        assert isinstance(frame, AudioFrame)
        packets += [Packet(bytes(data), AUDIO_TYPE, 960) for data in encoder.encode(frame)]
    return packets


def schedule(directions: int, seconds: int) -> Schedule:
    """When the packets of so many directions are due. Flow 2n is the video, flow 2n+1 the audio of direction n."""
    due: list[list[tuple[int, int]]] = [[] for _ in range((seconds + 1) * _TICKS_PER_SECOND)]
    frames, packets = video(seconds), audio(seconds)
    for direction in range(directions):
        # Calls do not run in step.
        phase = direction * 7 % (_TICKS_PER_SECOND // FRAME_RATE)
        for number, frame in enumerate(frames):
            # A browser sends a frame at once: libwebrtc's pacer lets bursts of up to 40 ms pass (kDefaultBurstInterval).
            due[phase + number * _TICKS_PER_SECOND // FRAME_RATE].append((2 * direction, len(frame)))
        for number in range(len(packets)):
            due[phase + number * _AUDIO_SPACING].append((2 * direction + 1, 1))
    while not due[-1]:
        del due[-1]
    return iter(due)


def _test_pattern(number: int) -> Iterator[VideoFrame]:
    """A moving test pattern with noise, so that every frame needs its share of the bit rate."""
    graph = Graph()
    source = graph.add("testsrc2", f"size=1280x720:rate={FRAME_RATE}")
    noise = graph.add("noise", "alls=4:allf=t")
    shape = graph.add("format", "yuv420p")
    sink = graph.add("buffersink")
    source.link_to(noise)
    noise.link_to(shape)
    shape.link_to(sink)
    graph.configure()
    for _ in range(number):
        frame = graph.pull()
        assert isinstance(frame, VideoFrame)
        yield frame


def _packets(data: bytes, picture_id: int) -> Sequence[Packet]:
    """Split a frame (RFC 7741). Only its first packet advances the RTP clock, only its last has the marker."""
    packets = []
    for start in range(0, len(data), _PAYLOAD):
        descriptor = VpxPayloadDescriptor(
            partition_start=int(start == 0), partition_id=0, picture_id=picture_id, tl0picidx=None, tid=None, keyidx=None
        )
        packets.append(
            Packet(
                bytes(descriptor) + data[start : start + _PAYLOAD],
                VIDEO_TYPE,
                ticks=0 if start else 90_000 // FRAME_RATE,
                marker=start + _PAYLOAD >= len(data),
            )
        )
    return packets
