"""Batches of datagrams through one system call each."""

import socket
import sys
from collections.abc import Iterator, Sequence

import pytest

from relay.media.net.mmsg import (
    ADDRESS_QUADS,
    ADDRESS_SIZE,
    BATCH,
    BUFFER_SIZE,
    HEADER_WORDS,
    LENGTH_WORD,
    MAX_SEGMENTS,
    ReceiveRing,
    SendBatch,
    address_of,
    ffi,
    unpack_address,
)

_SO_NO_CHECK = 11
"""Linux: send UDP datagrams without a checksum."""

SMALL = 2 * BATCH


def opened(host: str) -> socket.socket:
    one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    one.setblocking(False)
    one.bind((host, 0))
    return one


@pytest.fixture(params=["127.0.0.1", "::1"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    with opened(request.param) as here, opened(request.param) as there:
        yield here, there


def received(ring: ReceiveRing, slot: int) -> bytes:
    length = ring.lengths[slot * HEADER_WORDS + LENGTH_WORD]
    return ring.bytes[slot * BUFFER_SIZE : slot * BUFFER_SIZE + length].tobytes()


def test_the_views_reach_every_field_at_whole_indices() -> None:
    assert BUFFER_SIZE % 8 == ADDRESS_SIZE % 8 == 0
    assert ffi.sizeof("struct mmsghdr") == HEADER_WORDS * 4
    assert ffi.sizeof("struct mmsghdr") % 8 == ffi.sizeof("struct iovec") % 8 == 0
    assert ADDRESS_QUADS * 8 == ADDRESS_SIZE >= 28


def test_nothing_is_received_where_nothing_was_sent(pair: tuple[socket.socket, socket.socket]) -> None:
    assert ReceiveRing(SMALL).fill(pair[0].fileno())[1] == 0


def test_datagrams_are_received_in_order_with_their_lengths_and_sources(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    ring = ReceiveRing(SMALL)
    datagrams = [b"", b"x", bytes(range(256)) * 7, b"y" * BUFFER_SIZE]
    for datagram in datagrams:
        there.sendto(datagram, here.getsockname())
    slot, count = ring.fill(here.fileno())
    assert (slot, count) == (0, len(datagrams))
    assert [received(ring, i) for i in range(count)] == datagrams
    assert {unpack_address(ring.address(i)) for i in range(count)} == {there.getsockname()[:2]}


def test_a_batch_is_no_longer_than_its_limit_and_the_rest_stays_for_the_next(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    ring = ReceiveRing(SMALL)
    for n in range(BATCH + 3):
        there.sendto(bytes([n]), here.getsockname())
    assert ring.fill(here.fileno()) == (0, BATCH)
    assert ring.fill(here.fileno()) == (BATCH, 3)
    assert [received(ring, BATCH + i) for i in range(3)] == [bytes([BATCH + i]) for i in range(3)]


def test_the_ring_holds_the_last_datagrams_and_says_which_are_gone(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    ring = ReceiveRing(SMALL)
    total = 5 * SMALL + 7
    for n in range(total):
        there.sendto(n.to_bytes(4), here.getsockname())
        assert ring.fill(here.fileno()) == (n % SMALL, 1)
    assert ring.next_serial == total
    assert [ring.read(n, 4) for n in range(total - SMALL, total)] == [n.to_bytes(4) for n in range(total - SMALL, total)]
    assert ring.read(total - SMALL - 1, 4) is None
    assert ring.read(0, 4) is None


def test_a_batch_never_reaches_over_the_end_of_the_ring(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    ring = ReceiveRing(SMALL)
    there.sendto(b"first", here.getsockname())
    ring.fill(here.fileno())
    for n in range(SMALL):
        there.sendto(bytes([n]), here.getsockname())
    assert [ring.fill(here.fileno()) for _ in range(4)] == [(1, BATCH), (BATCH + 1, BATCH - 1), (0, 1), (1, 0)]
    assert received(ring, 0) == bytes([SMALL - 1])


def test_a_slot_says_where_its_datagram_is_in_each_round(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    ring = ReceiveRing(SMALL)
    assert not ring.slots, "those that were never filled need not be laid out"
    for n in range(2 * SMALL + 3):
        there.sendto(n.to_bytes(4), here.getsockname())
        slot, _ = ring.fill(here.fileno())
        start, pointer, address, length_at, source_at = ring.slots[slot]
        assert bytes(ring.bytes[start : start + 4]) == bytes(ffi.buffer(pointer, 4)) == n.to_bytes(4)
        assert address == address_of(pointer)
        assert ring.lengths[length_at] == 4
        assert unpack_address(ring.addresses[source_at : source_at + ADDRESS_QUADS].tobytes()) == there.getsockname()[:2]
    assert len(ring.slots) == SMALL


class Place:
    """Where a datagram goes: a `Destination`."""

    def __init__(self, port: int) -> None:
        raw = socket.AF_INET.to_bytes(2, "little") + port.to_bytes(2, "big") + socket.inet_aton("127.0.0.1") + bytes(8)
        self._memory = ffi.new("unsigned char[]", raw)
        self.name = address_of(self._memory)


def place_of(there: socket.socket) -> Place:
    return Place(there.getsockname()[1])


def send(batch: SendBatch, datagrams: Sequence[tuple[bytes, Place]]) -> int:
    """How many were refused."""
    contents = [ffi.new("unsigned char[]", datagram) for datagram, _ in datagrams]
    return batch.send(
        [(address_of(content), len(datagram), place) for content, (datagram, place) in zip(contents, datagrams, strict=True)]
    )


def batch_of(here: socket.socket) -> SendBatch:
    return SendBatch(here.fileno(), 16)


def test_datagrams_are_sent_in_order_to_where_each_is_to_go() -> None:
    with opened("127.0.0.1") as here, opened("127.0.0.1") as one, opened("127.0.0.1") as other:
        batch, places = batch_of(here), [place_of(one), place_of(other)]
        for _ in range(2):
            assert send(batch, [(bytes([n]) * n, places[n % 2]) for n in range(BATCH)]) == 0
            for parity, there in enumerate((one, other)):
                assert [there.recv(100) for _ in range(BATCH // 2)] == [bytes([n]) * n for n in range(parity, BATCH, 2)]


def test_neighbours_of_one_size_that_leave_as_one_message_arrive_as_they_are() -> None:
    """Runs of every length, past what one message may hold, between datagrams of other sizes and to another place."""
    with opened("127.0.0.1") as here, opened("127.0.0.1") as one, opened("127.0.0.1") as other:
        batch, place, elsewhere = batch_of(here), place_of(one), place_of(other)
        for run in (1, 2, 7, MAX_SEGMENTS - 1, MAX_SEGMENTS, MAX_SEGMENTS + 1, BATCH - 3):
            datagrams = [(b"a" * 50, place), *((bytes([n]) * 1100, place) for n in range(run)), (b"z" * 1099, place)]
            assert send(batch, [*datagrams, (b"elsewhere", elsewhere)]) == 0
            assert [one.recv(2000) for _ in datagrams] == [datagram for datagram, _ in datagrams]
            assert other.recv(100) == b"elsewhere"
        assert batch.segments == (sys.platform == "linux")


def test_where_the_kernel_cannot_cut_datagrams_leave_one_by_one() -> None:
    with opened("127.0.0.1") as here, opened("127.0.0.1") as there:
        here.setsockopt(socket.SOL_SOCKET, _SO_NO_CHECK, 1)  # the kernel cuts only what has one
        batch, place = batch_of(here), place_of(there)
        assert send(batch, [(bytes([n]) * 1100, place) for n in range(5)]) == 0
        assert [there.recv(2000)[0] for _ in range(5)] == [0, 1, 2, 3, 4]
        assert not batch.segments
        assert send(batch, [(bytes([n]) * 1100, place) for n in range(5)]) == 0
        assert [there.recv(2000)[0] for _ in range(5)] == [0, 1, 2, 3, 4]


def test_a_datagram_that_cannot_be_sent_is_counted_and_does_not_stop_the_others() -> None:
    with opened("127.0.0.1") as here, opened("127.0.0.1") as there:
        good, nowhere = place_of(there), Place(0)
        datagrams = [(bytes([n]) * (n + 1), nowhere if n in (0, 3, 4, 9) else good) for n in range(10)]
        assert send(batch_of(here), datagrams) == 4
        assert [there.recv(100)[0] for _ in range(6)] == [1, 2, 5, 6, 7, 8]


def test_what_a_closed_socket_does_not_take_is_counted() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        batch = batch_of(closed)
    assert send(batch, [(b"x", Place(9))] * 5) == 5


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "192.0.2.7"), (socket.AF_INET6, "2001:db8::7")])
def test_addresses_are_read_as_the_kernel_writes_them(family: socket.AddressFamily, host: str) -> None:
    packed = socket.inet_pton(family, host)
    flow = b"" if family is socket.AF_INET else bytes(4)
    raw = family.to_bytes(2, "little") + (4711).to_bytes(2, "big") + flow + packed
    assert unpack_address(raw.ljust(ADDRESS_SIZE, b"\0")) == (host, 4711)
