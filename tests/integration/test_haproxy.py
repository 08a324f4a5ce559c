"""A real haproxy before the relay, which says by the PROXY protocol who its clients are."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from tests.edge.kit import trusting, write_certificate
from tests.integration.proxies import CLIENT, HERE, free_ports, program, running
from tests.kit.server import RunningRelay, running_relay
from tests.kit.wait import PATIENCE, eventually

pytestmark = pytest.mark.servers

EXAMPLE: Final = Path(__file__).parents[2] / "deploy" / "haproxy.cfg"

TOKEN: Final = "the platform's own token, of 32 characters or more"

LOGIN: Final = {"profile_type": "student", "profile_id": 456}


@contextlib.asynccontextmanager
async def haproxy(folder: Path, relay: RunningRelay, mode: str, options: str) -> AsyncIterator[str]:
    """The URL of a haproxy before the relay."""
    [port] = free_ports(1)
    configuration = folder / "haproxy.cfg"
    configuration.write_text(
        f"""
defaults
    mode {mode}
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout tunnel 30s
listen relay
    bind {HERE}:{port}
    server relay {relay.url.removeprefix("http://")} {options}
"""
    )
    async with running(folder, [program("haproxy"), "-db", "-f", str(configuration)], port):
        yield f"http://{HERE}:{port}"


@pytest.mark.parametrize(
    ("mode", "options"),
    [("http", "send-proxy-v2"), ("tcp", "send-proxy-v2 proxy-v2-options unique-id,crc32c"), ("tcp", "send-proxy")],
)
async def test_the_client_is_known_behind_haproxy(no_errors_logged: None, tmp_path: Path, mode: str, options: str) -> None:
    """Its requests are answered, its WebSocket works, and its address is its own, not haproxy's."""
    async with running_relay(tmp_path, trusted_proxies=(HERE,)) as relay, haproxy(tmp_path, relay, mode, options) as url:
        connector = aiohttp.TCPConnector(local_addr=(CLIENT, 0))
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(url, connector=connector, cookie_jar=jar) as http:
            async with http.post("/api/dev/login", json=LOGIN) as response:
                assert response.status == 200
            async with http.ws_connect("/ws/connectivity") as test:
                assert await test.receive_json(timeout=PATIENCE) == {"type": "ready", "address": CLIENT}
            async with http.ws_connect("/ws/456/student") as websocket:
                assert (await websocket.receive_json(timeout=PATIENCE))["type"] == "welcome"
                await websocket.send_str("x" * 100_000)
                assert (await websocket.receive_json(timeout=PATIENCE))["code"] == "too_large"
        assert (await relay.counters())["relay_front_proxy_headers_total"] >= 2


async def test_the_example_for_several_nodes_follows_readyz_and_passes_the_nodes_tls_on(
    no_errors_logged: None, tmp_path: Path
) -> None:
    certificate, key = write_certificate(tmp_path, "relay")
    [port] = free_ports(1)
    settings = {"tls_cert": certificate, "tls_key": key, "trusted_proxies": (HERE,), "service_token": TOKEN}
    async with running_relay(tmp_path, **settings) as relay:
        text = re.sub(r"(?m)^( *server \S+) \S+", rf"\1 {relay.url.removeprefix('https://')}", EXAMPLE.read_text())
        text = text.replace("bind :443\n", f"bind {HERE}:{port}\n").replace("bind [::]:443 v6only\n", "\n")
        configuration, stats = tmp_path / "haproxy.cfg", tmp_path / "stats"
        configuration.write_text(f"global\n    stats socket {stats}\n{text}")
        connector = aiohttp.TCPConnector(local_addr=(CLIENT, 0), ssl=trusting())
        async with (
            running(tmp_path, [program("haproxy"), "-db", "-f", str(configuration)], port),
            aiohttp.ClientSession(
                f"https://{HERE}:{port}", connector=connector, cookie_jar=aiohttp.CookieJar(unsafe=True)
            ) as http,
        ):

            async def probed() -> bool:
                async with http.get("/metrics") as response:
                    found = re.search(r"(?m)^relay_front_proxy_headers_total (\S+)$", await response.text())
                return found is not None and float(found[1]) > 3

            await eventually(probed, "each node was asked whether it is ready")
            async with http.post("/api/dev/login", json=LOGIN) as response:
                assert response.status == 200
            async with http.ws_connect("/ws/connectivity") as test:
                assert await test.receive_json(timeout=PATIENCE) == {"type": "ready", "address": CLIENT}
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            async with http.post("/api/admin/drain", json={"seconds": 60}, headers=bearer) as response:
                assert response.status == 202

            async def none_is_ready() -> bool:
                reader, writer = await asyncio.open_unix_connection(stats)
                writer.write(b"show stat\n")
                states = re.findall(r"(?m)^ready,relay-\d,.*?,(UP|DOWN)[^,]*,", (await reader.read()).decode())
                writer.close()
                return states == ["DOWN"] * 3

            await eventually(none_is_ready, "haproxy has seen that no node is ready")
            async with http.get("/readyz") as ready, http.get("/") as page:
                assert (ready.status, page.status) == (503, 200), "those that live serve the page"


async def test_each_client_behind_haproxy_has_its_own_limit(no_errors_logged: None, tmp_path: Path) -> None:
    limits = {"limit_requests": "5/minute", "trusted_proxies": (HERE,)}
    async with running_relay(tmp_path, **limits) as relay, haproxy(tmp_path, relay, "tcp", "send-proxy-v2") as url:

        async def asked(client: str, times: int) -> list[int]:
            async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(local_addr=(client, 0))) as http:
                return [(await http.get("/healthz")).status for _ in range(times)]

        assert 429 in await asked(CLIENT, 8)
        assert await asked("127.0.0.8", 2) == [200, 200]


async def test_haproxy_that_is_not_trusted_is_refused_with_a_line_in_the_log(
    no_errors_logged: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        running_relay(tmp_path) as relay,
        haproxy(tmp_path, relay, "http", "send-proxy-v2") as url,
        aiohttp.ClientSession() as http,
        http.get(f"{url}/healthz") as response,
    ):
        assert response.status in {502, 503}
    assert caplog.text.count("a connection began with a PROXY header") == 1
