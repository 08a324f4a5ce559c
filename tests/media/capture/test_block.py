"""The layout of a capture: readable by anything that reads pcapng, whole at each end of a block, cut where it is to be cut."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.media.api import Codec, MediaDescription, Rid
from relay.media.capture.block import (
    BLOCK_SIZE,
    Backlog,
    CaptureBlocks,
    CaptureClock,
    ClosedBlock,
    envelopes,
    media_comment,
    together,
    whole_blocks,
)
from relay.media.capture.capture import FLUSH
from relay.media.capture.captures import LONGEST_ROUND, USUAL_TIMING
from tests.media.capture.reading import Read, read

WALL = 1_800_000_000 * 10**9
START = 1000.0


def begun(limit: int = 1 << 30) -> tuple[CaptureBlocks, Backlog]:
    backlog = Backlog(limit)
    return CaptureBlocks(backlog, CaptureClock(WALL, START), START, "1.2.3"), backlog


def add(blocks: CaptureBlocks, interface: int, packet: bytes, now: float = START) -> None:
    blocks.add(envelopes(interface, "A" if interface == 1 else "B"), packet, now)


def content(taken: list[ClosedBlock]) -> Read:
    return read(b"".join(block.octets for block in taken))


@given(st.lists(st.tuples(st.integers(1, 2), st.binary(min_size=12, max_size=1900)), max_size=150))
def test_packets_are_read_as_they_came(sent: list[tuple[int, bytes]]) -> None:
    blocks, backlog = begun()
    for party in ("A", "B"):
        blocks.add_transport(party, 1, b"{}", START)
    for number, (interface, packet) in enumerate(sent):
        add(blocks, interface, packet, START + number / 1000)
    taken = blocks.take_all()
    found = content(taken)
    assert found.packets == [("AB"[interface - 1], packet) for interface, packet in sent]
    assert found.times[-len(sent) :] == [WALL + number * 1_000_000 for number in range(len(sent))] or not sent
    assert found.headers <= {bytes([10, 0, 0, 1, 10, 0, 0, 2]), bytes([10, 0, 0, 2, 10, 0, 0, 1])}
    assert (found.rest, found.application) == (0, b"call-relay 1.2.3")
    assert backlog.queued == sum(block.length for block in taken)
    assert sum(block.packets for block in taken) == len(sent)
    assert all(block.length <= BLOCK_SIZE for block in taken)


def test_each_block_is_whole_so_that_what_is_written_can_be_read() -> None:
    blocks, _ = begun()
    interface = blocks.add_transport("A", 1, b"{}", START)
    for number in range(500):
        add(blocks, interface, bytes([number % 256]) * (100 + number))
    taken = blocks.take_all()
    assert len(taken) > 2
    for count in range(len(taken) + 1):
        assert content(taken[:count]).rest == 0


def test_blocks_that_came_a_moment_ago_wait_and_older_ones_are_taken() -> None:
    blocks, _ = begun()
    interface = blocks.add_transport("A", 1, b"{}", START)
    add(blocks, interface, b"first packet", START + 1)
    assert blocks.take(START + 1) == [], "it was still being filled"
    add(blocks, interface, b"second packet", START + 2)
    first = blocks.take(START + 1.5)
    assert content(first).of("A") == [b"first packet"]
    assert blocks.take(START + 1.9) == []
    assert [block.packets for block in blocks.take(START + 2)] == [1]


def test_a_cut_leaves_out_what_came_later_and_keeps_the_events() -> None:
    blocks, backlog = begun()
    interface = blocks.add_transport("A", 1, b"{}", START)
    for number in range(300):
        add(blocks, interface, number.to_bytes(12) + bytes(700), START + number / 100)
    blocks.add_event("hold", {"on": True}, START + 2.99)
    assert blocks.cut(START + 1.5) == 149
    taken = blocks.take_all()
    found = content(taken)
    assert [int.from_bytes(packet[:12]) for packet in found.of("A")] == list(range(151))
    assert found.named("hold") == [{"on": True}]
    assert backlog.queued == sum(block.length for block in taken)
    assert sum(block.packets for block in taken) == 151


def test_packets_that_too_much_waits_before_are_left_out_and_their_number_is_noted() -> None:
    blocks, backlog = begun(limit=BLOCK_SIZE)
    interface = blocks.add_transport("A", 1, b"{}", START)
    for number in range(400):
        add(blocks, interface, number.to_bytes(12) + bytes(900))
    blocks.add_event("hold", {"on": True}, START)
    taken = blocks.take_all()
    first = len(content(taken).packets)
    assert content(taken).named("dropped") == [{"packets": 400 - first}]
    assert content(taken).events[-1][0] == "hold", "an event is never left out"
    for number in range(400, 1000):
        add(blocks, interface, number.to_bytes(12) + bytes(900))
    backlog.written = backlog.queued
    for number in range(1000, 1010):
        add(blocks, interface, number.to_bytes(12))
    taken += blocks.take_all()
    got = [int.from_bytes(packet[:12]) for _, packet in content(taken).packets]
    assert got[:first] == list(range(first))
    assert got[-10:] == list(range(1000, 1010))
    assert blocks.dropped == 1010 - len(got) == sum(event["packets"] for event in content(taken).named("dropped"))


@given(st.lists(st.integers(1, 40), max_size=12), st.integers(1, 60))
def test_blocks_that_are_written_together_are_the_same_in_fewer(sizes: list[int], most: int) -> None:
    blocks, _ = begun()
    interface = blocks.add_transport("A", 1, b"{}", START)
    taken = blocks.take_all()
    for size in sizes:
        for number in range(size):
            add(blocks, interface, number.to_bytes(12))
        taken += blocks.take_all()
    joined = list(together(taken, most))
    assert b"".join(one.octets for one in joined) == b"".join(one.octets for one in taken)
    assert [sum(one.packets for one in some) for some in (joined, taken)] == [sum(sizes)] * 2
    assert [sum(one.length for one in some) for some in (joined, taken)] == [sum(len(one.octets) for one in taken)] * 2
    assert all(len(one.parts) <= max(most, 40) for one in joined)
    assert all(len(one.parts) + len(other.parts) > most for one, other in pairwise(joined))


def test_two_captures_of_one_clock_have_each_packet_at_its_time() -> None:
    clock = CaptureClock(WALL, START)
    both = [CaptureBlocks(Backlog(1 << 30), clock, START, "1.2.3") for _ in range(2)]
    for blocks in both:
        add(blocks, blocks.add_transport("A", 1, b"{}", START), b"the first one", START + 1)
    add(both[0], 1, b"in the same batch", START + 1)
    add(both[1], 1, b"in the next batch", START + 2)
    add(both[0], 1, b"in the next batch, too", START + 2)
    times = [content(blocks.take_all()).times for blocks in both]
    seconds = [[(time - WALL) / 1e9 for time in found] for found in times]
    assert seconds == [[1, 1, 2], [1, 2]]


@pytest.mark.parametrize(("adjusted", "same"), [(0.0, True), (0.0005, True), (2.0, False), (-2.0, False)])
def test_a_clock_is_another_ones_once_the_wall_clock_was_adjusted(adjusted: float, same: bool) -> None:
    clock = CaptureClock(WALL, START)
    assert clock.agrees(WALL + round((3600 + adjusted) * 1e9), START + 3600) is same


def test_no_packet_waits_in_memory_for_longer_than_is_promised() -> None:
    assert 2 * USUAL_TIMING.grace + LONGEST_ROUND <= FLUSH <= 0.25


@pytest.mark.parametrize("written", [0, 10, 100, 5000, 30_000])
def test_of_a_block_that_was_not_written_to_its_end_whole_blocks_are_kept(written: int) -> None:
    blocks, _ = begun()
    interface = blocks.add_transport("A", 1, b"{}", START)
    for number in range(40):
        add(blocks, interface, bytes([number]) * 700)
    [block] = blocks.take_all()
    whole, packets = whole_blocks(block, min(written, block.length))
    kept = read(bytes(block.octets[:whole]))
    assert (kept.rest, len(kept.packets)) == (0, packets)
    assert read(bytes(block.octets[: min(written, block.length)])).packets == kept.packets


def test_interfaces_are_named_by_party_and_transport_and_describe_its_media() -> None:
    blocks, _ = begun()
    media = (MediaDescription("1", "video", (Codec(96, "vp8", 90_000),), (7,), {3: "urn:x"}, rids=(Rid("h", "send"),)),)
    for party, leg in (("A", 1), ("B", 1), ("A", 2)):
        blocks.add_transport(party, leg, media_comment(media), START)  # type: ignore[arg-type]
    found = content(blocks.take_all())
    assert [name for name, _ in found.interfaces] == ["events", "A", "B", "A2"]
    [section] = found.interfaces[1][1]["media"]
    assert (section["mid"], section["kind"], section["direction"], section["ssrcs"]) == ("1", "video", "sendrecv", [7])
    assert section["codecs"] == [{"payload_type": 96, "name": "vp8", "clock_rate": 90000, "channels": 1, "parameters": {}}]
    assert (section["extensions"], [rid["id"] for rid in section["rids"]]) == ({"3": "urn:x"}, ["h"])


@pytest.mark.parametrize("size", [1000, 30_000, 200_000])
def test_a_description_of_any_size_fits(size: int) -> None:
    codecs = tuple(Codec(96 + number % 30, "vp8", 90_000, 1, {"x" * 9: "y" * (size // 50)}) for number in range(50))
    media = tuple(
        MediaDescription(str(mid), "video", codecs, tuple(range(100)), dict.fromkeys(range(1, 15), "urn:" + "z" * (size // 14)))
        for mid in range(2)
    )
    comment = media_comment(media)
    assert [section["mid"] for section in json.loads(comment)["media"]] == ["0", "1"]
    blocks, _ = begun()
    blocks.add_transport("A", 1, comment, START)
    assert content(blocks.take_all()).interfaces[1][0] == "A"
