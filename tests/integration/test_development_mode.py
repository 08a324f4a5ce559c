"""Development mode lets anybody sign in as anybody, so it is for the browsers of this machine, called by its own name."""

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.edge.tcp.listener import bind
from relay.media.net.addresses import local_addresses
from relay.settings.edge import LOCALHOST
from tests.kit.process import LOCAL, Server, serving
from tests.kit.server import running_relay

pytestmark = pytest.mark.servers

LOGIN = {"profile_type": "student", "profile_id": 456}


def port_of(server: Server) -> int:
    return int(server.relay.url.rpartition(":")[2])


async def connects(host: str, port: int) -> bool:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
        return True
    return False


def elsewhere() -> str:
    """An address by which other machines would come."""
    return next(one for one in local_addresses() if not one.startswith("127.") and ":" not in one)


async def test_it_listens_on_the_loopback_only_and_does_not_warn(tmp_path: Path) -> None:
    async with serving(tmp_path, **{**LOCAL, "host": ""}) as server:
        port = port_of(server)
        assert [await connects(one, port) for one in ("127.0.0.1", "::1")] == [True, True]
        assert not await connects(elsewhere(), port)
        assert server.greeting.startswith("Open http://localhost:")


async def test_an_address_that_is_given_is_listened_on_with_a_warning(tmp_path: Path) -> None:
    async with serving(tmp_path, **{**LOCAL, "host": "0.0.0.0"}) as server:
        assert await connects(elsewhere(), port_of(server))
        server.process.terminate()
        _, log = await server.process.communicate()
    assert log.decode().count("development mode, and RELAY_HOST is set") == 1


async def test_outside_development_mode_every_address_is_listened_on(tmp_path: Path) -> None:
    given: dict[str, Any] = {"dev": False, "jwt_secret": "x" * 32, "host": ""}
    async with running_relay(tmp_path):
        pass  # the schema is there
    async with running_relay(tmp_path, **given) as relay:
        port = int(relay.url.rpartition(":")[2])
        assert await connects(elsewhere(), port)
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{port}/healthz", headers={"Host": "calls.example.org"}) as response,
        ):
            assert response.status == 200


@pytest.mark.parametrize(
    ("host", "good"),
    [
        *((name, True) for name in ("localhost", "localhost:8000", "LOCALHOST", "127.0.0.1:1", "[::1]", "[::1]:8000")),
        *(
            (name, False)
            for name in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1", "", "[::2]")
        ),
    ],
)
async def test_only_the_names_of_this_machine_are_answered_to(tmp_path: Path, host: str, good: bool) -> None:
    """A page whose own name leads here, after it was loaded, is refused whatever it asks for, the WebSocket included."""
    async with running_relay(tmp_path, host="") as relay:
        port = int(relay.url.rpartition(":")[2])
        headers = {"Host": host, "Origin": f"http://{host}"}
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            async with http.post("/api/dev/login", json=LOGIN, headers=headers) as response:
                assert response.status == (200 if good else 403)
                if not good:
                    assert (await response.json())["error"]["code"] == "foreign_host"
            async with http.get("/", headers=headers) as response:
                assert response.status == (200 if good else 403)
            upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
            async with http.get("/ws/456/student", headers={**headers, **upgrade}) as response:
                assert response.status == (401 if good else 403)


def test_a_machine_without_ipv6_has_one_loopback_address(monkeypatch: pytest.MonkeyPatch) -> None:

    real = socket.socket.bind

    def refused(self: socket.socket, address: Any) -> None:
        if self.family is socket.AF_INET6:
            raise OSError(99, "Cannot assign requested address")
        real(self, address)

    monkeypatch.setattr(socket.socket, "bind", refused)
    sockets = bind(LOCALHOST, 0)
    assert [one.getsockname()[0] for one in sockets] == ["127.0.0.1"]
    for one in sockets:
        one.close()
