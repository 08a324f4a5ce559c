"""Whether the video that a browser showed is in the recording of the call."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import av

from relay.recording.records import CapturedPacket, CaptureEvent, read_capture
from relay.rtp.packet import is_rtcp
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
"""Seconds. Of a frame that is missing, the next one is a frame's duration away."""

FRAME: Final = 0.05
"""Seconds between two frames of the browser's camera."""


def missing_frames(shown: Sequence[int], file: Path, capture: Path) -> list[tuple[int, float]]:
    """Of the frames that were shown, those that are not in the file: the number of each, and seconds from it to the nearest frame
    that is there.

    Args:
        shown: RTP timestamps, at 90 kHz, as `NOTE_FRAMES` collects them in `shownFrames`.
        capture: that the file was assembled of, which tells when each frame arrived. By the frames alone, a time line that is a
            frame off is as good where the camera of a busy machine has left out some.
    """
    begin = json.loads((file.parent / "sidecar.json").read_text())["started_at"]
    arrivals = _arrivals(capture)
    times = [((one - shown[0]) % 2**32) / 90_000 for one in shown]
    # What was held up least tells where the first one is.
    first = min(arrivals[stamp] - begin - time for stamp, time in zip(shown, times, strict=True))
    recorded = _video_times(file)
    off = [min((one - first - time for one in recorded), key=abs) for time in times]
    usual = statistics.median(off)
    assert abs(usual) < FRAME / 2, "the time line is that of the frames, and not one that is a frame off"
    return [(number, abs(one - usual)) for number, one in enumerate(off) if abs(one - usual) > TOLERANCE]


def _arrivals(capture: Path) -> Mapping[int, float]:
    """When the first packet of each RTP timestamp arrived, in seconds since 1970. Different streams begin anywhere in 32 bits."""
    found: dict[int, float] = {}
    for record in read_capture(capture):
        if isinstance(record, CapturedPacket) and not is_rtcp(record.data[1]):
            found.setdefault(int.from_bytes(record.data[4:8]), record.at / 1e9)
    return found


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
