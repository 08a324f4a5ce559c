"""Facts from packets: loss before and after repair, jitter, frames, clocks; and no packet that breaks them."""

from collections.abc import Iterable
from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.recording.verify.facts import PacketFacts
from relay.recording.verify.figures import PacketFigures
from relay.rtp import rtcp
from tests.recording.capture_file import (
    OPUS,
    RED,
    REPAIRED_EXTENSION,
    RID_EXTENSION,
    RTX,
    ULPFEC,
    VP8,
    audio_section,
    video_section,
)
from tests.recording.kit import Packet, Stream, rtp

VIDEO, REPAIR, AUDIO = 0x1111, 0x1112, 0x2222

KEY = bytes([0x10, 0x00]) + bytes(20)
DELTA = bytes([0x10, 0x01]) + bytes(20)
"""VP8 payloads: a descriptor, and the first byte of a frame."""


def facts_of(packets: Iterable[Packet], *, groups: Any = (("FID", [VIDEO, REPAIR]),)) -> PacketFacts:
    facts = PacketFacts()
    facts.describe("A", [audio_section("0", [AUDIO]), video_section("1", [VIDEO, REPAIR], groups)])
    for packet in sorted(packets, key=lambda one: one.time):
        facts.add(packet.time, "A" if packet.interface == 1 else "B", packet.data)
    return facts


def figures_of(packets: Iterable[Packet], kind: str = "audio", **more: Any) -> PacketFigures:
    [found] = facts_of(packets, **more).figures()["A", kind]
    return found


def spoken(count: int = 500, **more: Any) -> list[Packet]:
    return [*Stream(AUDIO, OPUS, 48_000, **more).audio([bytes(40)] * count)]


def shown(count: int = 300, wrap: int = 0, fps: float = 30) -> list[Packet]:
    """One packet for each frame; a key frame every 2 s."""
    stream = Stream(VIDEO, VP8, 90_000, wrap=wrap)
    return [stream.packet(n / fps, KEY if n % 60 == 0 else DELTA, marker=True) for n in range(count)]


def test_a_stream_without_loss_has_none_over_the_wraps_of_its_numbers() -> None:
    found = figures_of(spoken())
    assert (found.codec, found.packets, found.expected, found.lost, found.lost_before_repair) == ("opus", 500, 500, 0, 0)
    assert found.jitter is not None
    assert found.jitter < 0.001
    assert found.bitrate[3] == pytest.approx(50 * 52 * 8, abs=52 * 8)


def test_lost_packets_are_counted_where_they_are_missing_and_in_bursts() -> None:
    found = figures_of(packet for n, packet in enumerate(spoken()) if n not in {100, 250, 251, 252})
    assert (found.expected, found.lost, found.longest_burst) == (500, 4, 3)
    assert [second for second, share in enumerate(found.loss) if share] == [2, 5]
    assert found.loss[5] == pytest.approx(3 / 50, abs=0.01)


def test_packets_out_of_order_are_not_lost_and_late_ones_are_told_apart() -> None:
    packets = spoken()
    packets[10].time += 0.05
    packets[20].time += 2.5
    found = figures_of(packets)
    assert (found.lost, found.reordered, found.late, found.duplicates) == (0, 2, 1, 0)


def test_duplicates_are_no_packets_that_were_expected() -> None:
    packets = spoken()
    found = figures_of([*packets, Packet(packets[50].time + 0.001, packets[50].data)])
    assert (found.expected, found.lost, found.duplicates) == (500, 0, 1)


def test_a_restart_of_the_numbers_is_no_loss() -> None:
    packets = spoken(100)
    again = Stream(AUDIO, OPUS, 48_000, sequence=30_000)
    found = figures_of([*packets, *again.audio([bytes(40)] * 100, start=2)])
    assert (found.expected, found.lost, found.restarts) == (200, 0, 1)


@pytest.mark.parametrize("groups", [(("FID", [VIDEO, REPAIR]),), ()], ids=["announced by FID", "known by apt alone"])
def test_retransmissions_repair_and_probes_do_not(groups: Any) -> None:
    packets = [packet for n, packet in enumerate(shown()) if n not in {30, 31, 200}]
    first = (65_500 + 30) & 0xFFFF
    for index in range(2):
        data = rtp(RTX, index, 0, REPAIR, pack("!H", (first + index) & 0xFFFF) + DELTA)
        packets.append(Packet(1.2 + index / 1000, data))
    packets.append(Packet(1.3, rtp(RTX, 3, 0, REPAIR, b"", padding=200)))
    found = figures_of(packets, "video", groups=groups)
    assert (found.expected, found.lost_before_repair, found.repaired, found.lost) == (300, 3, 2, 1)


@pytest.mark.parametrize("named", [True, False], ids=["the first packets", "none that was recorded"])
def test_of_simulcast_whose_layers_only_packets_name_each_is_repaired_by_its_own_retransmissions(*, named: bool) -> None:
    packets = []
    for ssrc, rid in ((0x51, b"q"), (0x52, b"f")):
        stream = Stream(ssrc, VP8, 90_000, **({} if named else {"sequence": ssrc << 8, "timestamp": ssrc << 24}))
        sent = [
            stream.packet(n / 30, DELTA, marker=True, extensions={RID_EXTENSION: rid} if named and n < 3 else None)
            for n in range(60)
        ]
        packets += [one for n, one in enumerate(sent) if n not in (20, 40)]
        for count, one in enumerate((sent[20], sent[40])):
            repaired = {REPAIRED_EXTENSION: rid} if named and not count else None
            again = rtp(RTX, count, int.from_bytes(one.data[4:8]), ssrc + 16, one.data[2:4] + one.data[12:], extensions=repaired)
            packets.append(Packet(one.time + 0.1, again))
    facts = PacketFacts()
    facts.describe("A", [video_section("1", rids=["q", "f"])])
    for packet in sorted(packets, key=lambda one: one.time):
        facts.add(packet.time, "A", packet.data)
    found = facts.figures()["A", "video"]
    assert [(one.ssrc, one.expected, one.lost, one.repaired) for one in found] == [(0x51, 60, 0, 2), (0x52, 60, 0, 2)]


def test_video_in_red_is_known_by_its_codec_and_its_key_frames() -> None:
    found = figures_of(shown(wrap=RED), "video")
    assert (found.codec, found.frames, found.key_frames, found.longest_key_frame_distance) == ("vp8", 300, 5, 2.0)


def test_error_correction_in_red_is_no_frame() -> None:
    stream = Stream(VIDEO, VP8, 90_000, wrap=RED)
    packets = [stream.packet(n / 30, KEY if not n else DELTA) for n in range(30)]
    packets.append(Packet(1.5, rtp(RED, stream.sequence, stream.stamp(1.4), VIDEO, bytes([ULPFEC]) + bytes(30))))
    [found] = facts_of(packets).figures()["A", "video"]
    assert found.frames == 30


def test_a_freeze_is_what_w3c_says_it_is() -> None:
    packets = [packet for n, packet in enumerate(shown()) if not 100 <= n < 106 and not 200 <= n < 204]
    found = figures_of(packets, "video")
    assert [(round(start, 2), round(duration, 2)) for start, duration in found.freezes] == [(3.3, 0.23)]
    assert len(found.gaps) == 1


def test_frames_that_the_sender_did_not_give_are_its_pauses_and_those_that_did_not_arrive_are_not() -> None:
    stream = Stream(VIDEO, VP8, 90_000)
    given = [n for n in range(300) if not 100 <= n < 110 and n % 30 != 7]
    packets = [stream.packet(n / 30, KEY if n % 60 == 0 else DELTA, marker=True) for n in given]
    lost = [packet for packet in packets if not 6 <= packet.time < 6.5]
    found = figures_of(lost, "video")
    assert [(round(start, 2), round(duration, 2)) for start, duration in found.sender_pauses] == [(3.3, 0.37)]
    assert found.usual_frame_rate == pytest.approx(30, abs=0.1)
    assert found.sender_left_out == 10 + 9
    assert found.frame_rate == pytest.approx(30 * len(given) / 300, abs=0.4)
    assert found.lost == 15 - 1
    assert len(found.freezes) == 2, "the one that was lost, too"


@given(st.lists(st.sampled_from([1, 1, 2, 7, 30]), max_size=40))
def test_no_pace_of_a_camera_breaks_it(steps: list[int]) -> None:
    """Such as one that gave each second frame late: no interval was near the median of all, and the recording had no report."""
    stream, at, packets = Stream(VIDEO, VP8, 90_000), 0, []
    for step in [1, *steps]:
        packets.append(stream.packet(at / 20, KEY, marker=True))
        at += step
    rate = figures_of(packets, "video").usual_frame_rate
    assert rate is None or rate <= 20.1


def test_of_a_camera_that_gives_half_of_its_frames_late_the_rate_is_that_of_the_others() -> None:
    stream = Stream(VIDEO, VP8, 90_000)
    packets = [stream.packet((n + n // 2) / 20, KEY, marker=True) for n in range(41)]
    found = figures_of(packets, "video")
    assert found.usual_frame_rate == pytest.approx(20, abs=0.1)
    assert found.sender_left_out == 20


def test_a_network_that_holds_packets_up_is_no_pause_of_the_sender() -> None:
    packets = shown()
    for packet in packets[100:130]:
        packet.time = 4.4 + (packet.time - 3.3) / 100
    found = figures_of(packets, "video")
    assert (found.sender_pauses, found.sender_left_out) == ([], 0)
    assert found.frame_rate == pytest.approx(30, abs=0.1)


def test_what_the_receiver_said_is_counted() -> None:
    stream = Stream(AUDIO, OPUS, 48_000)
    packets = [*spoken(), stream.report(1.0)]
    middle = int((3_900_000_000 + 1.0) * 65_536) & 0xFFFFFFFF
    block = pack("!IIIIII", AUDIO, 0, 1, 0, middle, int(0.5 * 65_536))
    answer = pack("!BBHI", 0x81, 201, 7, 9) + block
    packets += [Packet(1.62, answer, 2), Packet(2, rtcp.nack(9, AUDIO, [1, 2, 3]), 2), Packet(3, rtcp.pli(9, AUDIO), 2)]
    found = figures_of(packets)
    assert found.round_trip == pytest.approx(0.1, abs=0.001)
    assert (found.nacked, found.key_frame_requests, found.sender_reports) == (3, 1, 1)


def test_a_clock_that_runs_fast_is_measured_once_a_minute_has_passed() -> None:
    stream = Stream(AUDIO, OPUS, 48_000, ppm=150, wall_ppm=-40)
    packets = [stream.packet(n / 10, bytes(10)) for n in range(1800)]
    reports = [stream.report(n * 5, error=0.004 * (-1) ** n) for n in range(36)]
    found = figures_of([*packets, *reports])
    assert found.drift is not None
    assert found.drift_error is not None
    assert found.drift == pytest.approx(190, abs=3 * found.drift_error)
    assert found.drift_error < 30
    assert found.sender_clock == pytest.approx(-40, abs=60)
    short = figures_of([*packets, *reports[:10]])
    assert short.drift is None


def test_the_audio_of_the_other_party_is_not_mixed_in() -> None:
    mine = spoken()
    other = [Packet(one.time, one.data, 2) for one in spoken(300)]
    facts = PacketFacts()
    for party in "AB":
        facts.describe(party, [audio_section("0", [AUDIO])])
    for packet in [*mine, *other]:
        facts.add(packet.time, "A" if packet.interface == 1 else "B", packet.data)
    assert {key: [one.packets for one in found] for key, found in facts.figures().items()} == {
        ("A", "audio"): [500],
        ("B", "audio"): [300],
    }


@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from("AB"), st.binary(max_size=80)), max_size=30), st.binary(max_size=40))
def test_no_bytes_break_it(datagrams: list[tuple[float, str, bytes]], payload: bytes) -> None:
    facts = PacketFacts()
    facts.describe("A", [audio_section("0", [AUDIO]), video_section("1", [VIDEO])])
    for time, party, data in datagrams:
        facts.add(time, party, data)
    for number, payload_type in enumerate((VP8, RED, RTX, OPUS, 63, 45)):
        facts.add(100 + number, "A", rtp(payload_type, number, number, VIDEO + number, payload))
    facts.figures()
