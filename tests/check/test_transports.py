"""Transports to the relay under test, on real sockets."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from relay.check.report import Target
from relay.check.transports import MAX_SOURCES, Connector, ProbeTransport, TcpConnector, TurnConnector, UdpConnector
from relay.edge.tcp.framing import Frames, frame
from relay.settings.turn import TurnSettings
from relay.turn.counters import TurnCounters
from relay.turn.credentials import TurnCredentials
from relay.turn.server import TurnServer
from tests.edge.kit import write_certificate
from tests.kit.turn import REALM, SECRET, Echo, TurnEdge
from tests.kit.wait import eventually

HERE = "127.0.0.1"


class Caller(asyncio.DatagramProtocol):
    """Stands for aiortc: sends to a transport's port."""

    def __init__(self) -> None:
        self.received: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: object) -> None:
        self.received.append(data)

    def send(self, data: bytes, transport: ProbeTransport) -> None:
        self.transport.sendto(data, (transport.port.host, transport.port.port))


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(Caller, local_addr=(HERE, 0))
    yield protocol
    transport.close()


@pytest.fixture
async def media() -> AsyncIterator[Echo]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(Echo, local_addr=(HERE, 0))
    yield protocol
    transport.close()


async def echo_frames(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    frames = Frames()
    while data := await reader.read(4096):
        for datagram in frames.feed(data):
            writer.write(frame(datagram))
    writer.close()


@pytest.fixture
async def tcp() -> AsyncIterator[Target]:
    server = await asyncio.start_server(echo_frames, HERE, 0)
    async with server:
        yield Target(*server.sockets[0].getsockname()[:2])


@pytest.fixture
async def turn(media: Echo) -> AsyncIterator[Target]:
    server = TurnServer(
        TurnSettings(turn_realm=REALM),
        credentials=TurnCredentials(SECRET),
        media=lambda: frozenset({media.address}),
        relayed=lambda _: (HERE, 65534),
        counters=TurnCounters(),
    )
    async with TurnEdge(server).serve() as (_, stream):
        yield Target(*stream)


async def crosses(caller: Caller, transport: ProbeTransport) -> None:
    """Whatever is sent comes back, what was sent before there was a connection too."""
    sent = [bytes([number]) * (1 + 100 * number) for number in range(8)]
    for datagram in sent:
        caller.send(datagram, transport)
    await eventually(lambda: sorted(caller.received) == sorted(sent), "every datagram came back")
    assert transport.received >= sum(map(len, sent))
    assert transport.problem == ""


async def fails(caller: Caller, target: Target, connector: Connector) -> str:
    """The problem that a transport has."""
    async with ProbeTransport.opened(target, connector, HERE) as transport:
        caller.send(b"anybody?", transport)
        problem = await eventually(lambda: transport.problem, "it has a problem")
    assert caller.received == []
    return problem


async def test_datagrams_cross_by_udp(caller: Caller, media: Echo) -> None:
    target = Target(*media.address)
    async with ProbeTransport.opened(target, UdpConnector(target), HERE) as transport:
        await crosses(caller, transport)


async def test_datagrams_cross_by_tcp(caller: Caller, tcp: Target) -> None:
    async with ProbeTransport.opened(tcp, TcpConnector(tcp), HERE) as transport:
        await crosses(caller, transport)


async def test_datagrams_cross_by_turn(caller: Caller, media: Echo, turn: Target) -> None:
    access = TurnCredentials(SECRET).issue("student_1", time.time())
    connector = TurnConnector(turn, Target(*media.address), access.username, access.password, "tcp")
    async with ProbeTransport.opened(turn, connector, HERE) as transport:
        await crosses(caller, transport)


async def test_each_sender_has_a_connection_of_its_own_up_to_some(caller: Caller, media: Echo) -> None:
    loop = asyncio.get_running_loop()
    target = Target(*media.address)
    others = [await loop.create_datagram_endpoint(Caller, local_addr=(HERE, 0)) for _ in range(MAX_SOURCES)]
    async with ProbeTransport.opened(target, UdpConnector(target), HERE) as transport:
        for number, (_, one) in enumerate(others):
            one.send(bytes([number]), transport)
        await eventually(lambda: all(one.received for _, one in others), "each got an answer")
        assert [one.received for _, one in others] == [[bytes([number])] for number in range(MAX_SOURCES)]
        caller.send(b"one too many", transport)
        others[0][1].send(b"again", transport)
        await eventually(lambda: len(others[0][1].received) == 2, "the others are served")
        assert len({address for _, address in media.seen}) == MAX_SOURCES
        assert caller.received == []
    for socket, _ in others:
        socket.close()


async def test_a_refused_connection_is_said(caller: Caller, tcp: Target) -> None:
    server = await asyncio.start_server(echo_frames, HERE, 0)
    closed = Target(*server.sockets[0].getsockname()[:2])
    server.close()
    assert await fails(caller, closed, TcpConnector(closed)) == "connections are refused"


async def test_refused_credentials_are_said(caller: Caller, media: Echo, turn: Target) -> None:
    connector = TurnConnector(turn, Target(*media.address), "student_1", "guessed", "tcp")
    assert (await fails(caller, turn, connector)).startswith("the TURN server refuses: 401")


async def test_a_certificate_that_is_not_good_is_said(caller: Caller, media: Echo, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write_certificate(tmp_path, "relay"))
    server = await asyncio.start_server(echo_frames, HERE, 0, ssl=context)
    async with server:
        target = Target(*server.sockets[0].getsockname()[:2])
        connector = TurnConnector(target, Target(*media.address), "a", "b", "tcp", ssl.create_default_context())
        assert "certificate" in await fails(caller, target, connector)


async def test_frames_that_are_too_long_end_the_connection(caller: Caller) -> None:
    ended = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\xff\xff" + bytes(2000))
        await reader.read()
        ended.set()
        writer.close()

    server = await asyncio.start_server(talk, HERE, 0)
    async with server:
        target = Target(*server.sockets[0].getsockname()[:2])
        async with ProbeTransport.opened(target, TcpConnector(target), HERE) as transport:
            caller.send(b"hello", transport)
            async with asyncio.timeout(20):
                await ended.wait()
            assert transport.received == 0
