"""What waits on a connection that is slower than its media, and what of it is dropped."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from relay.edge.tcp.sendqueue import BULK_LIMIT, LEAST_COST, MAX_STREAMS, URGENT_LIMIT, VIDEO_PACKET, SendQueue
from tests.edge.packets import dtls, rtcp, rtp

AUDIO, VIDEO = 1, 2


def push(queue: SendQueue, *packets: bytes) -> None:
    for packet in packets:
        queue.push(packet, packet)


def drain(queue: SendQueue) -> list[bytes]:
    found = []
    while (wire := queue.pop()) is not None:
        found.append(wire)
    return found


def frame(timestamp: int, packets: int = 5, ssrc: int = VIDEO) -> list[bytes]:
    return [rtp(ssrc, timestamp, sequence) for sequence in range(packets)]


def fill(queue: SendQueue) -> int:
    """Frames that are taken, until one is dropped; the timestamp of that one."""
    timestamp = 0
    while not queue.dropped_frames:
        timestamp += 3000
        push(queue, *frame(timestamp))
    return timestamp


def test_an_empty_queue_has_nothing() -> None:
    queue = SendQueue()
    assert not queue
    assert queue.pop() is None


def test_the_bytes_for_the_wire_are_sent_as_given() -> None:
    queue = SendQueue()
    queue.push(rtp(AUDIO, 1, size=80), b"as framed")
    assert queue
    assert queue.pop() == b"as framed"


def test_audio_and_rtcp_and_checks_overtake_video_and_data() -> None:
    queue, check = SendQueue(), b"\x01\x01" + bytes(60)
    audio, video = rtp(AUDIO, 1, size=80), frame(1)
    push(queue, *video, dtls(), audio, rtcp(AUDIO), check)
    assert drain(queue) == [audio, rtcp(AUDIO), check, *video, dtls()]


def test_a_long_report_is_still_urgent() -> None:
    queue = SendQueue()
    push(queue, *frame(1, 1), rtcp(VIDEO, 900))
    assert queue.pop() == rtcp(VIDEO, 900)


def test_a_stream_is_video_from_its_first_long_packet_on() -> None:
    queue = SendQueue()
    small, long, last = rtp(VIDEO, 1, 0, VIDEO_PACKET), rtp(VIDEO, 1, 1, VIDEO_PACKET + 1), rtp(VIDEO, 1, 2, 50)
    push(queue, long, last, small, rtp(AUDIO, 1, size=VIDEO_PACKET))
    assert drain(queue) == [rtp(AUDIO, 1, size=VIDEO_PACKET), long, last, small]


def test_a_frame_that_does_not_fit_is_dropped_as_a_whole() -> None:
    queue = SendQueue()
    dropped = fill(queue)
    left = drain(queue)
    timestamps = [int.from_bytes(packet[4:8]) for packet in left]
    assert dropped not in timestamps
    assert all(timestamps.count(one) == 5 for one in set(timestamps))
    assert (queue.dropped_frames, queue.dropped_packets) == (1, 5)


def test_the_rest_of_a_dropped_frame_is_dropped_even_when_there_is_room_again() -> None:
    queue = SendQueue()
    dropped = fill(queue)
    drain(queue)
    push(queue, rtp(VIDEO, dropped, 5), rtp(VIDEO, dropped + 3000, 6))
    assert drain(queue) == [rtp(VIDEO, dropped + 3000, 6)]


def test_a_packet_of_an_older_frame_that_is_sent_again_passes_and_the_dropped_frame_stays_dropped() -> None:
    queue = SendQueue()
    dropped = fill(queue)
    drain(queue)
    again = rtp(VIDEO, dropped - 3000, 4)
    push(queue, again, rtp(VIDEO, dropped, 5))
    assert drain(queue) == [again]


def test_the_dropped_frame_can_be_sent_again_when_a_newer_one_has_come() -> None:
    queue = SendQueue()
    dropped = fill(queue)
    drain(queue)
    packets = [*frame(dropped + 3000), *frame(dropped)]
    push(queue, *packets)
    assert drain(queue) == packets


def test_timestamps_may_wrap() -> None:
    queue = SendQueue()
    push(queue, *(rtp(VIDEO, 2**32 - 10, number) for number in range(BULK_LIMIT // 1000 + 1)))
    assert queue.dropped_frames == 1
    push(queue, *frame(20))
    assert drain(queue) == frame(20)


def test_a_full_video_lane_never_drops_audio() -> None:
    queue = SendQueue()
    fill(queue)
    audio = [rtp(AUDIO, number, number, 120) for number in range(200)]
    push(queue, *audio)
    assert drain(queue)[:200] == audio


def test_the_oldest_audio_is_dropped_when_the_audio_lane_is_full() -> None:
    queue = SendQueue()
    audio = [rtp(AUDIO, number, number, 100) for number in range(2 * URGENT_LIMIT // 100)]
    push(queue, *audio)
    left = drain(queue)
    assert left == audio[-len(left) :]
    assert len(left) == URGENT_LIMIT // 100
    assert queue.dropped_packets == len(audio) - len(left)


def test_one_streams_dropped_frame_leaves_the_other_streams_whole() -> None:
    queue = SendQueue()
    other = frame(3000, 3, ssrc=3)
    push(queue, *other)
    fill(queue)
    assert [packet for packet in drain(queue) if packet[8:12] == (3).to_bytes(4)] == other


def test_data_that_does_not_fit_is_dropped_by_itself() -> None:
    queue = SendQueue()
    push(queue, *[dtls()] * (BULK_LIMIT // 1000 + 7))
    assert len(drain(queue)) == BULK_LIMIT // 1000
    assert (queue.dropped_packets, queue.dropped_frames) == (7, 0)


def test_tiny_packets_are_bounded_in_number() -> None:
    queue = SendQueue()
    push(queue, rtp(VIDEO, 0))
    push(queue, *(rtp(VIDEO, timestamp, size=12) for timestamp in range(1, 10_000)))
    assert len(drain(queue)) <= BULK_LIMIT // LEAST_COST
    assert queue.bulk_bytes == 0


def test_the_number_of_streams_in_memory_is_bounded() -> None:
    queue = SendQueue()
    for ssrc in range(10 * MAX_STREAMS):
        push(queue, rtp(ssrc, 1))
        queue.pop()
    assert len(queue._video) <= MAX_STREAMS


def test_empty_and_short_datagrams_pass() -> None:
    queue = SendQueue()
    push(queue, b"", b"\x80")
    assert drain(queue) == [b"", b"\x80"]


PUSHED = st.tuples(st.sampled_from([AUDIO, VIDEO, 3]), st.integers(0, 5), st.integers(12, 1200))


@given(st.lists(st.one_of(PUSHED, st.integers(1, 40), st.binary(max_size=1300)), max_size=300))
def test_any_input_leaves_the_queue_bounded_in_order_and_counted(steps: list[tuple[int, int, int] | int | bytes]) -> None:
    queue, pushed, popped = SendQueue(), 0, 0
    sequences: defaultdict[int, int] = defaultdict(int)
    for step in steps:
        if isinstance(step, int):
            popped += sum(queue.pop() is not None for _ in range(step))
        else:
            packet = step if isinstance(step, bytes) else rtp(step[0], step[1] * 3000, sequences[step[0]], step[2])
            sequences[step[0] if isinstance(step, tuple) else 0] += 1
            push(queue, packet)
            pushed += 1
        assert 0 <= queue.bulk_bytes <= BULK_LIMIT
        assert 0 <= queue.urgent_bytes <= URGENT_LIMIT
    left = drain(queue)
    assert pushed == popped + len(left) + queue.dropped_packets
    assert (queue.bulk_bytes, queue.urgent_bytes) == (0, 0)
