"""A test pattern, which is sent where no file is given: a flash and a beep at each second, and a counter in every frame."""

import array
import math
from fractions import Fraction
from typing import Any, Final

import av
from av.video.frame import PictureType

from relay.client.media_file import EncodedPacket, EncodedTrack, MediaFile, Progress, video_encoder

WIDTH: Final = 640
HEIGHT: Final = 360
RATE: Final = 30
"""Frames per second."""

SECONDS: Final = 5
"""It begins again after that."""

FLASH: Final = 0.1
"""Seconds of flash and beep."""

BEEP: Final = 1000
"""Hz."""

AMPLITUDE: Final = 12_000
"""Of 32,767."""

COUNTER_COLUMNS: Final = 12
COUNTER_ROWS: Final = 2
COUNTER_LEFT: Final = 4
COUNTER_TOP: Final = 1
"""Where the counter begins, in squares of 1/20 of the width: as `relay.recording.verify` reads it."""


def counter_bits(number: int) -> list[bool]:
    """16 bits of the number, the highest first, and 8 check bits."""
    word = (number & 0xFFFF) << 8 | (number * 0x9E3779B1 & 0xFFFFFFFF) >> 24
    return [bool(word >> (23 - at) & 1) for at in range(24)]


def pattern(video_codec: str = "VP8", *, video: bool = True, progress: Progress = lambda _: None) -> MediaFile:
    """Encode the pattern: takes about a second of CPU time."""
    return MediaFile("test pattern", _audio(), _video(video_codec, progress) if video else None)


def _video(codec: str, progress: Progress) -> EncodedTrack:
    encoder = video_encoder(codec, WIDTH, HEIGHT, Fraction(RATE))
    packets: list[EncodedPacket] = []
    for number in range(SECONDS * RATE):
        progress(number / (SECONDS * RATE))
        frame = _frame(number)
        frame.pts, frame.time_base = number * 90_000 // RATE, Fraction(1, 90_000)
        if number % RATE == 0:  # one a second: nothing that joins later, or records, waits longer
            frame.pict_type = PictureType.I
        packets += [EncodedPacket(one.pts, bytes(one), one.is_keyframe) for one in encoder.encode(frame)]
    packets += [EncodedPacket(one.pts, bytes(one), one.is_keyframe) for one in encoder.encode(None)]
    return EncodedTrack("video", codec, Fraction(1, 90_000), packets, True)


def _frame(number: int) -> Any:
    """Grey with a bar that moves, white while it flashes; the counter at the top."""
    block = WIDTH // 20
    ground = 235 if number % RATE < FLASH * RATE else 60
    bar = number * 8 % (WIDTH - block)
    plain = bytearray([ground]) * WIDTH
    plain[bar : bar + block] = bytes([150]) * block
    bits = counter_bits(number)
    left, half = COUNTER_LEFT * block, block // 2
    black = bytearray(plain)
    black[left - half : left + COUNTER_COLUMNS * block + half] = bytes([16]) * (COUNTER_COLUMNS * block + 2 * half)
    luma = bytes(plain) * (COUNTER_TOP * block - half) + bytes(black) * half
    for row in range(COUNTER_ROWS):
        line = bytearray(black)
        for column in range(COUNTER_COLUMNS):
            begin = left + column * block
            line[begin : begin + block] = bytes([235 if bits[row * COUNTER_COLUMNS + column] else 16]) * block
        luma += bytes(line) * block
    luma += bytes(black) * half
    luma += bytes(plain) * (HEIGHT - len(luma) // WIDTH)
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    for plane, octets in zip(frame.planes, (luma, b"\x70" * (WIDTH * HEIGHT // 4), b"\x90" * (WIDTH * HEIGHT // 4)), strict=True):
        plane.update(_padded(octets, plane))
    return frame


def _padded(octets: bytes, plane: Any) -> bytes:
    """Rows as long as the plane's memory has them."""
    if plane.line_size == plane.width:
        return octets
    rest = bytes(plane.line_size - plane.width)
    return b"".join(octets[at : at + plane.width] + rest for at in range(0, len(octets), plane.width))


def _audio() -> EncodedTrack:
    encoder: Any = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "s16"
    encoder.time_base, encoder.bit_rate = Fraction(1, 48_000), 32_000
    packets: list[bytes] = []
    for number in range(SECONDS * 50):
        times = range(number * 960, (number + 1) * 960)
        samples = array.array("h", (_sample(time) for time in times))
        frame = av.AudioFrame(format="s16", layout="mono", samples=960)
        frame.planes[0].update(samples.tobytes())
        frame.sample_rate, frame.pts, frame.time_base = 48_000, number * 960, Fraction(1, 48_000)
        packets += [bytes(one) for one in encoder.encode(frame)]
    return EncodedTrack(
        "audio", "opus", Fraction(1, 48_000), [EncodedPacket(at * 960, one, True) for at, one in enumerate(packets)], True
    )


def _sample(time: int) -> int:
    return round(AMPLITUDE * math.sin(2 * math.pi * BEEP * time / 48_000)) if time % 48_000 < FLASH * 48_000 else 0
