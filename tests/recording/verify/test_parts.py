"""The parts of a verification: the counter, freezes, joints, limits, levels, speech."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.recording.limits import LimitError, VerificationLimits, parse_limit
from relay.recording.verify import alignment, counter, intervals, sync
from relay.recording.verify.audio import joints, opus_duration
from relay.recording.verify.figures import AudioFigures, Finding, TrackReport
from relay.recording.verify.measures import Measured
from relay.recording.verify.products import cut_of
from relay.recording.verify.reference import TONES, tone
from relay.recording.verify.verdict import examine, judge
from tests.recording.verify.media import speechlike


@pytest.mark.parametrize("size", [(160, 90), (192, 108), (320, 180), (640, 360), (1280, 720), (360, 640)])
@given(number=st.integers(0, 0xFFFF))
def test_each_number_can_be_read_in_each_size(size: tuple[int, int], number: int) -> None:
    width, height = size
    luma = np.full((height, width), 90, np.uint8)
    counter.burn_in(luma, number)
    assert counter.read(luma) == number


def test_video_without_a_counter_has_none() -> None:
    random = np.random.default_rng(1)
    numbers = [counter.read(random.integers(0, 255, (180, 320), dtype=np.uint8)) for _ in range(200)]
    assert not counter.is_counter(numbers)
    assert not counter.is_counter([counter.read(np.zeros((180, 320), np.uint8))] * 100)


def test_a_counter_that_wraps_goes_on_and_one_that_begins_again_is_another_pass() -> None:
    frames = [counter.Numbered(index / 30, (65_530 + index) % 65_536) for index in range(20)]
    [one] = counter.passes(frames)
    assert [later.number - earlier.number for earlier, later in pairwise(one)] == [1] * 19
    again = [counter.Numbered(1 + index / 30, index) for index in range(20)]
    assert [len(one) for one in counter.passes([*again, *(counter.Numbered(one.time + 1, one.number) for one in again)])] == [
        20,
        20,
    ]


def test_the_time_of_a_frame_that_the_encoder_dropped_is_between_its_neighbours() -> None:
    frames = [counter.Numbered(1 + index / 30, index) for index in range(60) if not 29 <= index < 33]
    [flash] = sync.flashes([frames], 30)[1:]
    assert flash.time == pytest.approx(2.0)
    assert counter.rate_of([frames]) == 30


def test_the_rate_of_a_source_is_known_where_its_camera_was_late_with_each_third_frame() -> None:
    time, frames = 0.0, []
    for number in range(150):
        frames.append(counter.Numbered(round(time, 3), number))
        time += 0.040 if number % 3 else 0.090
    assert counter.rate_of([frames]) == 25


def test_ten_seconds_have_ten_tones_and_another_seed_another_order() -> None:
    assert sorted(tone(second) for second in range(10)) == sorted(TONES)
    assert [tone(second) for second in range(20)] != [tone(second, 1) for second in range(20)]


def test_freezes_are_told_from_a_low_frame_rate() -> None:
    slow = [index * 0.5 for index in range(20)]
    assert intervals.freezes(slow) == []
    assert intervals.gaps(slow) != []
    fast = [index / 30 for index in range(60)]
    frozen = [*fast, *(time + 2.5 for time in fast)]
    [(start, duration)] = intervals.freezes(frozen)
    assert (round(start, 2), round(duration, 2)) == (1.97, 0.53)


def test_what_is_excluded_splits_an_interval() -> None:
    assert intervals.without([(0, 10)], [(2, 1), (9.5, 3)], 1.5) == [(0, 2), (3, 6.5)]


def test_packets_that_do_not_abut_are_told() -> None:
    assert joints([(0, 0.02), (0.021, 0.02), (0.041, 0.02)]) == ([], [])
    holes, [(start, duration)] = joints([(0, 0.02), (0.04, 0.02), (0.05, 0.02)])
    assert holes == [(0.02, 0.02)]
    assert start == 0.05
    assert duration == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("packet", "milliseconds"),
    [("f8fffe", 20), ("fcfffe", 20), ("80", 2.5), ("81", 5), ("1b83", 180), ("fb06", 120), ("78", 20), ("", 0), ("fb", 0)],
)
def test_an_opus_packet_says_how_long_it_is(packet: str, milliseconds: float) -> None:
    assert opus_duration(bytes.fromhex(packet)) == pytest.approx(milliseconds / 1000)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("max_freeze", "500ms", 0.5),
        ("max_freeze", " 1.5 s", 1.5),
        ("max_silence", "2min", 120),
        ("max_loss", "0.5%", 0.5),
        ("min_psnr", "35", 35),
        ("min_psnr", "35dB", 35),
        ("min_ssim", ".95", 0.95),
        ("max_drift", "100ppm", 100),
        ("max_missing_frames", "10", 10),
    ],
)
def test_limits_are_read_with_their_units(name: str, text: str, value: float) -> None:
    assert parse_limit(name, text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("max_freeze", text) for text in ("500", "-1s", "s", "", "1h", "5 %", "nan", "1e3s")),
        ("max_loss", "1"),
        ("min_ssim", "95"),
        ("max_drift", "1ms"),
    ],
)
def test_a_limit_that_cannot_be_read_says_what_can(name: str, text: str) -> None:
    with pytest.raises(LimitError, match=r"as in|ends at 1"):
        parse_limit(name, text)


def test_speech_is_told_from_tones_and_from_silence() -> None:
    speech = np.concatenate([*speechlike(6)])[::3] * 20_000
    tones = (np.sin(np.arange(6 * 16_000) * 2 * np.pi * 800 / 16_000) * 20_000).astype(np.float32)
    assert alignment.is_speech(speech.astype(np.float32))
    assert not alignment.is_speech(tones)
    assert not alignment.is_speech(np.zeros(6 * 16_000, np.float32))


def test_speech_that_is_disturbed_is_less_intelligible() -> None:
    speech = (np.concatenate([*speechlike(8)])[::3] * 20_000).astype(np.float32)
    noise = np.random.default_rng(2).normal(0, 3000, len(speech)).astype(np.float32)
    clear = alignment.AlignedWindow(0, 0, 1, speech, speech)
    disturbed = alignment.AlignedWindow(0, 0, 1, speech + noise, speech)
    best, _ = alignment.intelligibility([clear])
    worse, _ = alignment.intelligibility([disturbed])
    assert best == pytest.approx(1, abs=0.01)
    assert worse is not None
    assert worse < 0.9


def audio_of(**more: object) -> TrackReport:
    figures = {"codec": "opus", "channels": 1, "sample_rate": 48_000, "start": 0.0, "duration": 10.0, "packets": 500}
    return TrackReport(party="A", kind="audio", audio=AudioFigures(**{**figures, **more}))  # type: ignore[arg-type]


def test_a_call_of_audio_alone_has_no_video_to_be_in_sync_with() -> None:
    found = examine([], Measured([audio_of()], {}, {}), VerificationLimits(max_av_offset=0.08, max_freeze=0.5))
    assert [one.state for one in found if one.name == "max_av_offset"] == ["not_applicable"]
    assert judge(found) == ("passed", [])


def test_a_recording_without_media_is_unreadable() -> None:
    assert judge(examine([], Measured([], {}, {}), VerificationLimits()))[0] == "unreadable"


def test_what_failed_counts_more_than_what_could_not_be_measured() -> None:
    unmeasured = Finding(name="max_loss", state="not_measured", limit=1, sentence="unknown")
    failed = Finding(name="max_freeze", state="failed", limit=1, sentence="frozen")
    assert judge([unmeasured]) == ("unreadable", ["unknown"])
    assert judge([unmeasured, failed]) == ("failed", ["frozen"])


@given(st.binary(max_size=64), st.integers(0, 1000))
def test_no_beginning_of_a_file_breaks_the_search_for_its_end(data: bytes, size: int) -> None:
    cut_of(data, size)
    cut_of(b"\x1a\x45\xdf\xa3" + data, size)
