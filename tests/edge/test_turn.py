"""TURN over UDP, TCP and TLS, through to a real media engine, with aioice's client."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from aioice import stun
from aioice.turn import TurnTransport, create_turn_endpoint

from relay.media.api import TransportParameters
from tests.edge.kit import HERE, RunningEdge, limited, trusting
from tests.edge.packets import rtp
from tests.kit.media import connectivity_check
from tests.kit.wait import eventually

WAYS = pytest.mark.parametrize("way", ["udp", "tcp", "tls"])


class Heard(asyncio.DatagramProtocol):
    """What came out of an allocation."""

    def __init__(self) -> None:
        self.datagrams: list[tuple[bytes, tuple[str, int]]] = []

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.datagrams.append((data, addr))


def server_of(edge: RunningEdge, way: str) -> tuple[str, int]:
    return HERE, edge.edge._turn_ports[0].port if way == "udp" else edge.edge.port


@contextlib.asynccontextmanager
async def allocation(edge: RunningEdge, way: str) -> AsyncIterator[tuple[TurnTransport, Heard]]:
    username, password = edge.credentials()
    transport, heard = await create_turn_endpoint(
        Heard,
        server_addr=server_of(edge, way),
        username=username,
        password=password,
        ssl=trusting() if way == "tls" else False,
        transport="udp" if way == "udp" else "tcp",
    )
    assert isinstance(transport, TurnTransport)
    try:
        yield transport, heard
    finally:
        transport.close()
        await eventually(lambda: edge.edge.turn_counters["allocations_closed"], "the allocation is gone")


def media_address(relay: TransportParameters) -> tuple[str, int]:
    return relay.candidates[0].address, relay.candidates[0].port


@WAYS
async def test_a_check_through_turn_is_answered_from_the_address_that_it_was_for(secure: RunningEdge, way: str) -> None:
    relay = await secure.transport()
    request = connectivity_check(relay)
    async with allocation(secure, way) as (transport, heard):
        transport.sendto(bytes(request), media_address(relay))
        await eventually(lambda: heard.datagrams, "the check is answered")
        [(datagram, source)] = heard.datagrams
        answer = stun.parse_message(datagram)
        assert (answer.transaction_id, answer.message_class) == (request.transaction_id, stun.Class.RESPONSE)
        assert source == media_address(relay)
    await eventually(lambda: len(secure.edge._tunnel or ()) == 0, "the allocation's stream is shut")


@WAYS
async def test_an_allocation_is_told_the_address_that_media_sees_it_at(secure: RunningEdge, way: str) -> None:
    """To Chromium another one would be a peer-reflexive candidate, which it prefers to UDP from behind a NAT."""
    relay = await secure.transport()
    async with allocation(secure, way) as (transport, heard):
        transport.sendto(bytes(connectivity_check(relay)), media_address(relay))
        await eventually(lambda: heard.datagrams, "the check is answered")
        answer = stun.parse_message(heard.datagrams[0][0])
        assert answer.attributes["XOR-MAPPED-ADDRESS"] == transport.get_extra_info("sockname")


async def test_another_peer_of_an_allocation_is_told_another_address() -> None:
    """As where media has two IPv4 addresses: from one, it would not show which of both an answer is from."""
    async with RunningEdge.started(addresses=(HERE, "192.0.2.1")) as edge:
        relay = await edge.transport()
        _, port = media_address(relay)
        async with allocation(edge, "tcp") as (transport, heard):
            for host in (HERE, "192.0.2.1"):
                transport.sendto(bytes(connectivity_check(relay)), (host, port))
            await eventually(lambda: len(heard.datagrams) == 2, "both checks are answered")
            told = {source: stun.parse_message(data).attributes["XOR-MAPPED-ADDRESS"] for data, source in heard.datagrams}
            own = transport.get_extra_info("sockname")
            assert [told[host, port] == own for host in (HERE, "192.0.2.1")] == [True, False]


class Addresses:
    """A machine's, that come and go."""

    def __init__(self) -> None:
        self.current: tuple[str, ...] = ()

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass


async def test_an_allocation_reaches_media_at_an_address_that_comes_later(no_errors_logged: None) -> None:
    local = Addresses()
    async with RunningEdge.started(local=local) as edge:
        relay = await edge.transport()
        _, port = media_address(relay)
        async with allocation(edge, "tcp") as (transport, heard):
            transport.sendto(bytes(connectivity_check(relay)), ("127.0.0.7", port))
            await eventually(lambda: edge.edge.turn_counters["peers_refused"], "the address is not media's")
            local.current = ("127.0.0.7",)
        async with allocation(edge, "tcp") as (transport, heard):
            transport.sendto(bytes(connectivity_check(relay)), ("127.0.0.7", port))
            await eventually(lambda: heard.datagrams, "the check is answered")
            assert heard.datagrams[0][1] == ("127.0.0.7", port)


async def test_no_socket_has_an_allocations_address(edge: RunningEdge) -> None:
    async with allocation(edge, "tcp") as (transport, _):
        host, _ = transport.get_extra_info("sockname")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, pytest.raises(OSError, match="Cannot assign"):
            one.bind((host, 0))


async def test_only_the_media_plane_is_reached_however_many_peers_are_permitted(edge: RunningEdge) -> None:
    relay = await edge.transport()
    host, port = media_address(relay)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as victim:
        victim.bind((HERE, 0))
        victim.setblocking(False)
        strangers = [victim.getsockname(), (host, port + 1), ("192.0.2.1", port), ("127.64.0.1", port), (host, edge.edge.port)]
        async with allocation(edge, "tcp") as (transport, _):
            inner = transport._TurnTransport__inner_protocol  # type: ignore[attr-defined]
            for number, stranger in enumerate(strangers):
                with pytest.raises(stun.TransactionFailed) as refused:
                    await inner.channel_bind(0x4000 + number, stranger)
                assert refused.value.response.attributes["ERROR-CODE"][0] == 403
        with pytest.raises(BlockingIOError):
            victim.recv(100)
    assert edge.edge.turn_counters["peers_refused"] == len(strangers)


async def test_a_worker_that_is_gone_gets_nothing_more(edge: RunningEdge) -> None:
    relay = await edge.transport()
    async with allocation(edge, "tcp") as (transport, heard):
        transport.sendto(bytes(connectivity_check(relay)), media_address(relay))
        await eventually(lambda: heard.datagrams, "the check is answered")
        before = edge.counters["stream_packets_received"]
        edge.workers_are_gone = True
        transport.sendto(bytes(connectivity_check(relay)), media_address(relay))
        await eventually(lambda: edge.edge.turn_counters["dropped_foreign"] > 0, "it is dropped")
        assert edge.counters["stream_packets_received"] == before


@pytest.mark.parametrize(
    "garbage", [b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12) + b"\xff" * 30, b"\x00\x01\x00\x03\x21\x12\xa4\x42aa"]
)
async def test_garbage_behind_a_message_ends_the_connection(edge: RunningEdge, garbage: bytes) -> None:
    async with edge.connected() as one:
        one.send(garbage)
        await one.rest()
    assert edge.counters["turn_malformed"] == 1


async def test_garbage_over_udp_leaves_the_server_working(edge: RunningEdge) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        for garbage in (b"", b"\x00", b"\xff" * 1400, b"\x40\x00\x00\x04abcd"):
            one.sendto(garbage, server_of(edge, "udp"))
    await edge.counted("turn_datagrams", 4)
    async with allocation(edge, "udp"):
        pass


@limited(without_allocation=0.1)
async def test_a_connection_without_an_allocation_is_hung_up_on_and_one_with_is_not(edge: RunningEdge) -> None:
    relay = await edge.transport()
    async with allocation(edge, "tcp") as (transport, heard), edge.connected() as one:
        one.send(bytes(stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)))
        assert await one.rest()
        assert edge.counters["idle_closed"] == 1
        transport.sendto(bytes(connectivity_check(relay)), media_address(relay))
        await eventually(lambda: heard.datagrams, "the other one goes on")


async def test_a_connection_that_breaks_takes_its_allocation_along(edge: RunningEdge) -> None:
    async with allocation(edge, "tcp") as (transport, _):
        inner = transport._TurnTransport__inner_protocol  # type: ignore[attr-defined]
        inner.transport.abort()
        await eventually(lambda: edge.edge.turn_counters["allocations_closed"] == 1, "the allocation is gone")
        await eventually(lambda: edge.edge.connection_count == 0, "the connection is forgotten")


async def test_a_client_that_does_not_read_costs_little(edge: RunningEdge) -> None:
    relay = await edge.transport()
    async with allocation(edge, "tcp") as (transport, heard):
        transport.sendto(bytes(connectivity_check(relay)), media_address(relay))
        await eventually(lambda: heard.datagrams, "the check is answered")
        inner = transport._TurnTransport__inner_protocol  # type: ignore[attr-defined]
        inner.transport.pause_reading()
        [stream] = edge.edge._tunnel._streams.values()  # type: ignore[union-attr]
        for number in range(20_000):
            stream.receive(rtp(7, number // 10 * 3000, number % 65536))
            if not number % 500:
                await asyncio.sleep(0)
        assert edge.counters["stream_packets_dropped"] > 1000
        inner.transport.resume_reading()
