"""Whether the video that a browser showed is in the recording of the call."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import av

from relay.recording.records import CaptureEvent, read_capture
from tests.kit.wait import eventually

NOTE_FRAMES: Final = """
() => {
  window.shownFrames = [];
  const video = document.querySelector("video[data-testid=remote-video]");
  const note = (_now, { rtpTimestamp }) => {
    window.shownFrames.push(rtpTimestamp);
    video.requestVideoFrameCallback(note);
  };
  video.requestVideoFrameCallback(note);
}
"""

TOLERANCE: Final = 0.005
"""Seconds. Of a frame that is missing, the next one is a frame's duration away: 50 ms."""


def missing_frames(shown: Sequence[int], file: Path) -> list[tuple[int, float]]:
    """Of the frames that were shown, those that are not in the file: the number of each, and seconds from it to the nearest frame
    that is there.

    Args:
        shown: RTP timestamps, at 90 kHz, as `NOTE_FRAMES` collects them in `shownFrames`.
    """
    return [(number, one) for number, one in enumerate(_matched(shown, _video_times(file))) if round(one, 6) > TOLERANCE]


def _matched(shown: Sequence[int], recorded: Sequence[float]) -> list[float]:
    """Seconds from each frame that was shown to the frame of the recording that is nearest to it, on the best common time line:
    the one on which the fewest lack theirs. (By the median alone, one that is a frame off is as good, where a camera of a busy
    machine leaves out frames.)

    Args:
        shown: RTP timestamps, at 90 kHz.
        recorded: seconds.
    """
    times = [((one - shown[0]) % 2**32) / 90_000 for one in shown]

    def distances(begin: float) -> list[float]:
        return [min(abs(begin + time - one) for one in recorded) for time in times]

    def quality(found: list[float]) -> tuple[int, float]:
        return sum(one > TOLERANCE for one in found), statistics.median(found)

    return min((distances(begin) for begin in recorded), key=quality)


def _video_times(file: Path) -> list[float]:
    with av.open(file) as container:
        [stream] = container.streams.video
        return [float(packet.pts * packet.time_base) for packet in container.demux(stream) if packet.pts is not None]


async def finished_capture(recordings: Path) -> Path:
    """The capture of the only recording in that directory, once all of it is written."""

    def whole() -> Path | None:
        [capture] = recordings.glob("*.pcapng")
        ended = any(isinstance(one, CaptureEvent) and one.name == "ended" for one in read_capture(capture))
        return capture if ended else None

    return await eventually(whole, "the capture has its end")
