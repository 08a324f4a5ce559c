"""SRTP that is not authentic is dropped and counted."""

import struct

import pytest

from relay.media.net.udp import MAX_PACKET
from relay.media.quality.statistics import MAX_STREAMS
from tests.kit.media import RunningEngine, rtcp_compound, rtp_packet, still_talk


@pytest.mark.parametrize("rtcp", [False, True])
async def test_a_replayed_packet_is_dropped_and_counted(relay: RunningEngine, rtcp: bool) -> None:
    first, second = await relay.call()
    packet = rtcp_compound() if rtcp else rtp_packet(1)
    datagram = first.encrypted(packet, rtcp=rtcp)
    for _ in range(3):
        first.path.send(datagram)
    await relay.counts("srtp_replayed", 2)
    await second.receives(packet)
    await relay.counts("packets_received", 1)


async def test_a_packet_older_than_the_replay_window_counts_as_replayed(relay: RunningEngine) -> None:
    first, second = await relay.call()
    old = first.encrypted(rtp_packet(1))
    new = [rtp_packet(1 + 100 * n) for n in range(1, 40)]
    for packet in new:
        first.send_rtp(packet)
    first.path.send(old)
    await relay.counts("srtp_replayed")
    await second.receives(*new)


@pytest.mark.parametrize("rtcp", [False, True])
async def test_a_tampered_packet_is_dropped_and_counted_wherever_it_was_tampered_with(relay: RunningEngine, rtcp: bool) -> None:
    first, second = await relay.call()
    packet = rtcp_compound() if rtcp else rtp_packet(1, payload=b"p")
    datagram = first.encrypted(packet, rtcp=rtcp)
    forged = 0
    for position in range(2, len(datagram)):
        spoiled = bytearray(datagram)
        spoiled[position] ^= 0x01
        first.path.send(bytes(spoiled))
        forged += 1
    await relay.counts("srtp_unauthentic", forged)
    first.path.send(datagram)  # what it forged did not use up its place in the replay window
    await second.receives(packet)
    await relay.counts("packets_received", 1)


async def test_forged_streams_do_not_use_up_the_streams_that_a_peer_may_have(relay: RunningEngine) -> None:
    first, second = await relay.call()
    for ssrc in range(1, 2 * MAX_STREAMS):
        first.path.send(rtp_packet(1, ssrc, payload=bytes(40)))
        first.path.send(rtcp_compound(ssrc) + bytes(20))
    await relay.counts("srtp_unauthentic", 2 * (2 * MAX_STREAMS - 1))
    await still_talk(first, second)


async def test_srtp_from_an_address_that_was_never_checked_is_dropped_and_counted(relay: RunningEngine) -> None:
    first, second = await relay.call()
    elsewhere = first.another_path()
    elsewhere.send(first.encrypted(rtp_packet(1)))
    elsewhere.send(first.encrypted(rtcp_compound(), rtcp=True))
    await relay.counts("unknown_address", 2)
    await still_talk(first, second)


async def test_srtp_of_one_peer_from_the_address_of_another_is_not_taken(relay: RunningEngine) -> None:
    first, second = await relay.call()
    second.path.send(first.encrypted(rtp_packet(1)))
    await relay.counts("srtp_unauthentic")
    await still_talk(first, second)


@pytest.mark.parametrize("header", [0x8F, 0x9F, 0x90, 0xBF, 0xA0], ids=hex)
@pytest.mark.parametrize("second_byte", [96, 200])
async def test_header_fields_that_point_beyond_the_packet_do_no_harm(relay: RunningEngine, header: int, second_byte: int) -> None:
    """CSRC counts and extension lengths are read before the packet is known to be authentic."""
    first, second = await relay.call()
    before = await relay.taken_in()
    lengths = [*range(12, 40), 60, 100, 1200, MAX_PACKET]
    for length in lengths:
        first.path.send((struct.pack("!BBHII", header, second_byte, 1, 1, 1) + b"\xff" * length)[:length])
    await relay.counts("srtp_unauthentic", len(lengths))
    assert await relay.taken_in() == before + len(lengths)
    await still_talk(first, second)


async def test_srtp_before_the_keys_is_dropped_and_counted(relay: RunningEngine) -> None:
    peer = await relay.peer("first")
    await peer.check()
    peer.path.send(rtp_packet(1, payload=bytes(40)))
    peer.path.send(rtcp_compound() + bytes(20))
    await relay.counts("srtp_early", 2)


async def test_packets_of_a_transport_that_is_not_routed_are_dropped_and_counted(relay: RunningEngine) -> None:
    alone = await relay.peer("first")
    await relay.connect(alone)
    alone.send_rtp(rtp_packet(1))
    alone.send_rtcp(rtcp_compound())
    await relay.counts("dropped_unjoined", 2)
