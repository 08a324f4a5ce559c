"""What is counted of streams and legs, on simulated networks and in virtual time."""

from struct import pack, unpack_from

import pytest
from aiortc.rtcrtpreceiver import StreamStatistics as AiortcStatistics
from aiortc.rtp import RtpPacket
from hypothesis import example, given
from hypothesis import strategies as st

from relay.media.quality.statistics import (
    MAX_RTT,
    MAX_SENDER_REPORTS,
    MAX_STREAMS,
    SNAPSHOT_INTERVAL,
    LegStatistics,
    RoundTripTime,
    StreamStatistics,
)
from relay.mos import BEST_RATING, mean_opinion
from relay.rtp.rtcp import (
    Bye,
    FullIntraRequest,
    Nack,
    PictureLoss,
    ReceiverReport,
    ReportBlock,
    SenderReport,
)
from tests.kit.network import SimulatedNetwork

AUDIO = 48_000
VIDEO = 90_000


def feed(stream: StreamStatistics, network: SimulatedNetwork, packets: int, start: float = 0.0) -> None:
    """Send 20 ms sound packets of 100 bytes through a network and count what arrives, in order of arrival."""
    first = round(start * 50)
    for number in range(first, first + packets):
        network.send(pack("!HI", number & 0xFFFF, number * 960 & 0xFFFFFFFF), number * 0.02)
    for now, data in network.deliver(float("inf")):
        sequence, timestamp = unpack_from("!HI", data)
        stream.received(sequence, timestamp, 100, now)


def make_block(ssrc: int, *, highest: int = 0, lost: int = 0, last: int = 0, delay: int = 0) -> ReportBlock:
    return ReportBlock(ssrc, 0, lost, highest, 0, last, delay)


def make_sender_report(ssrc: int, ntp_time: int) -> SenderReport:
    return SenderReport(ssrc, ntp_time, 0, 0, 0, ())


# -- streams ----------------------------------------------------------------------------------------------------------


def test_a_stream_counts_packets_bytes_and_bitrate() -> None:
    stream = StreamStatistics(7, AUDIO, 0, 0, 0.0)
    feed(stream, SimulatedNetwork(1), 100)
    report = stream.snapshot(2.0)
    assert (report.ssrc, report.packets, report.bytes, report.lost, report.loss) == (7, 100, 10_000, 0, 0.0)
    assert report.bitrate == pytest.approx(40_000)
    assert report.highest_sequence == 0x10000 + 99


def test_loss_is_of_the_interval_and_lost_is_of_the_whole_stream() -> None:
    stream = StreamStatistics(7, AUDIO, 0, 0, 0.0)
    for sequence in range(100):
        if sequence % 4:
            stream.received(sequence, sequence * 960, 100, sequence * 0.02)
    report = stream.snapshot(2.0)
    # The first packet was announced but not counted: one of those that are missing.
    assert (report.lost, report.expected, report.loss) == (25, 100, 0.25)
    for sequence in range(100, 200):
        stream.received(sequence, sequence * 960, 100, sequence * 0.02)
    report = stream.snapshot(4.0)
    assert (report.lost, report.expected, report.loss) == (25, 100, 0.0)


def test_nothing_arriving_is_no_loss_and_no_bitrate() -> None:
    stream = StreamStatistics(7, AUDIO, 0, 0, 0.0)
    stream.received(0, 0, 100, 0.0)
    stream.snapshot(2.0)
    report = stream.snapshot(4.0)
    assert (report.expected, report.loss, report.bitrate) == (0, 0.0, 0.0)


def test_two_snapshots_at_the_same_time_do_not_divide_by_zero() -> None:
    stream = StreamStatistics(7, AUDIO, 0, 0, 1.0)
    assert stream.snapshot(1.0).bitrate == 0.0


@pytest.mark.parametrize("first", [0, 65_500])
def test_losses_are_counted_across_the_wrap_of_sequence_numbers_and_in_spite_of_reordering(first: int) -> None:
    network = SimulatedNetwork(2, loss=0.05, delay=0.03, reordering=0.1, lateness=0.05)
    stream = StreamStatistics(7, AUDIO, first, 0, 0.0)
    arrived = 0
    for number in range(1000):
        network.send(number.to_bytes(2), number * 0.02)
    for now, data in network.deliver(float("inf")):
        arrived += 1
        number = int.from_bytes(data)
        stream.received((first + number) & 0xFFFF, number * 960, 100, now)
    report = stream.snapshot(30.0)
    assert report.packets == arrived
    assert report.lost == report.highest_sequence - 0x10000 - first + 1 - arrived
    assert 20 < report.lost < 100


def arrivals_of(seed: int, jitter: float) -> list[tuple[float, int]]:
    """When which of 100 packets arrived."""
    network = SimulatedNetwork(seed, delay=0.02, jitter=jitter, loss=0.02)
    for number in range(100):
        network.send(number.to_bytes(2), number * 0.02)
    return [(now, int.from_bytes(data)) for now, data in network.deliver(float("inf"))]


def jitter_of(arrivals: list[tuple[float, int]], first_timestamp: int) -> float:
    """In units of the clock."""
    stream: StreamStatistics | None = None
    for now, number in arrivals:
        timestamp = (first_timestamp + number * 960) & 0xFFFFFFFF
        if stream is None:
            stream = StreamStatistics(7, AUDIO, number, timestamp, now)
        stream.received(number, timestamp, 100, now)
    assert stream is not None
    return stream.snapshot(10.0).jitter * AUDIO


@given(st.integers(), st.floats(0, 0.05))
def test_jitter_is_what_aiortc_measures(seed: int, jitter: float) -> None:
    arrivals = arrivals_of(seed, jitter)
    theirs = AiortcStatistics(AUDIO)
    # aiortc reads the clock: give it the simulated one.
    clock = iter([now for now, _ in arrivals])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aiortc.rtcrtpreceiver.time.time", lambda: next(clock))
        for _, number in arrivals:
            theirs.add(RtpPacket(sequence_number=number, timestamp=number * 960))
    # It rounds down, each time.
    assert jitter_of(arrivals, 0) == pytest.approx(theirs.jitter, abs=3)


@given(st.integers(), st.floats(0, 0.05), st.integers(0, 0xFFFFFFFF))
@example(1, 0.01, 0xFFFFFFFF - 50 * 960)
def test_jitter_does_not_depend_on_where_the_timestamps_begin_or_wrap(seed: int, jitter: float, first: int) -> None:
    arrivals = arrivals_of(seed, jitter)
    assert jitter_of(arrivals, first) == pytest.approx(jitter_of(arrivals, 0))


def test_packets_of_one_frame_make_no_jitter() -> None:
    stream = StreamStatistics(7, VIDEO, 0, 0, 0.0)
    for frame in range(50):
        for part in range(10):
            stream.received(frame * 10 + part, frame * 3000, 1100, frame / 30 + part * 0.002)
    assert stream.snapshot(2.0).jitter == pytest.approx(0.0, abs=1e-6)


def test_a_pause_of_the_source_is_no_jitter() -> None:
    stream = StreamStatistics(7, AUDIO, 0, 0, 0.0)
    stream.received(0, 0, 100, 0.0)
    stream.received(1, 960, 100, 60.0)
    stream.received(2, 1920, 100, 60.02)
    assert stream.snapshot(60.02).jitter == pytest.approx(0.0, abs=1e-6)


def test_a_keyframe_is_counted_once_however_many_packets_begin_it() -> None:
    stream = StreamStatistics(7, VIDEO, 0, 0, 0.0)
    for timestamp in (0, 0, 3000, 3000, 3000, 0):
        stream.keyframe(timestamp)
    assert stream.snapshot(1.0).keyframes == 3


# -- the round trip ---------------------------------------------------------------------------------------------------


def test_the_round_trip_is_the_echo_without_the_time_that_the_peer_held_it() -> None:
    rtt = RoundTripTime()
    assert rtt.value is None
    rtt.forwarded(make_sender_report(7, 0x0123456789ABCDEF), 10.0)
    rtt.reported(make_block(7, last=0x456789AB, delay=65536 // 2), 10.58)
    assert rtt.value == pytest.approx(0.08)


def test_the_round_trip_is_smoothed() -> None:
    rtt = RoundTripTime()
    for number, measured in enumerate((0.1, 0.2)):
        rtt.forwarded(make_sender_report(7, number + 1 << 32), number)
        rtt.reported(make_block(7, last=number + 1 << 16), number + measured)
    assert rtt.value == pytest.approx(0.15)


def test_an_echo_of_nothing_known_is_left_out() -> None:
    rtt = RoundTripTime()
    rtt.forwarded(make_sender_report(7, 5 << 16), 1.0)
    rtt.reported(make_block(7, last=0), 1.1)
    rtt.reported(make_block(8, last=5), 1.1)
    assert rtt.value is None


def test_a_peer_that_claims_to_have_held_a_report_for_longer_than_it_could_is_nearby() -> None:
    rtt = RoundTripTime()
    rtt.forwarded(make_sender_report(7, 5 << 16), 1.0)
    rtt.reported(make_block(7, last=5, delay=0xFFFFFFFF), 1.1)
    assert rtt.value == 0.0


def test_an_echo_from_too_long_ago_is_no_measurement() -> None:
    rtt = RoundTripTime()
    rtt.forwarded(make_sender_report(7, 5 << 16), 1.0)
    rtt.reported(make_block(7, last=5), 1.1 + MAX_RTT)
    assert rtt.value is None


def test_old_sender_reports_are_forgotten() -> None:
    rtt = RoundTripTime()
    for number in range(MAX_SENDER_REPORTS + 1):
        rtt.forwarded(make_sender_report(7, number + 1 << 16), number)
    rtt.reported(make_block(7, last=1), MAX_SENDER_REPORTS + 1)
    assert rtt.value is None


# -- legs -------------------------------------------------------------------------------------------------------------


def test_a_leg_without_traffic_has_the_best_score_and_no_figures() -> None:
    report = LegStatistics(0.0).snapshot(SNAPSHOT_INTERVAL)
    assert (report.rtt, report.loss_from_peer, report.loss_to_peer, report.bitrate) == (None, 0.0, 0.0, 0.0)
    assert report.streams == ()
    assert report.score == pytest.approx(mean_opinion(BEST_RATING), abs=0.05)


def test_requests_of_the_other_peer_are_counted_with_the_stream_they_concern() -> None:
    leg = LegStatistics(0.0)
    leg.open_stream(7, VIDEO, 0, 0, 0.0)
    leg.open_stream(8, VIDEO, 0, 0, 0.0)
    leg.for_peer([Nack(1, 7, (1, 2, 3)), Nack(1, 9, (4,)), PictureLoss(1, 7), PictureLoss(1, 9)], 1.0)
    leg.for_peer([FullIntraRequest(1, (8, 9)), Bye((1,))], 1.0)
    first, second = leg.snapshot(2.0).streams
    assert (first.nacks, first.plis, first.firs) == (3, 1, 0)
    assert (second.nacks, second.plis, second.firs) == (0, 0, 1)


def test_the_round_trip_of_each_leg_is_its_own() -> None:
    """A's sender report is forwarded to B, and B's receiver report goes back to A by way of the relay."""
    from_a, from_b = LegStatistics(0.0), LegStatistics(0.0)
    report = make_sender_report(7, 5 << 16)
    echo = ReceiverReport(1, (make_block(7, last=5, delay=65536),))
    from_a.from_peer([report], 1.0)
    from_b.for_peer([report], 1.0)
    from_b.from_peer([echo], 2.05)
    from_a.for_peer([echo], 2.05)
    assert from_b.rtt == pytest.approx(0.05)
    assert from_a.rtt is None


def test_loss_to_the_peer_is_of_what_its_reports_have_grown_by() -> None:
    leg = LegStatistics(0.0)
    leg.from_peer([ReceiverReport(1, (make_block(7, highest=1000, lost=500), make_block(8, highest=50)))], 1.0)
    assert leg.snapshot(2.0).loss_to_peer == 0.0
    leg.from_peer([ReceiverReport(1, (make_block(7, highest=1090, lost=510), make_block(8, highest=60)))], 3.0)
    assert leg.snapshot(4.0).loss_to_peer == pytest.approx(0.1)
    assert leg.snapshot(6.0).loss_to_peer == pytest.approx(0.1)
    leg.from_peer([ReceiverReport(1, (make_block(7, highest=1190, lost=505),))], 7.0)
    assert leg.snapshot(8.0).loss_to_peer == 0.0


def test_loss_from_the_peer_weighs_streams_by_their_packets() -> None:
    leg = LegStatistics(0.0)
    audio = leg.open_stream(7, AUDIO, 0, 0, 0.0)
    video = leg.open_stream(8, VIDEO, 0, 0, 0.0)
    for sequence in range(100):
        audio.received(sequence, sequence * 960, 100, sequence * 0.02)
    for sequence in range(0, 300, 2):
        video.received(sequence, sequence * 300, 1000, sequence / 150)
    video.received(299, 0, 1000, 2.0)
    report = leg.snapshot(2.0)
    assert report.loss_from_peer == pytest.approx(149 / 400)
    assert report.bitrate == pytest.approx((100 * 100 + 151 * 1000) * 8 / 2)


def test_the_jitter_of_a_leg_is_that_of_its_steadiest_stream() -> None:
    leg = LegStatistics(0.0)
    steady = leg.open_stream(7, AUDIO, 0, 0, 0.0)
    unsteady = leg.open_stream(8, AUDIO, 0, 0, 0.0)
    leg.open_stream(9, AUDIO, 0, 0, 0.0)
    feed(steady, SimulatedNetwork(1, jitter=0.002), 100)
    feed(unsteady, SimulatedNetwork(1, jitter=0.02), 100)
    report = leg.snapshot(2.0)
    assert 0 < report.jitter == report.streams[0].jitter < report.streams[1].jitter


def test_a_bad_network_lowers_the_score_at_once_and_a_good_one_raises_it_slowly() -> None:
    leg = LegStatistics(0.0)
    stream = leg.open_stream(7, AUDIO, 0, 0, 0.0)
    scores = []
    for interval, loss in enumerate((0, 0, 0.25, 0.25, 0, 0, 0)):
        network = SimulatedNetwork(interval, loss=loss, burst=2)
        feed(stream, network, 100, start=interval * SNAPSHOT_INTERVAL)
        scores.append(leg.snapshot((interval + 1) * SNAPSHOT_INTERVAL).score)
    good, worst, after = scores[1], scores[3], scores[6]
    assert good > 4.2
    assert worst < 3.3
    assert worst < after < good - (good - worst) / 2


def test_a_peer_cannot_have_more_streams_or_reports_counted_than_the_bound() -> None:
    leg = LegStatistics(0.0)
    for ssrc in range(MAX_STREAMS + 5):
        leg.open_stream(ssrc, AUDIO, 0, 0, 0.0)
        leg.from_peer([ReceiverReport(1, (make_block(ssrc, highest=10),))], 1.0)
        leg.from_peer([ReceiverReport(1, (make_block(ssrc, highest=20, lost=1),))], 1.0)
    assert list(leg.streams) == list(range(5, MAX_STREAMS + 5))
    assert leg.snapshot(2.0).loss_to_peer == pytest.approx(0.1)


def test_as_many_streams_as_the_bound_are_all_counted() -> None:
    leg = LegStatistics(0.0)
    for ssrc in range(MAX_STREAMS):
        leg.from_peer([ReceiverReport(1, (make_block(ssrc, highest=10),))], 1.0)
    for ssrc in reversed(range(MAX_STREAMS)):
        leg.from_peer([ReceiverReport(1, (make_block(ssrc, highest=20, lost=1 if ssrc == 0 else 0),))], 2.0)
    assert leg.snapshot(2.0).loss_to_peer == pytest.approx(0.1 / MAX_STREAMS)
