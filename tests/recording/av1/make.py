"""Makes the files of this folder anew, if PyAV's own libraries have SVT-AV1: `python -m tests.recording.av1.make`."""

import os
from fractions import Fraction
from struct import pack
from typing import Any, Final

import av

from tests.recording.av1 import path_of
from tests.recording.kit import moving_pattern

SIZES: Final = {(320, 240): 50, (640, 480): 10}
"""Width and height → frames."""

KEY_EVERY: Final = 25


def main() -> None:
    if os.geteuid() == 0:
        os.seteuid(65534)  # the encoder gets no real-time priority then
    made = {size: _encoded(*size, frames) for size, frames in SIZES.items()}
    if os.getuid() == 0:
        os.seteuid(0)
    for (width, height), packets in made.items():
        path_of(width, height).write_bytes(_ivf(width, height, packets))


def _ivf(width: int, height: int, packets: list[bytes]) -> bytes:
    """PyAV's own muxing opens the encoder."""
    header = b"DKIF" + pack("<HH4sHHIIII", 0, 32, b"AV01", width, height, 25, 1, len(packets), 0)
    return header + b"".join(pack("<IQ", len(one), number) + one for number, one in enumerate(packets))


def _encoded(width: int, height: int, frames: int) -> list[bytes]:
    encoder: Any = av.CodecContext.create("libsvtav1", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    encoder.gop_size = KEY_EVERY
    encoder.options = {"preset": "12", "crf": "50", "svtav1-params": "pred-struct=1:lookahead=0:lp=1"}
    found: list[bytes] = []
    for frame in moving_pattern(frames, width, height):
        found += map(bytes, encoder.encode(frame))
    return [*found, *map(bytes, encoder.encode(None))]


if __name__ == "__main__":
    main()
