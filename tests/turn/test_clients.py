"""Clients that others wrote, on real sockets: aioice's and coturn's."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aioice import stun
from aioice.turn import TurnTransport, create_turn_endpoint

from relay.settings.turn import TurnSettings
from relay.turn.counters import TurnCounters
from relay.turn.credentials import TurnCredentials
from relay.turn.server import Address, TurnServer
from tests.kit import coturn
from tests.kit.turn import REALM, SECRET, Echo, TurnEdge
from tests.kit.wait import eventually

RELAYED = ("127.0.0.1", 65534)

EVERY_TRANSPORT = pytest.mark.parametrize("transport", ["udp", "tcp"])


@dataclass
class Running:
    edge: TurnEdge
    counters: TurnCounters
    credentials: TurnCredentials
    media: Echo
    addresses: dict[str, Address]


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    media, other_worker = await coturn.two_neighbours()
    counters, credentials = TurnCounters(), TurnCredentials(SECRET)
    server = TurnServer(
        TurnSettings(turn_realm=REALM),
        credentials=credentials,
        media=lambda: frozenset({media.address, other_worker.address}),
        relayed=lambda _: RELAYED,
        counters=counters,
    )
    edge = TurnEdge(server)
    async with edge.serve() as (udp, tcp):
        yield Running(edge, counters, credentials, media, {"udp": udp, "tcp": tcp})
    media.transport.close()
    other_worker.transport.close()


class Receiver(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: list[tuple[bytes, Any]] = []
        self.errors: list[Exception] = []
        self.is_closed = False

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.received.append((data, address))

    def error_received(self, exc: Exception) -> None:
        self.errors.append(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True


async def aioice_client(
    running: Running, transport: str, *, username: str | None = None, password: str | None = None
) -> tuple[TurnTransport, Receiver]:
    credential = running.credentials.issue("student_1", time.time())
    return await create_turn_endpoint(
        Receiver,
        server_addr=running.addresses[transport],
        username=credential.username if username is None else username,
        password=credential.password if password is None else password,
        transport=transport,
    )


# -- aioice -------------------------------------------------------------------------------------------------------------


@EVERY_TRANSPORT
async def test_aioice_reaches_media_and_is_answered(running: Running, transport: str) -> None:
    turn, receiver = await aioice_client(running, transport)
    assert turn.get_extra_info("sockname") == RELAYED
    for size in (1, 2, 3, 4, 5, 1200):
        turn.sendto(bytes(size), running.media.address)
    await eventually(lambda: len(receiver.received) == 6, "every datagram came back")
    assert sorted(len(data) for data, _ in receiver.received) == [1, 2, 3, 4, 5, 1200]
    assert {address for _, address in receiver.received} == {running.media.address}
    assert not receiver.errors
    turn.close()
    await eventually(lambda: receiver.is_closed, "the allocation was deleted")
    assert running.edge.released == [1]
    assert running.edge.server.allocation_count == 0
    assert running.counters["packets_to_media"] == running.counters["packets_to_clients"] == 6


@EVERY_TRANSPORT
async def test_aioice_gets_nowhere_else(running: Running, transport: str) -> None:
    loop = asyncio.get_running_loop()
    other, stranger = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    turn, receiver = await aioice_client(running, transport)
    turn.sendto(b"to a stranger", stranger.address)
    error = await eventually(lambda: receiver.errors and receiver.errors[0], "sending failed")
    assert isinstance(error, stun.TransactionFailed)
    assert error.response.error_code == 403
    assert not stranger.seen
    turn.close()
    await eventually(lambda: receiver.is_closed, "the allocation was deleted")
    other.close()


@EVERY_TRANSPORT
async def test_aioice_with_a_wrong_password_is_refused(running: Running, transport: str) -> None:
    with pytest.raises(stun.TransactionFailed) as failed:
        await aioice_client(running, transport, password="guessed")
    assert failed.value.response.error_code == 401
    assert running.counters["unauthentic"] == 1
    assert running.edge.server.allocation_count == 0


@EVERY_TRANSPORT
async def test_aioice_with_expired_credentials_is_refused(running: Running, transport: str) -> None:
    old = running.credentials.issue("student_1", 1_000_000_000)
    with pytest.raises(stun.TransactionFailed) as failed:
        await aioice_client(running, transport, username=old.username, password=old.password)
    assert failed.value.response.error_code == 401
    assert running.counters["credentials_expired"] == 1


async def test_a_connection_that_breaks_takes_its_allocation_with_it(running: Running) -> None:
    turn, receiver = await aioice_client(running, "tcp")
    inner: asyncio.Transport = turn._TurnTransport__inner_protocol.transport  # type: ignore[attr-defined]
    inner.abort()
    await eventually(lambda: running.edge.released == [1], "the allocation ended with its connection")
    assert receiver.is_closed
    turn.close()


async def test_garbage_on_a_stream_ends_the_connection_and_nothing_else(running: Running) -> None:
    turn, receiver = await aioice_client(running, "tcp")
    reader, writer = await asyncio.open_connection(*running.addresses["tcp"])
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert await reader.read() == b""
    writer.close()
    turn.sendto(b"still here", running.media.address)
    await eventually(lambda: receiver.received, "the other client is served")
    turn.close()
    await eventually(lambda: receiver.is_closed, "the allocation was deleted")


# -- coturn -------------------------------------------------------------------------------------------------------------


async def uclient(running: Running, way: str, *options: str, secret: str = SECRET) -> str:
    return await coturn.uclient(running.addresses[way], running.media.address, way, *options, secret=secret)


@pytest.mark.servers
@pytest.mark.parametrize("way", [(), ("-s",), ("-g", "-D")], ids=["channels", "send", "dont-fragment-padded"])
async def test_coturns_client_sends_and_receives_everything(running: Running, way: tuple[str, ...]) -> None:
    """Over UDP and TCP at once, with datagrams of a length that needs padding."""
    runs = (uclient(running, transport, "-n", "20", "-m", "2", "-l", "171", *way) for transport in ("udp", "tcp"))
    for output in await asyncio.gather(*runs):
        assert coturn.totals(output) == (40, 40), output
    assert len(running.media.seen) >= 80
    counters = running.counters
    assert counters["unauthentic"] == counters["peers_refused"] == counters["malformed"] == counters["bad_requests"] == 0


@pytest.mark.servers
async def test_coturns_client_with_another_secret_gets_no_allocation(running: Running) -> None:
    await uclient(running, "udp", "-n", "1", secret="another")
    assert running.counters["unauthentic"] >= 1
    assert running.counters["allocations_opened"] == 0
    assert not running.media.seen
