"""What is counted of a stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.client import StreamFigures
from relay.client.figures import opinion


def fed(numbers: list[int], *, rate: int = 48_000, step: float = 0.02) -> StreamFigures:
    stream = StreamFigures(rate)
    for at, number in enumerate(numbers):
        stream.add(number & 0xFFFF, int(at * step * rate) & 0xFFFFFFFF, 100, True, at * step)
    return stream


@given(st.integers(0, 0xFFFF), st.integers(2, 300), st.sets(st.integers(1, 299)))
def test_what_is_missing_is_lost_across_a_wrap_too(first: int, count: int, dropped: set[int]) -> None:
    kept = [first + at for at in range(count) if at not in dropped]
    stream = fed(kept)
    assert (stream.packets, stream.lost) == (len(kept), kept[-1] - first + 1 - len(kept))


def test_what_comes_late_or_twice_is_neither_lost_nor_counted_twice() -> None:
    stream = fed([65534, 65535, 1, 0, 0, 2])
    assert (stream.packets, stream.lost, stream.loss) == (5, 0, 0.0)


def test_loss_is_counted_before_retransmission_as_a_receiver_report_does_and_after_it() -> None:
    stream = fed([10, 11, 14, 15, 17, 17])  # 12, 13 and 16 are lost, and 17 came twice
    assert (stream.packets, stream.duplicates, stream.lost, stream.missing) == (5, 1, 2, 3)
    stream.add_retransmission(12)
    stream.add_retransmission(12)
    stream.add_retransmission(15)  # it has come
    stream.add_retransmission(None)  # a probe
    assert (stream.lost, stream.repaired, stream.missing, stream.resent) == (2, 1, 2, 4)
    assert (stream.loss, stream.residual_loss) == (2 / 8, 2 / 8)


def test_sender_reports_say_where_the_timestamps_begin_across_a_wrap() -> None:
    stream = StreamFigures(48_000)
    for at in range(20):
        stream.add(at, (2**32 - 4800 + at * 960) & 0xFFFFFFFF, 10, False, at / 50)
    assert stream.epoch is None
    stream.add_report(0, 0)  # nothing was sent before it
    for at, late in ((5, 0.0), (10, 0.001), (15, 0.200)):
        stream.add_report(round((5000 + at / 50 + late) * 2**32), (2**32 - 4800 + at * 960) & 0xFFFFFFFF)
    assert stream.epoch == pytest.approx(5000.001 - (2**32 - 4800) / 48_000, abs=1e-6)


def test_steady_packets_have_no_jitter_even_where_the_timestamp_wraps() -> None:
    stream = StreamFigures(90_000)
    for at in range(50):
        stream.add(at, (2**32 - 9000 + at * 3000) & 0xFFFFFFFF, 10, True, at / 30)
    assert stream.jitter == pytest.approx(0.0, abs=1e-6)


def test_packets_that_come_in_twos_have_jitter() -> None:
    stream = StreamFigures(48_000)
    for at in range(200):
        stream.add(at, at * 960, 10, False, (at // 2) * 0.04)
    assert stream.jitter == pytest.approx(0.02, abs=0.003)


def test_the_opinion_falls_with_loss_and_with_delay() -> None:
    assert opinion(0.0, 0.0, 0.0) > 4.3
    assert opinion(0.05, 0.0, 0.0) < opinion(0.01, 0.0, 0.0)
    assert opinion(0.0, 0.0, 1.0) < opinion(0.0, 0.05, 0.1) < opinion(0.0, 0.0, 0.1)
