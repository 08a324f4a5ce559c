"""RTCP, written and read back here and by aiortc's own implementation."""

import contextlib
import struct
from dataclasses import replace

import pytest
from aiortc.rtp import (
    RtcpByePacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
    pack_remb_fci,
)
from aiortc.rtp import RtcpPacket as AiortcPacket
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import RelayError
from relay.rtp.rtcp import (
    Bye,
    FullIntraRequest,
    Nack,
    PictureLoss,
    ReceiverReport,
    ReportBlock,
    RtcpError,
    RtcpPacket,
    SenderReport,
    nack,
    parse,
    pli,
)
from relay.rtp.rtcp_cuts import without_byes, without_nacks
from tests.kit.rtcp import receiver_report

UINT16 = st.integers(0, 0xFFFF)
UINT32 = st.integers(0, 0xFFFFFFFF)
BLOCKS = st.builds(
    ReportBlock,
    ssrc=UINT32,
    fraction_lost=st.integers(0, 255),
    packets_lost=st.integers(-0x800000, 0x7FFFFF),
    highest_sequence=UINT32,
    jitter=UINT32,
    last_sender_report=UINT32,
    delay=UINT32,
)
SDES = bytes(RtcpSdesPacket(chunks=[RtcpSourceInfo(ssrc=1, items=[(1, b"name@host")])]))
PARTS = st.one_of(
    st.builds(pli, UINT32, UINT32),
    st.builds(nack, UINT32, st.integers(1, 3), st.sets(UINT16, min_size=1, max_size=30)),
    st.builds(receiver_report, UINT32, st.lists(BLOCKS, max_size=3)),
    st.just(SDES),
)


def theirs(block: ReportBlock) -> RtcpReceiverInfo:
    return RtcpReceiverInfo(
        ssrc=block.ssrc,
        fraction_lost=block.fraction_lost,
        packets_lost=block.packets_lost,
        highest_sequence=block.highest_sequence,
        jitter=block.jitter,
        lsr=block.last_sender_report,
        dlsr=block.delay,
    )


def in_any_order(packet: RtcpPacket) -> RtcpPacket:
    return replace(packet, sequences=tuple(sorted(packet.sequences))) if isinstance(packet, Nack) else packet


# -- reading what aiortc wrote ----------------------------------------------------------------------------------------


@given(
    st.builds(
        SenderReport,
        ssrc=UINT32,
        ntp_time=st.integers(0, 2**64 - 1),
        rtp_timestamp=UINT32,
        packets=UINT32,
        octets=UINT32,
        blocks=st.lists(BLOCKS, max_size=31).map(tuple),
    )
)
def test_sender_reports_of_aiortc_are_read(report: SenderReport) -> None:
    info = RtcpSenderInfo(
        ntp_timestamp=report.ntp_time,
        rtp_timestamp=report.rtp_timestamp,
        packet_count=report.packets,
        octet_count=report.octets,
    )
    data = bytes(RtcpSrPacket(ssrc=report.ssrc, sender_info=info, reports=[theirs(block) for block in report.blocks]))
    assert parse(data) == [report]


@given(UINT32, st.lists(BLOCKS, max_size=31))
def test_receiver_reports_of_aiortc_are_read(ssrc: int, blocks: list[ReportBlock]) -> None:
    data = bytes(RtcpRrPacket(ssrc=ssrc, reports=[theirs(block) for block in blocks]))
    assert parse(data) == [ReceiverReport(ssrc, tuple(blocks))]


@given(st.lists(UINT32, max_size=31))
def test_goodbyes_of_aiortc_are_read(ssrcs: list[int]) -> None:
    assert parse(bytes(RtcpByePacket(sources=ssrcs))) == [Bye(tuple(ssrcs))]


def test_bitrate_estimates_of_aiortc_are_left_out() -> None:
    remb = bytes(RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=pack_remb_fci(1_000_000, [1, 2])))
    assert parse(remb + pli(1, 7)) == [PictureLoss(1, 7)]


def test_negative_acknowledgements_of_aiortc_are_read() -> None:
    lost = [10, 11, 26, 40, 65535]
    data = bytes(RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=2, lost=lost))
    assert parse(data) == [Nack(1, 2, tuple(lost))]


def test_the_packets_after_a_nacked_one_wrap_with_the_sequence_numbers() -> None:
    data = bytes.fromhex("81cd0003 00000001 00000002 fffe8003")
    assert parse(data) == [Nack(1, 2, (0xFFFE, 0xFFFF, 0, 14))]


def test_full_intra_requests_are_read() -> None:
    entries = struct.pack("!IBxxxIBxxx", 7, 1, 8, 2)
    assert parse(bytes(RtcpPsfbPacket(fmt=4, ssrc=1, media_ssrc=0, fci=entries))) == [FullIntraRequest(1, (7, 8))]


def test_transport_wide_feedback_is_left_out() -> None:
    assert parse(bytes.fromhex("8fcd0003 00000001 00000002 00000000") + pli(1, 7)) == [PictureLoss(1, 7)]


def test_parts_that_mean_nothing_to_the_relay_are_left_out() -> None:
    extended_report = bytes.fromhex("80cf0001 00000001")
    application = bytes.fromhex("80cc0002 00000001 74657374")
    picture_selection = bytes(RtcpPsfbPacket(fmt=3, ssrc=1, media_ssrc=2, fci=bytes(4)))
    other_afb = bytes(RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=2, fci=b"ABCDabcd"))
    tmmbr = bytes(RtcpRtpfbPacket(fmt=3, ssrc=1, media_ssrc=2))
    parts = [SDES, extended_report, application, picture_selection, other_afb, tmmbr, pli(1, 2)]
    assert parse(b"".join(parts)) == [PictureLoss(1, 2)]


def test_padding_is_no_part_of_the_last_packet() -> None:
    padded = bytes.fromhex("a1cd0005 00000001 00000002 000a0000 00000000 00000008")
    assert parse(padded) == [Nack(1, 2, (10,))]


def test_an_extension_behind_the_report_blocks_is_passed_over() -> None:
    assert parse(bytes.fromhex("80c90002 00000001 deadbeef")) == [ReceiverReport(1, ())]


# -- whatever arrives -------------------------------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(RtcpError):
        parse(data)
    with contextlib.suppress(RtcpError):
        without_nacks(data, {0: {0}})


@given(
    st.lists(
        st.tuples(st.integers(128, 191), st.sampled_from([200, 201, 202, 203, 205, 206, 207]), st.binary(max_size=40)),
        max_size=4,
    )
)
def test_any_parts_with_right_lengths_are_read_or_refused(parts: list[tuple[int, int, bytes]]) -> None:
    compound = b""
    for flags, packet_type, body in parts:
        whole = body + bytes(-len(body) % 4)
        compound += struct.pack("!BBH", flags, packet_type, len(whole) // 4) + whole
    with contextlib.suppress(RtcpError):
        parse(compound)
    with contextlib.suppress(RtcpError):
        assert without_nacks(compound, {}) == (compound or None)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("80c9", id="header cut off"),
        pytest.param("40c90001 00000001", id="version 1"),
        pytest.param("80c90002 00000001", id="longer than the packet"),
        pytest.param("80c90000", id="RR without SSRC"),
        pytest.param("81c90001 00000001", id="RR without its block"),
        pytest.param("80c80001 00000001", id="SR without sender information"),
        pytest.param("82cb0001 00000001", id="BYE of two with one"),
        pytest.param("81ce0001 00000001", id="PLI without media"),
        pytest.param("a0c90001 00000009", id="more padding than packet"),
        pytest.param("a0c90001 00000000", id="no padding where it is announced"),
        pytest.param("a0c90000", id="padding without a byte"),
    ],
)
def test_malformed_parts_are_refused_with_one_error(data: str) -> None:
    with pytest.raises(RtcpError) as refusal:
        parse(bytes.fromhex(data))
    assert isinstance(refusal.value, ValueError)
    assert isinstance(refusal.value, RelayError)


def test_an_empty_packet_has_no_parts() -> None:
    assert parse(b"") == []
    assert without_nacks(b"", {}) is None


# -- writing ----------------------------------------------------------------------------------------------------------


@given(UINT32, UINT32)
def test_a_written_pli_is_read_here_and_by_aiortc(sender: int, media: int) -> None:
    data = pli(sender, media)
    assert parse(memoryview(data)) == [PictureLoss(sender, media)]
    assert AiortcPacket.parse(data) == [RtcpPsfbPacket(fmt=1, ssrc=sender, media_ssrc=media)]


@given(UINT32, UINT32, st.lists(UINT16, min_size=1, max_size=100))
def test_a_written_nack_is_read_here_and_by_aiortc(sender: int, media: int, sequences: list[int]) -> None:
    data = nack(sender, media, sequences)
    (mine,) = parse(bytearray(data))
    (aiortcs,) = AiortcPacket.parse(data)
    assert isinstance(mine, Nack)
    assert isinstance(aiortcs, RtcpRtpfbPacket)
    assert (mine.sender_ssrc, mine.media_ssrc) == (sender, media)
    assert len(mine.sequences) == len(set(sequences))
    assert set(mine.sequences) == set(sequences) == {sequence & 0xFFFF for sequence in aiortcs.lost}


def test_a_nack_across_the_wrap_takes_one_entry() -> None:
    assert len(nack(1, 2, [3, 65530, 1, 65535])) == 16


def test_a_nack_entry_reaches_sixteen_packets_further() -> None:
    assert len(nack(1, 2, [100, 116])) == 16
    assert len(nack(1, 2, [100, 117])) == 20


@given(UINT32, st.lists(BLOCKS, max_size=31))
def test_a_receiver_report_is_read_here_and_by_aiortc(sender: int, blocks: list[ReportBlock]) -> None:
    data = receiver_report(sender, blocks)
    assert parse(data) == [ReceiverReport(sender, tuple(blocks))]
    assert AiortcPacket.parse(data) == [RtcpRrPacket(ssrc=sender, reports=[theirs(block) for block in blocks])]


# -- leaving out what the relay answered ------------------------------------------------------------------------------


@given(st.lists(PARTS, max_size=6), st.dictionaries(st.integers(1, 3), st.sets(UINT16, max_size=20)))
def test_exactly_the_answered_sequence_numbers_are_gone(parts: list[bytes], answered: dict[int, set[int]]) -> None:
    left = parse(without_nacks(b"".join(parts), answered) or b"")
    expected: list[RtcpPacket] = []
    for packet in parse(b"".join(parts)):
        if not isinstance(packet, Nack):
            expected.append(packet)
            continue
        sequences = [sequence for sequence in packet.sequences if sequence not in answered.get(packet.media_ssrc, ())]
        if sequences:
            expected.append(replace(packet, sequences=tuple(sequences)))
    assert list(map(in_any_order, left)) == list(map(in_any_order, expected))


def test_a_goodbye_leaves_a_compound_and_the_rest_keeps_its_bytes() -> None:
    goodbye = bytes(RtcpByePacket(sources=[1, 2]))
    compound = receiver_report(1) + SDES + goodbye + pli(1, 7)
    assert without_byes(compound) == receiver_report(1) + SDES + pli(1, 7)
    assert without_byes(memoryview(goodbye)) is None
    with pytest.raises(RtcpError):
        without_byes(goodbye[:-1])


@given(st.lists(PARTS, min_size=1, max_size=6))
def test_a_compound_without_answered_nacks_stays_as_it_is(parts: list[bytes]) -> None:
    assert without_nacks(memoryview(b"".join(parts)), {9: {1, 2, 3}}) == b"".join(parts)


def test_other_parts_keep_their_bytes_when_a_nack_shrinks() -> None:
    report, picture_loss = receiver_report(1), pli(1, 7)
    compound = report + SDES + nack(1, 7, [5, 6, 100]) + picture_loss
    assert without_nacks(compound, {7: {5, 6}}) == report + SDES + nack(1, 7, [100]) + picture_loss
    assert without_nacks(compound, {7: {5, 6, 100}}) == report + SDES + picture_loss


def test_nothing_is_left_of_a_nack_that_was_answered_in_full() -> None:
    assert without_nacks(nack(1, 7, [5, 6]), {7: [5, 6]}) is None
