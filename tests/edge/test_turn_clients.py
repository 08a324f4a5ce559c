"""Other people's TURN clients against the whole edge: over UDP, TCP and TLS, with a media worker that sends everything back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from aioice import stun
from aioice.turn import TurnTransport, create_turn_endpoint

from tests.edge.kit import HERE, RunningEdge, trusting, write_certificate
from tests.kit import coturn
from tests.kit.turn import Echo
from tests.kit.wait import eventually

SECRET: Final = "shared with turnutils_uclient"

WAYS = pytest.mark.parametrize("way", ["udp", "tcp", "tls"])


class Heard(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.datagrams: list[bytes] = []

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.datagrams.append(data)


@pytest.fixture
async def media() -> AsyncIterator[tuple[Echo, Echo]]:
    workers = await coturn.two_neighbours()
    yield workers
    for one in workers:
        one.transport.close()


@pytest.fixture
async def echo(media: tuple[Echo, Echo]) -> Echo:
    return media[0]


@pytest.fixture
async def edge(no_errors_logged: None, media: tuple[Echo, Echo], tmp_path: Path) -> AsyncIterator[RunningEdge]:
    certificate, key = write_certificate(tmp_path, "relay")
    ports = tuple(one.address[1] for one in media)
    async with RunningEdge.started(ports, tls_cert=certificate, tls_key=key, turn_secret=SECRET) as running:
        yield running


def server_port(edge: RunningEdge, way: str) -> int:
    return edge.edge._turn_ports[0].port if way == "udp" else edge.edge.port


async def aioice_client(edge: RunningEdge, way: str, **other: str) -> tuple[TurnTransport, Heard]:
    username, password = edge.credentials()
    transport, heard = await create_turn_endpoint(
        Heard,
        server_addr=(HERE, server_port(edge, way)),
        ssl=trusting() if way == "tls" else False,
        transport="udp" if way == "udp" else "tcp",
        username=other.get("username", username),
        password=other.get("password", password),
    )
    assert isinstance(transport, TurnTransport)
    return transport, heard


@WAYS
async def test_aioice_hears_everything_again_that_it_sends(edge: RunningEdge, echo: Echo, way: str) -> None:
    transport, heard = await aioice_client(edge, way)
    sent = [bytes([size % 256]) * size for size in (1, 2, 3, 171, 1200, 1400)]
    for one in sent:
        transport.sendto(one, echo.address)
    await eventually(lambda: sorted(heard.datagrams) == sorted(sent), lambda: f"everything comes back: {heard.datagrams}")
    transport.close()
    await eventually(lambda: edge.edge.turn_counters["allocations_closed"] == 1, "the allocation is gone")


@WAYS
@pytest.mark.parametrize(
    ("other", "counter"), [({"password": "guessed"}, "unauthentic"), ({"username": "nobody"}, "unauthentic")]
)
async def test_aioice_with_other_credentials_gets_401(edge: RunningEdge, way: str, other: dict[str, str], counter: str) -> None:
    with pytest.raises(stun.TransactionFailed) as failed:
        await aioice_client(edge, way, **other)
    assert failed.value.response.error_code == 401
    assert edge.edge.turn_counters[counter] == 1
    assert edge.edge.levels()["turn_allocations"] == 0


async def uclient(edge: RunningEdge, echo: Echo, way: str, *options: str, secret: str = SECRET) -> str:
    return await coturn.uclient((HERE, server_port(edge, way)), (HERE, echo.address[1]), way, *options, secret=secret)


@pytest.mark.servers
@pytest.mark.parametrize(("way", "form"), [("udp", ()), ("tcp", ()), ("tls", ()), ("tls", ("-s",))])
async def test_coturns_client_hears_everything_again_that_it_sends(
    edge: RunningEdge, echo: Echo, way: str, form: tuple[str, ...]
) -> None:
    output = await uclient(edge, echo, way, "-n", "10", "-m", "2", "-l", "171", *form)
    assert coturn.totals(output) == (20, 20), output
    assert len({source for _, source in echo.seen}) == 2, "each allocation is a peer of its own"
    counters = edge.edge.turn_counters
    assert counters["unauthentic"] == counters["peers_refused"] == counters["malformed"] == counters["bad_requests"] == 0


@pytest.mark.servers
@pytest.mark.parametrize("way", ["udp", "tls"])
async def test_coturns_client_with_another_secret_gets_nothing(edge: RunningEdge, echo: Echo, way: str) -> None:
    await uclient(edge, echo, way, "-n", "1", secret="another")
    assert edge.edge.turn_counters["unauthentic"] >= 1
    assert edge.edge.turn_counters["allocations_opened"] == 0
    assert not echo.seen
