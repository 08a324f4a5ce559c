"""AV1 as SVT-AV1 encodes it, in files that were made once: `python -m tests.recording.av1.make`.

No test opens that encoder. As root it takes real-time priority 99 for its process, so that nothing else runs beside it, and now
and then its threads wait for each other without end.
"""

from functools import cache
from pathlib import Path
from typing import Final

import av

FOLDER: Final = Path(__file__).parent


def path_of(width: int, height: int) -> Path:
    return FOLDER / f"{width}x{height}.ivf"


@cache
def av1_frames(count: int, width: int, height: int) -> tuple[tuple[bytes, bool], ...]:
    """The first frames of the file of that size, and which are key frames: those that a decoder starts at."""
    with av.open(path_of(width, height)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    assert len(packets) >= count
    return tuple((bytes(packet), packet.is_keyframe) for packet in packets[:count])
