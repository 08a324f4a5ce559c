"""The server's addresses come and go while the relay runs: DHCP, a floating address, an IPv6 address that is tentative."""

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from relay.media.api import DtlsRole, TransportParameters
from tests.integration.sdp import values
from tests.kit.media import connectivity_check
from tests.kit.wait import PATIENCE, eventually
from tests.lab.namespaces import Namespace, connect, fresh_prefix
from tests.lab.relay import served_by

FIRST: Final = "203.0.113.10"
SECOND: Final = "198.51.100.10"
THIRD: Final = "2001:db8:99::10"

PORT: Final = 8000

_HASH: Final = ":".join(["AB"] * 32)
OFFER: Final = "\r\n".join(
    (
        *("v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0"),
        *("m=audio 9 UDP/TLS/RTP/SAVPF 111", "c=IN IP4 0.0.0.0", "a=mid:0", "a=rtcp-mux", "a=rtpmap:111 opus/48000/2"),
        *("a=ice-ufrag:abcd", "a=ice-pwd:abcdefghijklmnopqrstuvwx", f"a=fingerprint:sha-256 {_HASH}", "a=setup:actpass", ""),
    )
)


@dataclass(frozen=True)
class Told:
    """What a browser that tests its connection is told: (address, port), by transport."""

    udp: frozenset[tuple[str, int]]
    tcp: frozenset[tuple[str, int]]
    ufrag: str
    pwd: str

    @property
    def addresses(self) -> set[str]:
        return {host for host, _ in self.udp | self.tcp}


class Machines:
    """A server and a client with a cable between them."""

    def __init__(self, server: Namespace, client: Namespace) -> None:
        self.server, self.client = server, client

    @classmethod
    @contextlib.contextmanager
    def built(cls) -> Iterator["Machines"]:
        prefix = fresh_prefix()
        with Namespace.created(f"{prefix}-s") as server, Namespace.created(f"{prefix}-c") as client:
            connect(server, "eth0", client, "eth0")
            server.ip(f"addr add {FIRST}/24 dev eth0")
            client.ip("addr add 203.0.113.2/24 dev eth0", "addr add 198.51.100.2/24 dev eth0")
            yield cls(server, client)

    def with_slow_ipv6(self) -> None:
        """A new IPv6 address of the server is tentative for 6 s, until as many solicitations have found no duplicate."""
        with self.server.entered():
            for which in ("all", "default", "eth0"):
                Path(f"/proc/sys/net/ipv6/conf/{which}/dad_transmits").write_text("6")
                Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6").write_text("0")

    @contextlib.asynccontextmanager
    async def relay(self, folder: Path, **settings: str) -> AsyncIterator[Path]:
        """A relay with two workers; its log."""
        chosen = {"port": str(PORT), "turn_port": "0", "workers": "2", **settings}
        async with served_by(self.server, folder, **chosen) as log:
            yield log

    @contextlib.asynccontextmanager
    async def told(self, address: str, profile_id: int) -> AsyncIterator[Told]:
        """What a browser on the client is told, that reaches the relay at that address."""

        def made(info: aiohttp.AddrInfoType) -> socket.socket:
            with self.client.entered():
                return socket.socket(*info[:3])

        connector = aiohttp.TCPConnector(socket_factory=made)
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(f"http://{address}:{PORT}", connector=connector, cookie_jar=jar) as http:
            profile = {"profile_type": "student", "profile_id": profile_id}
            async with http.post("/api/dev/login", json=profile) as response:
                assert response.status == 200
            async with http.ws_connect("/ws/connectivity") as connection:
                assert (await connection.receive_json(timeout=PATIENCE))["type"] == "ready"
                await connection.send_str(json.dumps({"type": "offer", "sdp": OFFER}))
                offer = (await connection.receive_json(timeout=PATIENCE))["sdp"]
                candidates = [re.split(" +", one) for one in values(offer, "candidate")]
                udp, tcp = (frozenset((one[4], int(one[5])) for one in candidates if one[2] == kind) for kind in ("udp", "tcp"))
                yield Told(udp, tcp, values(offer, "ice-ufrag")[0], values(offer, "ice-pwd")[0])

    async def answers(self, told: Told, address: tuple[str, int]) -> bool:
        """Whether media answers a connectivity check there, from there: a browser drops what comes from elsewhere."""
        parameters = TransportParameters(told.ufrag, told.pwd, (), DtlsRole.ACTPASS)
        with self.client.socket(socket.SOCK_DGRAM) as one:
            one.connect(address)
            one.send(bytes(connectivity_check(parameters)))
            try:
                async with asyncio.timeout(PATIENCE):
                    return bool(await asyncio.get_running_loop().sock_recv(one, 2000))
            except (TimeoutError, ConnectionError):
                return False


@pytest.fixture
def machines() -> Iterator[Machines]:
    with Machines.built() as built:
        yield built


async def test_an_address_that_comes_later_is_used_and_one_that_goes_is_told_no_more(machines: Machines, tmp_path: Path) -> None:
    async with machines.relay(tmp_path) as log:
        async with machines.told(FIRST, 456) as told:
            assert told.addresses == {FIRST}
            assert all([await machines.answers(told, one) for one in told.udp])
        machines.server.ip(f"addr add {SECOND}/24 dev eth0", f"addr del {FIRST}/24 dev eth0")

        async def is_told(profile_id: int) -> bool:
            async with machines.told(SECOND, profile_id) as told:
                return told.addresses == {SECOND}

        # Both workers, as a second test at the same time is another one's.
        await eventually(lambda: is_told(456), "the new address is told")
        async with machines.told(SECOND, 456) as one:
            await eventually(lambda: is_told(457), "the new address is told by the other worker")
            async with machines.told(SECOND, 457) as other:
                assert one.udp | other.udp == {(SECOND, 40000), (SECOND, 40001)}
                assert one.tcp == other.tcp == {(SECOND, PORT)}
                for told in (one, other):
                    assert all([await machines.answers(told, address) for address in told.udp])
        assert log.read_text().count("the addresses of this machine have changed") == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_a_media_host_that_stands_for_all_is_each_of_them(machines: Machines, tmp_path: Path, host: str) -> None:
    machines.server.ip(f"addr add {SECOND}/24 dev eth0")
    async with machines.relay(tmp_path, media_host=host):
        for address in (FIRST, SECOND):
            async with machines.told(address, 456) as told:
                assert told.addresses == {address}
                assert all([await machines.answers(told, one) for one in told.udp])


async def test_a_mapped_public_address_reaches_the_private_one_that_comes_later(machines: Machines, tmp_path: Path) -> None:
    async with machines.relay(tmp_path, public_address=f"192.0.2.99={SECOND}"):
        machines.server.ip(f"addr add {SECOND}/24 dev eth0")

        async def is_reached() -> bool:
            async with machines.told(FIRST, 456) as told:
                assert told.addresses == {"192.0.2.99", SECOND}
                [inner] = [one for one in told.udp if one[0] == SECOND]
                return await machines.answers(told, inner)

        await eventually(is_reached, "the private address is reached")


async def test_an_ipv6_address_that_is_tentative_at_the_start_is_used_when_it_is_not(machines: Machines, tmp_path: Path) -> None:
    machines.with_slow_ipv6()
    machines.server.ip(f"addr add {THIRD}/64 dev eth0")
    async with machines.relay(tmp_path, public_address=THIRD):
        await eventually(lambda: _bound(machines.server) == {40000, 40001}, "media listens on the IPv6 address")


def _bound(server: Namespace) -> set[int]:
    """The ports of UDP sockets that are bound to `THIRD` (proc_net(5))."""
    ours = socket.inet_pton(socket.AF_INET6, THIRD)
    words = "".join(ours[at : at + 4][::-1].hex().upper() for at in range(0, 16, 4))
    with server.entered():
        lines = Path("/proc/thread-self/net/udp6").read_text().splitlines()[1:]
    return {int(line.split()[1].partition(":")[2], 16) for line in lines if line.split()[1].startswith(words)}
