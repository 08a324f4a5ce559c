"""The loopback between the edge and the workers."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from relay.edge.counters import EdgeCounters
from relay.edge.tunnel import Tunnel
from relay.media.transport.ice import reflexive
from tests.kit.wait import eventually


@pytest.fixture
async def tunnel() -> AsyncIterator[Tunnel]:
    made = Tunnel(EdgeCounters())
    made.start()
    yield made
    made.close()


@pytest.fixture
def worker() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.settimeout(20)
        yield one


def counters(tunnel: Tunnel) -> EdgeCounters:
    return tunnel._counters


async def test_each_stream_is_another_peer_and_gets_what_is_sent_to_it(tunnel: Tunnel, worker: socket.socket) -> None:
    heard: dict[int, list[bytes]] = {0: [], 1: []}
    streams = [tunnel.open(worker.getsockname()[1], heard[number].append) for number in heard]
    for number, stream in enumerate(streams):
        tunnel.send(stream, b"from %d" % number)
    seen = [worker.recvfrom(100) for _ in streams]
    assert [data for data, _ in seen] == [b"from 0", b"from 1"]
    assert len({source for _, source in seen}) == 2
    assert all(source[0].startswith("127.64.") for _, source in seen)
    for data, source in reversed(seen):
        worker.sendto(b"answer to " + data, source)
    await eventually(lambda: all(heard.values()), "both streams hear their answers")
    assert heard == {0: [b"answer to from 0"], 1: [b"answer to from 1"]}


async def test_only_the_streams_own_worker_is_heard(tunnel: Tunnel, worker: socket.socket) -> None:
    heard: list[bytes] = []
    stream = tunnel.open(worker.getsockname()[1], heard.append)
    tunnel.send(stream, b"hello")
    _, peer = worker.recvfrom(100)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.sendto(b"from a stranger", peer)
    worker.sendto(b"to another address", ("127.99.0.1", peer[1]))
    worker.sendto(b"good", peer)
    await eventually(lambda: heard, "the worker is heard")
    assert heard == [b"good"]
    assert counters(tunnel)["tunnel_foreign"] == 2


async def test_a_stream_that_is_shut_hears_nothing_more(tunnel: Tunnel, worker: socket.socket) -> None:
    stream = tunnel.open(worker.getsockname()[1], lambda _: pytest.fail("it is shut"))
    tunnel.send(stream, b"hello")
    _, peer = worker.recvfrom(100)
    tunnel.shut(stream)
    tunnel.shut(stream)
    assert len(tunnel) == 0
    worker.sendto(b"late", peer)
    await eventually(lambda: counters(tunnel)["tunnel_foreign"] == 1, "what is late is counted")


async def test_addresses_are_taken_in_turn_and_none_twice() -> None:
    tunnel = Tunnel(EdgeCounters(), size=5)
    first, second = tunnel.open(1, lambda _: None), tunnel.open(1, lambda _: None)
    tunnel.shut(first)
    others = [tunnel.open(1, lambda _: None) for _ in range(3)]
    found = [one.local for one in (second, *others)]
    assert len(set(found)) == 4
    assert found[-1] == first.local, "an address is only used again when all others have been"
    tunnel.close()


@pytest.mark.parametrize("allocation_id", [1, 2, (1 << 21) - 1, 1 << 21, (1 << 21) + 1, 1 << 40])
async def test_media_sees_an_allocations_first_stream_at_the_address_that_the_allocation_is_told(
    tunnel: Tunnel, worker: socket.socket, allocation_id: int
) -> None:
    stream = tunnel.open(worker.getsockname()[1], lambda _: None, allocation_id=allocation_id)
    tunnel.send(stream, b"hello")
    _, source = worker.recvfrom(100)
    assert reflexive(source) == tunnel.relayed(allocation_id)
    assert source[1] % 2 == 0, "clients may ask for an even port"


async def test_an_address_belongs_to_one_allocation_at_a_time(tunnel: Tunnel) -> None:
    """Two allocation numbers can map to one address; the second allocation gets another address."""
    first, second = (tunnel.open(1, lambda _: None, allocation_id=number) for number in (7, 7 + (1 << 21)))
    unallocated = tunnel.open(1, lambda _: None)
    assert len({one.local for one in (first, second, unallocated)}) == len(tunnel) == 3
    tunnel.shut(first)
    assert tunnel.open(1, lambda _: None, allocation_id=7).local == first.local


async def test_nothing_from_another_interface_reaches_it(tunnel: Tunnel) -> None:
    """The socket is bound to the loopback device where the kernel allows it; here it does."""
    bound = tunnel._socket._socket.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
    assert bound.rstrip(b"\0") == b"lo"


async def test_sending_to_a_worker_that_is_gone_raises_nothing(tunnel: Tunnel) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]
    stream = tunnel.open(port, lambda _: None)
    for _ in range(5):
        tunnel.send(stream, b"hello?")
        await asyncio.sleep(0)
    assert counters(tunnel)["stream_packets_received"] + counters(tunnel)["tunnel_dropped"] == 5
