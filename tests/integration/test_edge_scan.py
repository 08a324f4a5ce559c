"""A scan of the TURN server in a running relay: whatever it is asked for, it leads to the relay's media and nowhere else."""

import asyncio
import contextlib
import itertools
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
import pytest
from aioice import stun
from aioice.turn import TurnTransport, create_turn_endpoint

from relay.turn.messages import Address, build
from tests.edge.kit import HERE
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

HOSTS: Final = (
    *("127.0.0.1", "127.0.0.2", "127.64.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "10.0.0.1", "192.168.1.1"),
    *("172.16.0.1", "169.254.169.254", "100.64.0.1", "192.0.2.1", "198.51.100.7", "203.0.113.5", "8.8.8.8"),
    *("::", "::1", "fe80::1", "fc00::1", "2001:db8::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1"),
)
SCANNED: Final = 200

WAYS = pytest.mark.parametrize("way", ["udp", "tcp"])


class Heard(asyncio.DatagramProtocol):
    """What comes out of the allocation."""

    def __init__(self) -> None:
        self.datagrams: list[bytes] = []

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.datagrams.append(data)


class Scanner:
    """A client with good credentials and an allocation.

    Args:
        inner: aioice's protocol below its transport.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._channels = itertools.count(0x4000)

    async def permission(self, peer: Address) -> int:
        """Ask for one; the error code, or 0."""
        request = stun.Message(message_method=stun.Method.CREATE_PERMISSION, message_class=stun.Class.REQUEST)
        request.attributes["XOR-PEER-ADDRESS"] = peer
        return await self._code(request)

    async def channel(self, peer: Address) -> int:
        request = stun.Message(message_method=stun.Method.CHANNEL_BIND, message_class=stun.Class.REQUEST)
        request.attributes["CHANNEL-NUMBER"] = next(self._channels)
        request.attributes["XOR-PEER-ADDRESS"] = peer
        return await self._code(request)

    def send(self, peer: Address, data: bytes) -> None:
        """A Send indication."""
        attributes = {"XOR-PEER-ADDRESS": peer, "DATA": data}
        self._write(build(stun.Method.SEND, stun.Class.INDICATION, b"an indicator", attributes))

    def send_on_channel(self, number: int, data: bytes) -> None:
        self._write(struct.pack("!HH", number, len(data)) + data + bytes(-len(data) % 4))

    def _write(self, data: bytes) -> None:
        transport = self._inner.transport
        transport.write(data) if hasattr(transport, "write") else transport.sendto(data)

    async def _code(self, request: stun.Message) -> int:
        try:
            await self._inner.request_with_retry(request)
        except stun.TransactionFailed as refused:
            return int(refused.response.attributes["ERROR-CODE"][0])
        return 0


@contextlib.asynccontextmanager
async def scanner(relay: RunningRelay, way: str) -> AsyncIterator[tuple[Scanner, Heard]]:
    """With the credentials that the relay gives to anybody who signs in."""
    async with aiohttp.ClientSession() as http:
        login = {"profile_type": "student", "profile_id": 456}
        async with http.post(f"{relay.url}/api/dev/login", json=login) as response:
            [server] = (await response.json())["ice_servers"]
    [url] = [one for one in server["urls"] if one.endswith(f"transport={way}")]
    port = int(url.partition("?")[0].rpartition(":")[2])
    transport, heard = await create_turn_endpoint(
        Heard, server_addr=(HERE, port), username=server["username"], password=server["credential"], transport=way
    )
    assert isinstance(transport, TurnTransport)
    try:
        yield Scanner(transport._TurnTransport__inner_protocol), heard  # type: ignore[attr-defined]
    finally:
        transport.close()

        async def is_over() -> bool:
            return (await relay.counters())["relay_front_turn_allocations"] == 0

        await eventually(is_over, "the allocation is gone")


@contextlib.contextmanager
def victims() -> Any:
    """UDP sockets of other services of this machine."""
    with contextlib.ExitStack() as stack:
        found = []
        for host in ("127.0.0.1", "127.0.0.2", "127.64.0.1", "::1", "0.0.0.0"):
            one = stack.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM))
            one.setblocking(False)
            one.bind((host, 0))
            found.append(one)
        yield found


def heard(one: socket.socket) -> bytes:
    try:
        return one.recv(2000)
    except BlockingIOError:
        return b""


@WAYS
@pytest.mark.settings(media_host=HERE)
async def test_200_addresses_are_asked_for_and_200_are_refused(relay: RunningRelay, way: str) -> None:
    [media_port] = relay.media_ports
    http_port = int(relay.url.rpartition(":")[2])
    with victims() as listening:
        ports = {one.getsockname()[1] for one in listening} | {22, 53, 80, media_port, media_port + 1, http_port}
        everything = [(host, port) for host in HOSTS for port in sorted(ports)]
        peers = [one for one in everything if one != (HERE, media_port)][: SCANNED + 60]
        assert len(peers) >= SCANNED
        async with scanner(relay, way) as (one, _):
            assert {await one.permission(peer) for peer in peers} == {403}
            assert {await one.channel(peer) for peer in peers} == {403}
            for number, peer in enumerate(peers):
                one.send(peer, b"must not arrive")
                one.send_on_channel(0x4000 + number, b"nor must this")
            # Once media itself is permitted, its host still has other ports.
            assert await one.permission((HERE, media_port)) == 0
            for peer in peers:
                one.send(peer, b"nor must that")
            assert await one.channel((HERE, media_port)) == 0
            counters = await relay.counters()
        assert [heard(one) for one in listening] == [b""] * len(listening)
    assert counters["relay_turn_peers_refused_total"] == 2 * len(peers)
    assert counters["relay_front_stream_packets_received_total"] == 0
    dropped = counters["relay_turn_dropped_unbound_total"] + counters["relay_turn_dropped_foreign_total"]
    assert dropped == 3 * len(peers) or way == "udp"


@WAYS
@pytest.mark.settings(media_host=HERE)
async def test_data_for_the_media_port_reaches_only_the_media_worker(relay: RunningRelay, way: str) -> None:
    [media_port] = relay.media_ports
    async with scanner(relay, way) as (one, out):
        assert await one.permission((HERE, media_port)) == 0
        for size in (0, 1, 20, 1200, 1900):
            one.send((HERE, media_port), b"\x00" * size)
            one.send((HERE, media_port), b"\x90" * size)

        async def arrived() -> bool:
            return (await relay.counters())["relay_front_stream_packets_received_total"] == 10

        await eventually(arrived, "the media worker's address has it")
        assert await one.permission((HERE, media_port)) == 0
    assert out.datagrams == []
