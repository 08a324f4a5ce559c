"""Lost packets are repaired as the receiver repaired them: by ULPFEC (RFC 5109) within RED."""

import random
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.recording.assembly.frames import CodedFrame, Decodability
from relay.recording.assembly.ulpfec import UlpfecDecoder
from relay.recording.payloads.frame import FrameFacts

SSRC = 0x11223344
SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
VP8, RED = 96, 123


def rtp(sequence: int, timestamp: int, payload: bytes, *, sent: bytes = b"", marker: bool = False) -> bytes:
    """A packet with the id of its section, and with the time at which it was sent, if that has been written."""
    header = bytes([0x90, VP8 | marker << 7]) + sequence.to_bytes(2) + timestamp.to_bytes(4) + SSRC.to_bytes(4)
    return header + b"\xbe\xde\0\2" + b"\x30v" + b"\x12" + (sent or bytes(3)) + bytes(2) + payload


def in_red(packet: bytes) -> bytes:
    return packet[:1] + bytes([packet[1] & 0x80 | RED]) + packet[2:24] + bytes([VP8]) + packet[24:]


def xor(one: bytes, other: bytes) -> bytes:
    size = max(len(one), len(other))
    return bytes(a ^ b for a, b in zip(one.ljust(size, b"\0"), other.ljust(size, b"\0"), strict=True))


def repair_of(packets: list[bytes]) -> bytes:
    """RFC 5109 section 9.1, as libwebrtc does it: one level, which protects all of the packets."""
    base = int.from_bytes(packets[0][2:4])
    offsets = [(int.from_bytes(packet[2:4]) - base) & 0xFFFF for packet in packets]
    long = max(offsets) >= 16
    bits = 48 if long else 16
    mask = sum(1 << (bits - 1 - offset) for offset in offsets)
    head = reduce(xor, (packet[:2] + packet[4:8] + (len(packet) - 12).to_bytes(2) for packet in packets))
    body = reduce(xor, (packet[12:] for packet in packets))
    first = head[0] & 0x3F | long << 6
    return bytes([first, head[1]]) + base.to_bytes(2) + head[2:] + len(body).to_bytes(2) + mask.to_bytes(bits // 8) + body


def flow(count: int, seed: int) -> list[bytes]:
    """Packets as they are when they are protected: the time of sending is not written yet."""
    chance = random.Random(seed)
    return [
        rtp((65_530 + n) & 0xFFFF, 90_000 + n // 3 * 3000, chance.randbytes(chance.randrange(1, 1100)), marker=n % 3 == 2)
        for n in range(count)
    ]


def sent(packet: bytes, number: int) -> bytes:
    """The packet on its way: wrapped in RED, with the time of sending."""
    return in_red(packet[:19] + number.to_bytes(3) + packet[22:])


@pytest.mark.parametrize("count", [1, 5, 16, 30])
def test_the_one_packet_of_a_group_that_is_lost_is_repaired_to_the_byte(count: int) -> None:
    for lost in range(count):
        packets = flow(count, seed=lost)
        decoder = UlpfecDecoder([(SEND_TIME, 1), (MID, 3)])
        for number, packet in enumerate(packets):
            if number != lost:
                assert decoder.packet(sent(packet, 70_000 + number), red=True) == []
        expected = [packets[lost]] if count > 1 else []
        assert decoder.repair(repair_of(packets)) == expected, "of one packet alone nothing names the stream"


def test_two_lost_packets_are_repaired_when_one_of_them_comes_after_all() -> None:
    packets = flow(6, seed=1)
    decoder = UlpfecDecoder([(SEND_TIME, 1)])
    for packet in [*packets[:2], *packets[4:]]:
        decoder.packet(sent(packet, 1), red=True)
    assert decoder.repair(repair_of(packets)) == []
    assert decoder.packet(sent(packets[3], 2), red=True) == [packets[2]]


def test_what_one_repair_brings_back_helps_another() -> None:
    packets = flow(6, seed=2)
    decoder = UlpfecDecoder([(SEND_TIME, 1)])
    for packet in [packets[0], packets[3], packets[4]]:
        decoder.packet(sent(packet, 1), red=True)
    assert decoder.repair(repair_of([packets[1], packets[2], packets[3]])) == []
    assert decoder.repair(repair_of([packets[0], packets[1], packets[4]])) == [packets[1], packets[2]]


@given(st.lists(st.binary(max_size=80), max_size=12))
def test_hostile_repair_raises_value_errors_only_and_makes_no_more_than_it_was_given(payloads: list[bytes]) -> None:
    decoder = UlpfecDecoder([(SEND_TIME, 1)])
    for number, packet in enumerate(flow(20, seed=3)):
        decoder.packet(sent(packet, number), red=True)
    for payload in payloads:
        try:
            repaired = decoder.repair(payload)
        except ValueError:
            continue
        assert all(len(packet) <= 12 + len(payload) for packet in repaired)


def test_a_lost_packet_between_two_frames_in_a_row_takes_no_frame() -> None:
    """Repair packets have sequence numbers of the stream, and are not sent again."""
    judge = Decodability()
    assert judge.decodable(CodedFrame(0, b"key", FrameFacts(key=True, picture=(0x7FFF, 0x7FFF)), hole=False))
    assert judge.decodable(CodedFrame(3000, b"next", FrameFacts(picture=(0, 0x7FFF)), hole=True))
    assert not judge.decodable(CodedFrame(9000, b"later", FrameFacts(picture=(2, 0x7FFF)), hole=True))
    assert not judge.decodable(CodedFrame(12_000, b"depends on it", FrameFacts(picture=(3, 0x7FFF)), hole=False))
