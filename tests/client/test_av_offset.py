"""Flashes and beeps, found in what arrives."""

import random

import pytest

from relay.client.av_offset import FlashesAndBeeps

RATE = 25
"""Frames per second."""


def seen(audio_later: float, *, seconds: int = 10, dropped: frozenset[int] = frozenset(), dark: float = 60.0) -> FlashesAndBeeps:
    """A source with a flash and a beep each second, from 0 on."""
    found = FlashesAndBeeps()
    for number in range(seconds * RATE):
        if number not in dropped:
            found.add_frame(number / RATE, 235.0 if number % RATE < 3 else dark)
    for packet in range(seconds * 50):
        times = [packet * 20 + at - round(audio_later * 1000) for at in range(20)]
        found.add_peaks(packet / 50, [12_000 if time >= 0 and time % 1000 < 100 else 3 for time in times])
    return found


@pytest.mark.parametrize("audio_later", [0.0, 0.120, -0.080])
def test_the_offset_is_that_of_the_source(audio_later: float) -> None:
    offset = seen(audio_later).offset(0.0, 0.0)
    assert offset is not None
    assert offset.median == pytest.approx(audio_later, abs=0.002)
    assert offset.p95 == pytest.approx(abs(audio_later), abs=0.002)
    assert offset.pairs >= 8


def test_each_kind_has_a_time_line_of_its_own() -> None:
    offset = seen(0.0).offset(1000.0, 1000.050)
    assert offset is not None
    assert offset.median == pytest.approx(0.050, abs=0.002)


def test_frames_that_were_dropped_as_the_flash_began_do_not_move_the_median() -> None:
    offset = seen(0.0, dropped=frozenset({100, 101, 150})).offset(0.0, 0.0)
    assert offset is not None
    assert offset.median == pytest.approx(0.0, abs=0.002)
    assert offset.p95 == pytest.approx(0.080, abs=0.002)


def test_a_source_without_flashes_or_without_beeps_is_not_measurable() -> None:
    assert seen(0.0, dark=200.0).offset(0.0, 0.0) is None
    silent = FlashesAndBeeps()
    for number in range(250):
        silent.add_frame(number / RATE, 235.0 if number % RATE < 3 else 60.0)
    assert silent.offset(0.0, 0.0) is None


def test_scenes_and_speech_are_no_flashes_and_beeps() -> None:
    chance, found = random.Random(7), FlashesAndBeeps()
    for number in range(60 * RATE):
        found.add_frame(number / RATE, chance.choice((20.0, 90.0, 160.0, 230.0)) if number % 20 == 0 else 90.0)
    for packet in range(60 * 50):
        found.add_peaks(packet / 50, [chance.randrange(9000) if chance.random() < 0.02 else 10] * 20)
    assert found.offset(0.0, 0.0) is None
