"""Files as packets: what is sent as it is, what is encoded, and on which clock."""

import asyncio
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from relay.client import MediaFile, UnusableMedia, connect
from relay.client.headless import Account, CallPlan, make_call
from relay.client.media_file import EncodedTrack, Playback
from relay.client.pattern import COUNTER_COLUMNS, COUNTER_LEFT, COUNTER_ROWS, COUNTER_TOP, FLASH, counter_bits, pattern
from relay.ids import Profile
from tests.kit.server import RunningRelay

RATE = 25


def written(
    path: Path,
    video: str | None = "libvpx",
    audio: str | None = "libopus",
    *,
    seconds: float = 1.0,
    gop: int = RATE,
    **options: Any,
) -> Path:
    """A file with a grey picture that gets brighter, and silence."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(video, rate=RATE, options=options) if video else None
        sound: Any = container.add_stream(audio, rate=48_000, layout="stereo") if audio else None
        if stream is not None:
            stream.width, stream.height, stream.pix_fmt, stream.gop_size = 160, 120, "yuv420p", gop
            stream.codec_context.thread_count = 1
            for number in range(round(seconds * RATE)):
                frame = av.VideoFrame(160, 120, "yuv420p")
                for plane in frame.planes:
                    plane.update(bytes([60 + number % 100]) * plane.buffer_size)
                frame.pts, frame.time_base = number, Fraction(1, RATE)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        if sound is not None:
            for number in range(round(seconds * 50)):
                silence = av.AudioFrame("s16", "stereo", 960)
                silence.planes[0].update(bytes(3840))
                silence.sample_rate, silence.pts, silence.time_base = 48_000, number * 960, Fraction(1, 48_000)
                container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
    return path


def taken(track: EncodedTrack | None) -> tuple[str, bool]:
    """The codec, and whether it was encoded here."""
    assert track is not None
    return track.codec, track.encoded


def test_what_a_call_can_carry_is_sent_as_it_is(tmp_path: Path) -> None:
    file = MediaFile.read(written(tmp_path / "a.webm"))
    assert (taken(file.video), taken(file.audio)) == (("VP8", False), ("opus", False))
    assert file.duration == pytest.approx(1.0, abs=0.05)
    baseline = MediaFile.read(written(tmp_path / "a.mp4", "libx264", "aac", profile="baseline"))
    assert (taken(baseline.video), taken(baseline.audio)) == (("H264", False), ("opus", True))
    assert baseline.video is not None
    assert baseline.video.packets[0].data[:3] in {b"\0\0\0", b"\0\0\1"}, "start codes, as RTP's packetiser splits by"


@pytest.mark.parametrize(
    ("video", "options"),
    [
        ("libx264", {"profile": "main", "bf": "2"}),  # B frames
        ("mpeg4", {}),
        ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    ],
)
def test_what_it_cannot_is_encoded_once(tmp_path: Path, video: str, options: dict[str, Any]) -> None:
    file = MediaFile.read(written(tmp_path / "a.mkv", video, None, **options))
    assert (taken(file.video), file.audio) == (("VP8", True), None)
    assert len(file.video.packets if file.video else []) == RATE


def test_video_whose_key_frames_are_far_apart_is_encoded_with_more_of_them(tmp_path: Path) -> None:
    file = MediaFile.read(
        written(tmp_path / "a.mkv", "libx264", None, seconds=6.0, gop=1000, profile="baseline", sc_threshold="0", bf="0")
    )
    assert taken(file.video) == ("VP8", True)
    assert file.video is not None
    keys = [float(one.pts * file.video.time_base) for one in file.video.packets if one.key]
    assert max(later - earlier for earlier, later in zip([0.0, *keys], keys, strict=False)) <= 2.1


def test_a_codec_that_is_asked_for_is_encoded(tmp_path: Path) -> None:
    assert taken(MediaFile.read(written(tmp_path / "a.webm"), video_codec="H264").video) == ("H264", True)


@pytest.mark.parametrize("content", [b"", b"no media\n" * 100, None])
def test_what_is_no_media_is_unusable(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.webm"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnusableMedia, match=r"a\.webm cannot be sent"):
        MediaFile.read(path)


async def test_a_file_begins_again_where_it_ended(tmp_path: Path) -> None:
    file = MediaFile.read(written(tmp_path / "a.webm", None, seconds=0.2))
    assert file.audio is not None
    [track] = Playback(file, loop=True).tracks.values()
    count = len(file.audio.packets)
    times = [(await track.recv()).pts or 0 for _ in range(3 * count)]
    assert all(later > earlier for earlier, later in pairwise(times))
    assert times[count] - times[0] == pytest.approx(0.2 * 48_000, abs=960)


async def test_a_recorded_call_has_every_frame_and_audio_and_video_stay_together(relay: RunningRelay, tmp_path: Path) -> None:
    """The pattern flashes and beeps at the same moment: in what the other end has written, too."""
    out = tmp_path / "got.mkv"
    result = await make_call(
        CallPlan(
            url=relay.url,
            caller=Account(Profile("student", 456)),
            callee=Account(Profile("tutor", 789)),
            media=await asyncio.to_thread(pattern),
            duration=4.3,
            record=str(out),
            answer=True,
        )
    )
    assert (result.error, result.audio_loss, result.video_loss, result.reason) == ("", 0.0, 0.0, "hangup")
    numbers, flashes = await asyncio.to_thread(seen_in, out)
    beeps = await asyncio.to_thread(heard_in, out)
    assert len(numbers) > 100
    assert numbers == [*range(numbers[0], numbers[0] + len(numbers))]
    together = [min(abs(flash - beep) for beep in beeps) for flash in flashes]
    assert len(together) >= 3
    assert max(together) <= 0.025, "half a frame, and a packet of audio"


def seen_in(path: Path) -> tuple[list[int], list[float]]:
    """The numbers of the frames, and when a flash begins."""
    numbers, flashes, bright = [], [], False
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            luma = frame.planes[0]
            rows, block = bytes(luma), frame.width / 20
            bits = [
                rows[int((COUNTER_TOP + row + 0.5) * block) * luma.line_size + int((COUNTER_LEFT + column + 0.5) * block)] > 125
                for row in range(COUNTER_ROWS)
                for column in range(COUNTER_COLUMNS)
            ]
            number = int("".join("01"[bit] for bit in bits[:16]), 2)
            assert bits == counter_bits(number), "the check bits fit"
            numbers.append(number)
            lowest = rows[(frame.height - 10) * luma.line_size :][: frame.width]
            now = sum(lowest) / len(lowest) > 150
            if now and not bright:
                flashes.append(float(frame.time or 0.0))
            bright = now
    return numbers, flashes


def heard_in(path: Path) -> list[float]:
    """When a beep begins."""
    beeps, silent_since = [], -1.0
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("s16", "mono", 48_000, frame_size=48)  # 1 ms
        for frame in container.decode(audio=0):
            for short in resampler.resample(frame):
                loud = max(memoryview(short.planes[0]).cast("h")[:48]) > 3000
                moment = float(short.time or 0.0)
                if loud and moment - silent_since > FLASH:
                    beeps.append(moment)
                silent_since = moment if loud else silent_since
    return beeps


async def test_a_recording_that_cannot_be_written_is_unusable(relay: RunningRelay, tmp_path: Path) -> None:
    async with connect(relay.url, "student_456") as client:
        for path in (tmp_path / "a.wav", tmp_path / "missing" / "a.mkv"):
            with pytest.raises(UnusableMedia):
                await client.call("tutor_789", "voice", 123, record=path)
