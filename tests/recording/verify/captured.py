"""A reference as the relay captures it: its packets in RTP, as a browser sends them."""

from collections.abc import Callable
from pathlib import Path

from tests.recording.capture_file import OPUS, RED, VP8, CaptureFile, audio_section, video_section
from tests.recording.kit import Packet, Stream
from tests.recording.verify import media

VIDEO_SSRC, AUDIO_SSRC = 0x1111, 0x2222
PRE_SKIP = 312 / 48_000
"""Seconds of an Opus encoder before its first sample."""

Lost = Callable[[Packet, int], bool]


def capture(
    reference: Path,
    path: Path,
    *,
    rate: int = 30,
    audio_delay: float = 0.0,
    lost: Lost = lambda packet, number: False,
    hold: tuple[float, float] | None = None,
    paused: Callable[[int], bool] = lambda number: False,
) -> Path:
    """Write a capture of a caller who sent a reference.

    Args:
        audio_delay: seconds by which the audio was sent late, as its sender reports say.
        lost: whether a packet, the nth of its stream, did not arrive.
        hold: from when to when the call was held.
        paused: whether the camera left out a frame, by its number.
    """
    frames = [(bytes(one), one.is_keyframe) for kind, _, one in media.packets(reference) if kind == "video"]
    sound = [bytes(one) for kind, _, one in media.packets(reference) if kind == "audio"]
    video, audio = Stream(VIDEO_SSRC, VP8, 90_000, wrap=RED), Stream(AUDIO_SSRC, OPUS, 48_000)
    duration = len(sound) * 0.02 + audio_delay
    given = [number for number in range(len(frames)) if not paused(number)]
    shown = video.frames([frames[number] for number in given], times=[number / rate for number in given])
    packets = [one for number, one in enumerate(shown) if not lost(one, number)]
    packets += [one for number, one in enumerate(audio.audio(sound, start=audio_delay - PRE_SKIP)) if not lost(one, number)]
    packets += [stream.report(second) for second in range(1, int(duration)) for stream in (video, audio)]
    with CaptureFile(path) as file:
        file.interface("A", [audio_section("0", [AUDIO_SSRC]), video_section("1", [VIDEO_SSRC])])
        holds = [(time, index == 0) for index, time in enumerate(hold or ())]
        for packet in sorted(packets, key=lambda one: one.time):
            while holds and holds[0][0] <= packet.time:
                file.event(holds[0][0], "hold", on=holds.pop(0)[1])
            file.packet(packet.time, packet.interface, packet.data)
        file.event(duration, "ended", reason="call_ended")
    return path
