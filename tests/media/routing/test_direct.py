"""What goes in at one party comes out at the other, unchanged, whatever else arrives at the socket."""

import asyncio
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.media.api import TransportClosed, TransportReport, TransportUp
from relay.media.net.mmsg import BUFFER_SIZE
from relay.media.net.udp import MAX_PACKET
from relay.media.quality.statistics import MAX_STREAMS
from relay.media.transport.path import MAX_ADDRESSES
from relay.media.transport.peer_reflexive import MAX_PROBES
from tests.kit.media import IPV4, IPV6, RunningEngine, connectivity_check, rtcp_compound, rtp_packet, still_talk
from tests.kit.wait import eventually
from tests.kit.wires import Path

GCM_TAG = 16
"""Bytes that SRTP_AEAD_AES_128_GCM adds to an RTP packet."""

EVERY_PAIR = pytest.mark.parametrize(("first_host", "second_host"), [(IPV4, IPV4), (IPV6, IPV6), (IPV4, IPV6), (IPV6, IPV4)])


async def until_taken_in(relay: RunningEngine, number: int) -> None:
    """Let the engine read until it has counted that many datagrams. On loopback what was sent is already in its socket."""
    async with asyncio.timeout(20):
        while await relay.taken_in() < number:  # noqa: ASYNC110 - the engine has no event for it
            await asyncio.sleep(0)


# -- the plain case ---------------------------------------------------------------------------------------------------


@EVERY_PAIR
async def test_rtp_crosses_byte_for_byte_both_ways(relay: RunningEngine, first_host: str, second_host: str) -> None:
    first, second = await relay.call(first_host, second_host)
    packets = [rtp_packet(n, csrcs=n % 3, payload=n.to_bytes(4) * 20) for n in range(65_530, 65_540)]
    packets.append(bytes([0xB0]) + rtp_packet(70_000, payload=b"padded\0\0\0\4")[1:])
    for packet in packets:
        first.send_rtp(packet)
    await second.receives(*packets)
    for packet in packets:
        second.send_rtp(packet)
    await first.receives(*packets)


@EVERY_PAIR
async def test_rtcp_crosses_byte_for_byte_both_ways(relay: RunningEngine, first_host: str, second_host: str) -> None:
    first, second = await relay.call(first_host, second_host)
    compounds = [rtcp_compound(packets=n) for n in range(5)]
    for compound in compounds:
        first.send_rtcp(compound)
    await second.receives(*compounds)
    for compound in compounds:
        second.send_rtcp(compound)
    await first.receives(*compounds)


async def test_a_burst_arrives_whole_and_in_order(relay: RunningEngine) -> None:
    first, second = await relay.call()
    burst = [rtp_packet(n, payload=bytes(100)) for n in range(400)]
    for packet in burst:
        first.send_rtp(packet)
    await second.receives(*burst)
    counted = await relay.counted()
    assert counted["packets_received"] == counted["packets_sent"] == 400
    assert counted["bytes_received"] == sum(len(packet) + GCM_TAG for packet in burst)


async def test_bursts_that_cross_each_other_and_the_address_families_arrive_whole_and_in_order(relay: RunningEngine) -> None:
    first, second = await relay.call(IPV4, IPV6)
    burst = [rtp_packet(n, payload=bytes(50)) for n in range(200)]
    for packet in burst:
        first.send_rtp(packet)
        second.send_rtp(packet)
    await second.receives(*burst)
    await first.receives(*burst)


async def test_rtp_and_rtcp_of_one_burst_each_keep_their_order(relay: RunningEngine) -> None:
    first, second = await relay.call()
    reports, media = [rtcp_compound(packets=n) for n in range(20)], [rtp_packet(n) for n in range(20)]
    for report, packet in zip(reports, media, strict=True):
        first.send_rtp(packet)
        first.send_rtcp(report)
    await eventually(lambda: len(second.packets) == 40, "40 packets to arrive")
    assert [packet for packet in second.packets if packet[1] < 192] == media
    assert [packet for packet in second.packets if packet[1] >= 192] == reports


async def test_calls_do_not_hear_each_other(relay: RunningEngine) -> None:
    first, second = await relay.call()
    third = await relay.peer("third", router="other")
    fourth = await relay.peer("fourth", router="other")
    await relay.engine.route("other", ("third", "fourth"))
    await relay.connect(third, fourth)
    ours, theirs = [rtp_packet(n, 1) for n in range(50)], [rtp_packet(n, 2) for n in range(50)]
    for one, other in zip(ours, theirs, strict=True):
        first.send_rtp(one)
        third.send_rtp(other)
    await second.receives(*ours)
    await fourth.receives(*theirs)
    assert not first.packets + third.packets
    assert not second.undecryptable + fourth.undecryptable


async def test_the_largest_packet_that_there_is_room_for_crosses(relay: RunningEngine) -> None:
    first, second = await relay.call()
    bare = len(rtp_packet(0, payload=b""))
    packet = rtp_packet(1, payload=random.Random(1).randbytes(MAX_PACKET - GCM_TAG - bare))
    assert len(first.send_rtp(packet)) == MAX_PACKET
    await second.receives(packet)


# -- limits -----------------------------------------------------------------------------------------------------------


async def test_one_stream_too_many_is_dropped_and_counted_while_the_others_go_on(relay: RunningEngine) -> None:
    first, second = await relay.call()
    streams = [rtp_packet(1, ssrc) for ssrc in range(1, MAX_STREAMS + 1)]
    for packet in streams:
        first.send_rtp(packet)
    await second.receives(*streams)

    first.send_rtp(rtp_packet(1, 0xBAD))
    first.send_rtcp(rtcp_compound(0xBAD2))
    await relay.counts("dropped_streams", 2)
    again = [rtp_packet(2, ssrc) for ssrc in range(1, MAX_STREAMS + 1)]
    for packet in again:
        first.send_rtp(packet)
    await second.receives(*again)
    report = rtcp_compound(1)
    first.send_rtcp(report)
    await second.receives(report)


@pytest.mark.parametrize(
    ("length", "counter"),
    [(1, "rtp_malformed"), (11, "rtp_malformed"), (12, "srtp_unauthentic"), (MAX_PACKET, "srtp_unauthentic")]
    + [
        (length, "datagrams_too_long") for length in (MAX_PACKET + 1, BUFFER_SIZE - 1, BUFFER_SIZE, BUFFER_SIZE + 1, 9000, 65_507)
    ],
)
@pytest.mark.parametrize("second_byte", [96, 200])
async def test_srtp_of_an_odd_length_is_dropped_and_counted(
    relay: RunningEngine, length: int, counter: str, second_byte: int
) -> None:
    first, second = await relay.call()
    first.path.send(bytes([0x80, second_byte]).ljust(length, b"\0")[:length])
    await relay.counts(counter)
    await still_talk(first, second)


@pytest.mark.parametrize("first_byte", [0, 1, 20, 63])
async def test_a_datagram_of_any_kind_that_is_too_long_is_dropped_and_counted(relay: RunningEngine, first_byte: int) -> None:
    first, second = await relay.call()
    first.path.send(bytes([first_byte]).ljust(9000, b"\1"))
    await relay.counts("datagrams_too_long")
    await still_talk(first, second)


@pytest.mark.parametrize("first_byte", [4, 19, 64, 127, 192, 255])
async def test_a_datagram_of_no_known_class_is_dropped_and_counted(relay: RunningEngine, first_byte: int) -> None:
    first, second = await relay.call()
    first.path.send(bytes([first_byte]) * 50)
    await relay.counts("unknown_class")
    await still_talk(first, second)


async def test_an_authentic_packet_with_nonsense_inside_disturbs_no_call(relay: RunningEngine) -> None:
    """It is the other party's to judge. libsrtp lets through what its keys fit."""
    rng = random.Random(7)
    first, second = await relay.call()
    before = await relay.taken_in()
    total = 600
    for n in range(0, total, 2):
        body = rng.randbytes(4 * rng.randrange(1, 16))
        flags, payload_type = 0x80 | rng.choice([0, 0x20]), rng.choice([96, 98, 111, 5])
        first.send_rtp(struct.pack("!BBHII", flags, payload_type, n, rng.getrandbits(32), 9) + body)
        flags, kind = 0x80 | rng.randrange(32), rng.choice([200, 201, 203, 205, 206, 207])
        length = rng.choice([1 + len(body) // 4] * 3 + [0, 0xFFFF])
        first.send_rtcp(struct.pack("!BBHI", flags, kind, length, 9) + body)
        if n % 40 == 0:
            await until_taken_in(relay, before + n)
    await until_taken_in(relay, before + total)
    counted = await relay.counted()
    assert counted["packets_received"] == total
    assert total / 10 < counted["rtcp_malformed"] < total / 2, "some can be read and some cannot"
    last = rtp_packet(1, 0xFFFF)
    first.send_rtp(last)
    await eventually(lambda: last in second.packets, "the connection to go on")


async def test_an_empty_datagram_is_dropped_and_counted(relay: RunningEngine) -> None:
    first, second = await relay.call()
    for _ in range(3):  # the buffers still hold what came before
        first.path.send(b"")
    await relay.counts("unknown_class", 3)
    await still_talk(first, second)


# -- roaming, seen from outside ---------------------------------------------------------------------------------------


@EVERY_PAIR
async def test_a_nominating_check_from_a_new_address_moves_the_media_there_at_once(
    relay: RunningEngine, first_host: str, second_host: str
) -> None:
    first, second = await relay.call(first_host, second_host)
    new = second.another_path()
    await second.check(new)
    packet = rtp_packet(1)
    first.send_rtp(packet)
    await second.receives(packet)
    assert [one for one in new.received if one[0] > 127], "it came by the new path"
    second.path = new
    await still_talk(first, second)


async def test_a_check_that_does_not_nominate_leaves_the_media_where_it_is_while_the_old_address_talks(
    relay: RunningEngine,
) -> None:
    first, second = await relay.call()
    new = second.another_path()
    second.send_rtp(rtp_packet(1))
    await second.check(new, nominates=False)
    await first.receives(rtp_packet(1))
    await still_talk(first, second)
    assert not [one for one in new.received if one[0] > 127], "nothing came by the new path"


async def test_media_follows_checks_that_never_nominate_when_the_old_address_is_silent(relay: RunningEngine) -> None:
    """Firefox after a change of network: checks and media from the new address, nothing from the old one, no USE-CANDIDATE."""
    first, second = await relay.call()
    second.path = new = second.another_path()
    async with asyncio.timeout(10):
        number = 0
        while not [one for one in new.received if one[0] > 127]:
            number += 1
            await second.check(nominates=False)
            second.send_rtp(rtp_packet(number))
            first.send_rtp(rtp_packet(number))
            await asyncio.sleep(0.02)  # a browser's pace


async def test_packets_of_a_batch_go_where_the_party_was_when_each_of_them_came(relay: RunningEngine) -> None:
    """Addresses are handed to the kernel as pointers when the batch is over: what they point to must live that long, though the
    party has used up its addresses meanwhile."""
    first, second = await relay.call()
    home, transport = second.path, relay.engine._transports["second"]
    for path in [*(second.another_path() for _ in range(MAX_ADDRESSES - 1)), home]:
        second.path = path
        await second.check()
        await eventually(lambda: transport.destination.host_port == second.path.address, "the relay follows")
    assert len(transport.path.addresses) == MAX_ADDRESSES
    selected = transport.destination
    second.answers_checks = False
    second.checks.clear()
    paths = [second.another_path() for _ in range(MAX_PROBES)]
    for path in paths:
        path.send(bytes(connectivity_check(second.relay)))
    await eventually(lambda: {path for path, _ in second.checks} == set(paths), "each is asked")
    asked = dict(second.checks)
    first.send_rtp(rtp_packet(0))
    for n, path in enumerate(paths, 1):
        path.send(second.answer_check(asked[path]))
        first.send_rtp(rtp_packet(n))

    def arrived() -> list[int]:
        return [len([one for one in path.received if one[0] > 127]) for path in (home, *paths)]

    await eventually(lambda: sum(arrived()) == len(paths) + 1, lambda: f"all packets to arrive, but {arrived()}", within=5)
    assert arrived() == [1] * (len(paths) + 1)
    assert not any(one.name == selected.name for one in relay.engine._listening.sockets[0].routes.values()), (
        "it was forgotten in that batch"
    )


# -- hostile ----------------------------------------------------------------------------------------------------------

NOT_A_CHECK = st.binary(max_size=200)
LOOKS_LIKE = st.tuples(
    st.sampled_from(
        [b"\0\1\0\x08\x21\x12\xa4\x42", b"\1\1", b"\x16\xfe\xfd\0\0", b"\x15\xfe\xfd\0\0", b"\x17\xfe\xfd\0\1", b"\x80\x60"]
    )
    | st.sampled_from([b"\x9f\x60", b"\x80\xc8", b"\x81\xce\0\2", b"\xbf\xe0"]),
    st.binary(max_size=1500),
).map(b"".join)


def test_any_datagram_from_any_address_is_counted_once_and_disturbs_no_call() -> None:
    with asyncio.Runner() as runner:
        context = RunningEngine.started()
        relay = runner.run(context.__aenter__())
        first, second = runner.run(relay.call())

        async def stranger() -> Path:
            return second.another_path()

        elsewhere = runner.run(stranger())

        async def survive(datagrams: list[bytes], path: Path) -> None:
            before = await relay.taken_in()
            for datagram in datagrams:
                path.send(datagram)
            handed_on = 0 if path is elsewhere else sum(1 for one in datagrams if one and 20 <= one[0] <= 63)
            await until_taken_in(relay, before + len(datagrams) - handed_on)
            await still_talk(first, second)
            assert await relay.taken_in() == before + len(datagrams) - handed_on + 2, "2: the packets of still_talk"

        @settings(max_examples=60, deadline=None)
        @given(st.lists(NOT_A_CHECK | LOOKS_LIKE, max_size=30), st.booleans())
        def feed(datagrams: list[bytes], known: bool) -> None:
            runner.run(survive(datagrams, first.path if known else elsewhere))

        try:
            feed()
            happened = [type(event) for event in relay.events if not isinstance(event, TransportReport)]
            assert happened == [TransportUp, TransportUp]
        finally:
            runner.run(context.__aexit__(None, None, None))


def mutated(rng: random.Random, original: bytes) -> bytes:
    """Some bytes changed, cut off, doubled or put in between so that it is not authentic any more."""
    while True:
        spoiled = bytearray(original)
        for _ in range(rng.randint(1, 4)):
            position = rng.randrange(len(spoiled) + 1)
            match rng.randrange(4):
                case 0:
                    spoiled[position : position + 1] = rng.randbytes(1)
                case 1:
                    del spoiled[position:]
                case 2:
                    spoiled[position:position] = spoiled[position : position + 8]
                case _:
                    spoiled[position : position + 2] = rng.choice([b"\0\0", b"\xff\xff", b"\x7f\xff", b"\x80\0"])
        # Changes in the last 8 bytes, the FINGERPRINT, can leave a check authentic.
        if spoiled[:-8] != original[:-8] and spoiled[: len(original) - 8] != original[:-8]:
            return bytes(spoiled)


@pytest.mark.long
async def test_a_hundred_thousand_hostile_datagrams_disturb_no_call_and_are_each_counted_once(relay: RunningEngine) -> None:
    rng = random.Random(2026)
    first, second = await relay.call()
    stranger, third = second.another_path(), await relay.peer("third", router="other")
    await third.check()
    sources = [first.path, stranger, third.path]
    originals = [
        bytes(connectivity_check(first.relay)),
        bytes(connectivity_check(third.relay, controlled=True)),
        bytes(connectivity_check(first.relay, signed=False)),
        first.encrypted(rtp_packet(1, 0xCCCC, payload=bytes(100))),
        first.encrypted(rtcp_compound(0xCCCC), rtcp=True),
        *[one for one in first.path.received if 20 <= one[0] <= 63][:2],
        b"\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\x0c" + bytes(12),
        b"\x15\xfe\xfd\0\1\0\0\0\0\0\x01\0\2\2\x28",
    ]
    seen = await relay.taken_in()
    queued = 0
    total, chunk = 100_000, 250
    for begin in range(0, total, chunk):
        for _ in range(chunk):
            source = rng.choice(sources)
            datagram = mutated(rng, rng.choice(originals)) if rng.random() < 0.6 else rng.randbytes(rng.randrange(80))
            source.send(datagram)
            queued += source is not stranger and len(datagram) > 0 and 20 <= datagram[0] <= 63
        await until_taken_in(relay, seen + begin + chunk - queued)
        if begin % 10_000 == 0:
            await still_talk(first, second)
            seen += 2
    await still_talk(first, second)
    assert await relay.taken_in() == seen + total - queued + 2, "2: the packets of still_talk"
    assert not [event for event in relay.events if isinstance(event, TransportClosed)]
    counted = await relay.counted()
    assert queued < total / 4, "what is handed on to DTLS is not counted"
    assert "dropped_kernel" not in counted
    for name in ("stun_malformed", "stun_unauthentic", "srtp_unauthentic", "srtp_early", "rtp_malformed", "unknown_class"):
        assert counted[name] > 100, f"the datagrams were not hostile enough: {name}"
