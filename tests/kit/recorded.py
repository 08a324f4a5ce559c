"""Whether the video that a browser showed is in the recording of the call."""

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import av
from aiortc.rtp import RtpPacket

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
"""Seconds that a frame may be beside its time."""

LATE: Final = 1.0
"""Seconds of frames of which nothing but what was resent has arrived, at most."""

FRONT: Final = 24
"""Bytes that a payload format puts before those of the frame, at most: RED, RTX, and the descriptor of VP8, VP9, H.264 or AV1."""

Payloads: TypeAlias = Mapping[int, Collection[bytes]]
"""By RTP timestamp, in ascending order: of the packets of that frame."""

RecordedFrame: TypeAlias = tuple[float, bytes]
"""Seconds from the begin of the file, and the coded frame, or its end."""


def missing_frames(shown: Sequence[int], file: Path, capture: Path) -> list[tuple[int, str]]:
    """Of the frames that were shown, those that are not in the file, or not at their time: the number of each, and what is wrong.

    Frames are known by their bytes, and not by their times: a busy machine's camera leaves out frames, lip-sync moves video by
    several, and a sender that pauses has a time line of pieces.

    Args:
        shown: RTP timestamps, at 90 kHz, as `NOTE_FRAMES` collects them in `shownFrames`.
        capture: that the file was assembled of.
    """
    [track] = (one for one in json.loads((file.parent / "sidecar.json").read_text())["tracks"] if _is_video_of(one, file))
    arrived = _payloads(capture, track["ssrcs"])
    return wrong_frames(shown, arrived, _recorded(file), recovered=track["recovered"], timed=not track["pauses"])


def wrong_frames(
    shown: Sequence[int], arrived: Payloads, recorded: Sequence[RecordedFrame], *, recovered: int = 0, timed: bool = True
) -> list[tuple[int, str]]:
    """As `missing_frames`.

    Args:
        recorded: the frames of the file.
        recovered: packets that forward error correction made again, at most: the ends of as many frames did not arrive.
        timed: whether frames are to be as far from one another as their timestamps.
    """
    times: dict[int, float] = {}
    unknown: list[float] = []
    begin = 0
    # Both are in the order of decoding.
    for stamp, payloads in arrived.items():
        ahead = range(begin, min(begin + 1 + recovered, len(recorded)))
        found = next((index for index in ahead if any(_ends(recorded[index][1], one) for one in payloads)), None)
        if found is not None:
            times[stamp] = recorded[found][0]
            unknown += (time for time, _coded in recorded[begin:found])
            begin = found + 1
    unknown += (time for time, _coded in recorded[begin:])
    assert len(unknown) <= recovered, f"frames of the file that did not arrive, at {unknown} s"
    usual = statistics.median(times[stamp] - _seconds(stamp - shown[0]) for stamp in shown if stamp in times)
    wrong: list[tuple[int, str]] = []
    for number, stamp in enumerate(shown):
        due = usual + _seconds(stamp - shown[0])
        off = min((one - due for one in ([times[stamp]] if stamp in times else unknown)), key=abs, default=math.inf)
        if stamp not in times and abs(off) > TOLERANCE:
            wrong.append((number, "missing"))
        elif timed and abs(off) > TOLERANCE:
            wrong.append((number, f"{off:+.3f} s beside its time"))
    return wrong


def _is_video_of(track: Mapping[str, Any], file: Path) -> bool:
    return (track["kind"], track["file"]) == ("video", file.name)


def _ends(frame: bytes, payload: bytes) -> bool:
    """Whether the frame may end with that packet: no payload format has anything behind a frame's bytes."""
    return payload.endswith(frame[-max(len(payload) - FRONT, 8) :])


def _payloads(capture: Path, ssrcs: Collection[int]) -> Payloads:
    """Of these streams, and of what was resent of them in streams of its own (RFC 4588), which has their timestamps."""
    records = (one for one in read_capture(capture) if isinstance(one, CapturedPacket) and not is_rtcp(one.data[1]))
    return payloads_of((RtpPacket.parse(one.data) for one in records), ssrcs)


def payloads_of(packets: Iterable[RtpPacket], ssrcs: Collection[int]) -> Payloads:
    """As `_payloads`."""
    payloads: dict[int, set[bytes]] = defaultdict(set)
    stamps: set[int] = set()
    for packet in packets:
        payloads[packet.timestamp].add(packet.payload)
        if packet.ssrc in ssrcs:
            stamps.add(packet.timestamp)
    first = next(iter(stamps))
    times = {stamp: _seconds(stamp - first) for stamp in payloads}
    # The first frames and the last ones may have come by what was resent alone.
    begin, end = min(times[one] for one in stamps) - LATE, max(times[one] for one in stamps) + LATE
    # Other streams begin anywhere in 32 bits.
    return {stamp: payloads[stamp] for stamp in sorted(payloads, key=times.__getitem__) if begin <= times[stamp] <= end}


def _seconds(ticks: int) -> float:
    """Of a difference of two RTP timestamps of video, which wrap (RFC 3550, section 5.1)."""
    return ((ticks + 2**31) % 2**32 - 2**31) / 90_000


def _recorded(file: Path) -> list[RecordedFrame]:
    with av.open(file) as container:
        [stream] = container.streams.video
        of_it = last_unit if stream.codec_context.name == "h264" else bytes
        return [
            (float(packet.pts * packet.time_base), of_it(bytes(packet)))
            for packet in container.demux(stream)
            if packet.pts is not None
        ]


def last_unit(frame: bytes) -> bytes:
    """Of an H.264 frame in a file, where four bytes before each unit say how long it is (ISO/IEC 14496-15).

    Several units may have come in one packet, where there are two (RFC 6184, section 5.7.1).
    """
    begin = 4
    while (end := begin + int.from_bytes(frame[begin - 4 : begin])) < len(frame):
        begin = end + 4
    return frame[begin:]


async def finished_capture(recordings: Path) -> Path:
    """The capture of the only recording in that directory, once all of it is written."""

    def whole() -> Path | None:
        [capture] = recordings.glob("*.pcapng")
        ended = any(isinstance(one, CaptureEvent) and one.name == "ended" for one in read_capture(capture))
        return capture if ended else None

    return await eventually(whole, "the capture has its end")
