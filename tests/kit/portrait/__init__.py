"""A camera before which a person sits: Chromium's own fake one shows none."""

from pathlib import Path
from typing import Final

import av
from av.video.frame import VideoFrame

PORTRAIT: Final = Path(__file__).with_name("astronaut.jpg")
_SIZE: Final = (640, 360)


def write_portrait(file: Path) -> Path:
    """Write the portrait as a video, raw in YUV4MPEG2, for `--use-file-for-fake-video-capture`."""
    with av.open(str(PORTRAIT)) as image:
        [frame] = image.decode(video=0)
    scaled = frame.reformat(*_SIZE, format="yuv420p")
    picture = b"".join(_plane(scaled, index) for index in range(3))
    file.write_bytes(b"YUV4MPEG2 W%d H%d F30:1 Ip A1:1 C420jpeg\n" % _SIZE + 2 * (b"FRAME\n" + picture))
    return file


def _plane(frame: VideoFrame, index: int) -> bytes:
    plane = frame.planes[index]
    rows = bytes(plane)
    return b"".join(rows[row * plane.line_size :][: plane.width] for row in range(plane.height))
