"""What was sent is found again, for as long as it may be asked for, and never anything else."""

from random import Random
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.media.net.mmsg import BATCH, BUFFER_SIZE, ReceiveRing
from relay.media.repair.history import (
    DEFAULT_RTT,
    MAX_AGE,
    MAX_REPEATS,
    MAX_STREAMS,
    MIN_AGE,
    MIN_REPEAT,
    SLOTS,
    NackAnswer,
    PacketHistory,
)
from relay.rtp.packet import peek
from relay.rtp.rtcp import Nack, nack, parse
from tests.kit.network import SimulatedNetwork

SSRC = 0xCAFE


class History(PacketHistory):
    """A history, and a ring that what is stored arrives in."""

    def __init__(self, capacity: int = 4 * SLOTS) -> None:
        super().__init__()
        self.ring = ReceiveRing(capacity)

    def store(self, ssrc: int, sequence: int, packet: bytes, now: float) -> None:
        ring = self.ring
        start = ring.next_serial % ring.capacity * BUFFER_SIZE
        ring.bytes[start : start + len(packet)] = packet
        ring.next_serial += 1
        stream = self.streams.get(ssrc)
        if stream is None or stream.ring is not ring:
            stream = self.open_stream(ssrc, ring)
        stream.store(sequence, ring.next_serial - 1, len(packet), now)

    def find(self, ssrc: int, sequence: int, since: float) -> bytes | None:
        stream = self.streams.get(ssrc)
        return None if stream is None else stream.find(sequence, since)


def make_packet(ssrc: int, sequence: int, size: int, salt: int = 0) -> bytes:
    """An encrypted packet, as far as anyone without the key can tell; different for every salt."""
    header = pack("!BBHII", 0x80, 96, sequence, 0, ssrc)
    return header + Random(salt << 48 | ssrc << 16 | sequence).randbytes(size - len(header))


def store(history: History, sequence: int, now: float, size: int = 1100) -> bytes:
    packet = make_packet(SSRC, sequence, size)
    history.store(SSRC, sequence, packet, now)
    return packet


# -- what is held -----------------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(
            st.integers(1, 3),
            st.sampled_from([1, 1, 1, 2, SLOTS - 1, SLOTS, 0x8000, -1, -5]),
            st.sampled_from([12, 100, 1100, 1500]),
            st.sampled_from([0.0, 0.003, 0.003, 0.1, 3.0]),
        ),
        max_size=250,
    )
)
def test_a_packet_is_found_as_it_was_stored_last_or_not_at_all(stored: list[tuple[int, int, int, float]]) -> None:
    history = History()
    now = 100.0
    newest = dict.fromkeys((1, 2, 3), 0xFFF0)
    held: dict[tuple[int, int], bytes] = {}
    for salt, (ssrc, step, size, elapsed) in enumerate(stored):
        now += elapsed
        sequence = newest[ssrc] = (newest[ssrc] + step) & 0xFFFF
        packet = held[ssrc, sequence] = make_packet(ssrc, sequence, size, salt)
        history.store(ssrc, sequence, packet, now)
        assert history.find(ssrc, sequence, now) == packet
    for (ssrc, sequence), packet in held.items():
        assert history.find(ssrc, sequence, 0.0) in (packet, None)
        for other in ((sequence + SLOTS) & 0xFFFF, (sequence - SLOTS) & 0xFFFF):
            assert history.find(ssrc, other, 0.0) in (held.get((ssrc, other)), None)


def test_what_was_never_stored_is_not_found() -> None:
    history = History()
    store(history, 1, 0.0)
    assert history.find(SSRC, 0, 0.0) is None
    assert history.find(SSRC + 1, 1, 0.0) is None


def test_what_others_have_written_over_is_not_found() -> None:
    history = History(capacity=2 * BATCH)
    for ssrc in (1, 2):
        for sequence in range(2 * BATCH):
            history.store(ssrc, sequence, make_packet(ssrc, sequence, 1024), 0.0)
    assert not any(history.find(1, sequence, 0.0) for sequence in range(2 * BATCH))
    assert all(history.find(2, sequence, 0.0) for sequence in range(2 * BATCH))


def test_the_most_recent_packets_of_a_stream_are_held() -> None:
    history = History()
    for sequence in range(5000):
        store(history, sequence, sequence * 0.0001)
    assert all(history.find(SSRC, sequence, 0.0) for sequence in range(5000 - SLOTS, 5000))


def test_a_stream_that_moves_to_another_ring_is_answered_from_there() -> None:
    history = History()
    store(history, 1, 0.0)
    history.ring = ReceiveRing(BATCH)
    packet = store(history, 2, 0.0)
    assert history.find(SSRC, 2, 0.0) == packet
    assert history.find(SSRC, 1, 0.0) is None


def test_the_stream_that_began_first_makes_room_for_one_too_many() -> None:
    history = History()
    for ssrc in range(MAX_STREAMS + 1):
        history.store(ssrc, 1, make_packet(ssrc, 1, 100), 0.0)
    assert history.find(0, 1, 0.0) is None
    assert all(history.find(ssrc, 1, 0.0) for ssrc in range(1, MAX_STREAMS + 1))


# -- what is answered -------------------------------------------------------------------------------------------------


def test_an_answer_holds_the_packets_and_names_them() -> None:
    history = History()
    packets = [store(history, sequence, 0.0) for sequence in (65534, 65535, 0)]
    answer = history.answer(SSRC, [65534, 0, 1], 0.1, 0.05)
    assert answer.packets == (packets[0], packets[2])
    assert answer.answered == {65534, 0}


def test_nothing_is_answered_for_a_stream_that_is_not_held() -> None:
    assert History().answer(SSRC, [1, 2, 3], 0.0, 0.1) == NackAnswer((), frozenset())


def test_the_same_packet_is_sent_again_once_in_a_round_trip() -> None:
    history = History()
    packet = store(history, 7, 0.0)
    assert history.answer(SSRC, [7], 0.20, 0.15).packets == (packet,)
    assert history.answer(SSRC, [7], 0.34, 0.15) == NackAnswer((), frozenset({7}))
    assert history.answer(SSRC, [7], 0.36, 0.15).packets == (packet,)


def test_a_sequence_number_named_twice_is_sent_once() -> None:
    history = History()
    packet = store(history, 7, 0.0)
    assert history.answer(SSRC, [7, 7], 0.1, 0.0).packets == (packet,)


def test_on_a_short_path_repeats_still_keep_their_distance() -> None:
    history = History()
    store(history, 7, 0.0)
    assert history.answer(SSRC, [7], 0.1, 0.0).packets
    assert not history.answer(SSRC, [7], 0.1 + MIN_REPEAT / 2, 0.0).packets
    assert history.answer(SSRC, [7], 0.1 + MIN_REPEAT * 1.1, 0.0).packets


def test_an_unknown_round_trip_is_taken_for_a_usual_one() -> None:
    history = History()
    store(history, 7, 0.0)
    assert history.answer(SSRC, [7], 0.1, None).packets
    assert not history.answer(SSRC, [7], 0.1 + DEFAULT_RTT * 0.9, None).packets


@pytest.mark.parametrize(
    ("rtt", "age"), [(0.01, MIN_AGE), (0.2, 0.8), (0.4, 1.6), (3.0, MAX_AGE), (None, max(MIN_AGE, 4 * DEFAULT_RTT))]
)
def test_packets_are_answered_for_four_round_trips_within_limits(rtt: float | None, age: float) -> None:
    history = History()
    store(history, 7, 10.0)
    assert not history.answer(SSRC, [7], 10.0 + age * 1.01, rtt).answered
    assert history.answer(SSRC, [7], 10.0 + age * 0.99, rtt).answered


def test_a_peer_that_asks_forever_is_answered_ten_times() -> None:
    history = History()
    store(history, 7, 0.0)
    answers = [history.answer(SSRC, [7], number * 0.03, 0.0) for number in range(16)]
    assert sum(len(answer.packets) for answer in answers) == MAX_REPEATS
    assert not answers[-1].answered


def test_a_new_packet_in_the_slot_of_one_sent_again_is_answered_at_once() -> None:
    history = History()
    store(history, 7, 0.0)
    assert history.answer(SSRC, [7], 0.1, 0.1).packets
    packet = store(history, 7 + SLOTS, 0.15)
    answers = [history.answer(SSRC, [7 + SLOTS], 0.16 + number * 0.03, 0.0) for number in range(MAX_REPEATS)]
    assert [answer.packets for answer in answers] == [(packet,)] * MAX_REPEATS
    assert not history.answer(SSRC, [7], 0.5, 0.1).answered


@pytest.mark.parametrize("seed", range(5))
def test_ten_percent_of_bursty_loss_both_ways_is_mended(seed: int) -> None:
    """A sender of 300 packets/s and a receiver that asks every 20 ms for what is missing, 40 ms away from each other."""
    there = SimulatedNetwork(seed, loss=0.1, burst=3, delay=0.02, jitter=0.005)
    back = SimulatedNetwork(seed + 100, loss=0.1, delay=0.02, jitter=0.005)
    history = History()
    sent: dict[int, bytes] = {}
    arrived: dict[int, bytes] = {}
    for millisecond in range(6000):
        now = millisecond / 1000
        if millisecond % 3 == 0 and millisecond < 5000:
            sequence = (65000 + millisecond // 3) & 0xFFFF
            sent[sequence] = store(history, sequence, now)
            there.send(sent[sequence], now)
        for _, request in back.deliver(now):
            (packet,) = parse(request)
            assert isinstance(packet, Nack)
            for repeated in history.answer(SSRC, packet.sequences, now, 0.05).packets:
                there.send(repeated, now)
        arrived |= {peek(data)[2]: data for _, data in there.deliver(now)}
        # Asks for whatever was sent before the newest packet that it has.
        newest = max(((sequence - 65000) & 0xFFFF for sequence in arrived), default=-1)
        missing = [number for number in range(max(0, newest - 150), newest) if (65000 + number) & 0xFFFF not in arrived]
        if millisecond % 20 == 0 and missing:
            back.send(nack(1, SSRC, [(65000 + number) & 0xFFFF for number in missing]), now)
    assert all(sent[sequence] == data for sequence, data in arrived.items())
    assert len(sent) - len(arrived) <= 5
