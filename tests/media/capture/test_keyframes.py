"""When key frames are requested: at once, until one comes, and then now and again."""

from dataclasses import dataclass

import pytest

from relay.media.capture.keyframes import REPEATS, SILENT, KeyframeSchedule

SSRC, OTHER = 7, 8


@dataclass
class Stream:
    is_video: bool = True
    keyframes: int = 0
    heard_at: float = 0.0


def requests(schedule: KeyframeSchedule, stream: Stream, seconds: range, arrives_at: set[int] = frozenset()) -> list[int]:  # type: ignore[assignment]
    """The seconds in which a key frame is requested of a stream that goes on all the time; in some, one arrives."""
    asked = []
    for now in seconds:
        stream.heard_at = float(now)
        stream.keyframes += now in arrives_at
        if schedule.due({SSRC: stream}, (), float(now)) == [SSRC]:
            asked.append(now)
    return asked


def begun(interval: float, stream: Stream, now: float = 100.0) -> KeyframeSchedule:
    schedule = KeyframeSchedule(interval)
    schedule.begin({SSRC: stream}, now)
    return schedule


def test_it_is_requested_at_once_and_each_second_until_it_comes() -> None:
    stream = Stream(keyframes=3)  # those of before the capture do not count
    assert requests(begun(20.0, stream), stream, range(100, 110), arrives_at={103}) == [100, 101, 102]


def test_then_it_is_requested_at_each_interval_counted_from_the_last_one_that_came() -> None:
    stream = Stream()
    schedule = begun(20.0, stream)
    came = {101, 121, 130}
    assert requests(schedule, stream, range(100, 152), arrives_at=came | {151}) == [100, 150], "the receiver's own requests count"


def test_without_an_interval_only_the_first_is_requested() -> None:
    stream = Stream()
    assert requests(begun(0.0, stream), stream, range(100, 500), arrives_at={102}) == [100, 101]


@pytest.mark.parametrize(("interval", "later"), [(20.0, [124, 144, 164]), (0.0, [])])
def test_a_stream_whose_key_frames_are_not_recognised_is_not_asked_all_the_time(interval: float, later: list[int]) -> None:
    stream = Stream()
    assert requests(begun(interval, stream), stream, range(100, 180)) == [*range(100, 100 + REPEATS), *later]


def test_a_new_stream_that_began_with_a_key_frame_is_asked_for_none() -> None:
    stream = Stream(keyframes=1)
    assert requests(KeyframeSchedule(20.0), stream, range(100, 115)) == []


def test_a_new_stream_whose_key_frame_was_lost_is_asked_for_one() -> None:
    assert requests(KeyframeSchedule(20.0), Stream(), range(100, 104), arrives_at={102}) == [100, 101]


def test_audio_and_video_that_is_turned_off_are_asked_for_none() -> None:
    schedule = begun(5.0, Stream())
    streams = {SSRC: Stream(heard_at=90.0), OTHER: Stream(is_video=False, heard_at=100.0)}
    assert schedule.due(streams, (), 100.0) == []
    streams[SSRC].heard_at = 107.0
    assert schedule.due(streams, (), 107.0) == [SSRC], "it is turned on again"


def test_the_lower_layers_of_simulcast_are_asked_once() -> None:
    schedule, high, low = KeyframeSchedule(10.0), Stream(), Stream()
    schedule.begin({SSRC: high, OTHER: low}, 100.0)
    asked = []
    for now in range(100, 135):
        high.heard_at = low.heard_at = float(now)
        due = schedule.due({SSRC: high, OTHER: low}, {OTHER}, float(now))
        asked += [(now, ssrc) for ssrc in due]
        high.keyframes += SSRC in due
        low.keyframes += OTHER in due
    assert asked == [(100, SSRC), (100, OTHER), (111, SSRC), (122, SSRC), (133, SSRC)]


def test_when_the_highest_layer_stops_the_next_one_is_asked_and_not_when_it_is_the_highest_by_itself() -> None:
    schedule, high, low = KeyframeSchedule(0.0), Stream(keyframes=1), Stream(keyframes=1)
    found = []
    for now in range(100, 130):
        low.heard_at = float(now)
        if now <= 112:
            high.heard_at = float(now)
        silent = now - high.heard_at > SILENT
        due = schedule.due({SSRC: high, OTHER: low}, {SSRC if silent or now < 105 else OTHER}, float(now))
        found += [(now, ssrc) for ssrc in due]
        low.keyframes += OTHER in due
    assert found == [(115, OTHER)]


def test_a_layer_that_lost_packets_for_good_is_asked_at_once_and_not_more_often_than_every_two_seconds() -> None:
    stream, schedule = Stream(keyframes=1), KeyframeSchedule(0.0)
    asked = []
    for now in range(100, 120):
        stream.heard_at = float(now)
        due = schedule.due({SSRC: stream}, (), float(now), {SSRC} if now in {105, 106, 110} else ())
        asked += [now for _ in due]
        stream.keyframes += len(due)
    assert asked == [105, 108, 111], "one came at 106, with or before what was lost, and at 109"


def test_after_a_pause_a_key_frame_is_wanted_again() -> None:
    stream = Stream(keyframes=1)
    schedule = KeyframeSchedule(0.0)
    assert requests(schedule, stream, range(100, 105)) == []
    schedule.begin({SSRC: stream}, 105.0)
    assert requests(schedule, stream, range(105, 110), arrives_at={106}) == [105]
