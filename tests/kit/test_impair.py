"""The impaired path treats real datagrams as the simulated network says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.kit.impair import Address, Bottleneck, ImpairedPath
from tests.kit.wait import eventually

HERE = "127.0.0.1"
BURST = 50
"""Datagrams that any socket buffer has room for."""


class Echo(asyncio.DatagramProtocol):
    """Sends everything back, and notes from where it came."""

    def __init__(self) -> None:
        self.received: list[tuple[int, Address]] = []

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport
        self.address: Address = transport.get_extra_info("sockname")

    def datagram_received(self, data: bytes, source: Address) -> None:
        self.received.append((int.from_bytes(data), source))
        self._transport.sendto(data, source)


class Client(asyncio.DatagramProtocol):
    """Sends numbers, and notes which came back and when."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.times: list[float] = []

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, source: Address) -> None:
        self.received.append(int.from_bytes(data))
        self.times.append(asyncio.get_running_loop().time())

    def send(self, number: int) -> None:
        self._transport.sendto(number.to_bytes(4))


@contextlib.asynccontextmanager
async def bound(**where: Any) -> AsyncIterator[Any]:
    """An `Echo` (`local_addr`) or a `Client` (`remote_addr`)."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(Echo if "local_addr" in where else Client, **where)
    try:
        yield protocol
    finally:
        transport.close()


async def echoed(packets: int, seed: int, **impairment: Any) -> tuple[list[int], list[int]]:
    """Send the numbers from 1 on: those that reached an echoing server through a path, and those that came back."""
    async with (
        bound(local_addr=(HERE, 0)) as server,
        ImpairedPath.to(server.address, seed, **impairment) as path,
        bound(remote_addr=path.address) as client,
    ):

        def nothing_on_its_way() -> bool:
            returned = path.taken == sent + len(server.received)
            return returned and path.delivered == len(server.received) + len(client.received)

        for sent in range(1, packets + 1):
            client.send(sent)
            if sent % BURST == 0:
                await eventually(nothing_on_its_way, "all of the burst is lost or back")
        return [number for number, _ in server.received], client.received


async def test_without_impairment_everything_arrives_in_order() -> None:
    assert await echoed(200, 1) == (list(range(1, 201)), list(range(1, 201)))


async def test_the_same_seed_loses_the_same_datagrams() -> None:
    once, again, otherwise = [await echoed(200, seed, loss=0.2) for seed in (1, 1, 2)]
    assert once == again
    assert once != otherwise


async def test_the_share_told_is_lost_in_each_direction() -> None:
    there, back = await echoed(2000, 1, loss=0.2)
    assert len(there) == pytest.approx(2000 * 0.8, rel=0.05)
    assert len(back) == pytest.approx(len(there) * 0.8, rel=0.05)


async def test_delayed_datagrams_keep_their_order_and_come_no_sooner_than_told() -> None:
    async with (
        bound(local_addr=(HERE, 0)) as server,
        ImpairedPath.to(server.address, 1, delay=0.03, jitter=0.02) as path,
        bound(remote_addr=path.address) as client,
    ):
        sent = []
        for number in range(50):
            sent.append(asyncio.get_running_loop().time())
            client.send(number)
            await asyncio.sleep(0.001)
        await eventually(lambda: len(client.received) == 50, "everything came back")
        assert client.received == list(range(50))
        assert all(back - out > 0.0599 for out, back in zip(sent, client.times, strict=True))


def test_a_bottleneck_lets_datagrams_out_one_after_the_other() -> None:
    link = Bottleneck(rate=8000, queue=1.0)
    assert [link.leaves(100, now=5.0) for _ in range(3)] == pytest.approx([5.1, 5.2, 5.3])
    assert link.leaves(500, now=7.0) == pytest.approx(7.5), "it was idle meanwhile"


def test_a_bottleneck_drops_packets_that_would_wait_too_long() -> None:
    link = Bottleneck(rate=8000, queue=0.25)
    assert [link.leaves(100, now=0.0) for _ in range(5)] == [
        pytest.approx(0.1),
        pytest.approx(0.2),
        pytest.approx(0.3),
        None,
        None,
    ]
    assert link.leaves(100, now=0.1) == pytest.approx(0.4), "there is room again"


async def test_a_narrow_path_delays_packets_and_drops_those_beyond_its_queue() -> None:
    async with (
        bound(local_addr=(HERE, 0)) as server,
        ImpairedPath.to(server.address, 1, rate=4 * 8 * 100, queue=0.1) as path,
        bound(remote_addr=path.address) as client,
    ):
        began = asyncio.get_running_loop().time()
        for number in range(BURST):
            client.send(number)
        await eventually(lambda: path.taken == BURST + len(server.received), "all of the burst is at the path, or beyond")
        await eventually(lambda: len(client.received) == len(server.received) > 1, "what got through is back")
        number = len(client.received)
        assert number < BURST / 2
        assert client.times[-1] - began > (number + 1) * 0.00999, "a hundred a second, there and back"


async def test_clients_that_were_forgotten_come_from_another_port_and_are_answered_there() -> None:
    async with (
        bound(local_addr=(HERE, 0)) as server,
        ImpairedPath.to(server.address, 1) as path,
        bound(remote_addr=path.address) as client,
    ):
        client.send(1)
        await eventually(lambda: client.received == [1], "the client is answered")
        path.forget()
        client.send(2)
        await eventually(lambda: client.received == [1, 2], "and again")
        (_, before), (_, after) = server.received
        assert before != after


async def test_the_server_tells_clients_apart() -> None:
    async with (
        bound(local_addr=(HERE, 0)) as server,
        ImpairedPath.to(server.address, 1) as path,
        bound(remote_addr=path.address) as one,
        bound(remote_addr=path.address) as other,
    ):
        one.send(1)
        other.send(2)
        await eventually(lambda: one.received and other.received, "both are answered")
        assert (one.received, other.received) == ([1], [2])
        sources = {source for _, source in server.received}
        assert len(sources) == 2
        assert path.address not in sources
