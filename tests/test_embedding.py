"""The relay as a part of another server: docs/embedding_example.py, run."""

import asyncio
import importlib.util
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import aiohttp
import pytest
from aiohttp import web
from aioice import stun

from relay.settings.all import Settings
from tests.kit.server import migrated
from tests.kit.wait import eventually

EXAMPLE = Path(__file__).parents[1] / "docs" / "embedding_example.py"


@pytest.fixture
async def url(no_errors_logged: None, tmp_path: Path) -> AsyncIterator[str]:
    """The example's server, on free ports."""
    spec = importlib.util.spec_from_file_location("embedding_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    shutil.copy(await migrated(), tmp_path / "relay.db")
    database = f"sqlite+aiosqlite:///{tmp_path / 'relay.db'}"
    here = "127.0.0.1"
    settings = Settings(dev=True, host=here, port=0, media_host=here, media_port=0, turn_port=0, database_url=database)
    runner = web.AppRunner(example.my_app(settings))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


def test_the_example_is_short_enough_to_be_read() -> None:
    code = [line for line in EXAMPLE.read_text().splitlines() if line.strip() and not line.startswith('"""')]
    assert len(code) <= 15


async def test_the_page_is_served_below_the_prefix_and_the_other_pages_stay(url: str, http: aiohttp.ClientSession) -> None:
    async with http.get(url) as response:
        assert 'href="calls/"' in await response.text()
        assert "Content-Security-Policy" not in response.headers
    async with http.get(f"{url}calls/") as response:
        assert response.status == 200
        assert "<title>Call Relay</title>" in await response.text()
        assert "Content-Security-Policy" in response.headers


async def test_everything_that_the_page_asks_for_is_found_below_the_prefix(url: str, http: aiohttp.ClientSession) -> None:
    """The page, what it names, and what that imports."""
    todo, seen = [f"{url}calls/"], set[str]()
    while todo:
        address = todo.pop()
        if address in seen:
            continue
        seen.add(address)
        async with http.get(address) as response:
            assert response.status == 200, address
            text = await response.text()
            kind = response.content_type
        found: list[str] = []
        if kind == "text/html":
            found = re.findall(r'(?:src|href)="([^"]+)"', text)
        elif kind.endswith("javascript"):
            found = re.findall(r'(?m)(?:^import |^.* from |import\()"(\.[^"]+)"', text)
        elif kind == "text/css":
            found = re.findall(r'url\("?([^")]+)"?\)', text)
        todo += [urljoin(address, one) for one in found if not one.startswith(("data:", "#"))]
    assert all(address.startswith(f"{url}calls/") for address in seen)
    assert {address.rpartition(".")[2] for address in seen} >= {"js", "css", "svg"}, seen
    async with http.get(f"{url}calls/client/protocol.js") as response:
        assert (response.status, response.content_type) == (200, "text/javascript"), "single modules are there for other pages"


async def test_one_logs_in_and_connects_below_the_prefix(url: str, http: aiohttp.ClientSession) -> None:
    async with http.post(f"{url}calls/api/dev/login", json={"profile_type": "student", "profile_id": 456}) as response:
        assert response.status == 200
    async with http.get(f"{url}calls/api/conversations") as response:
        assert [one["conversation_id"] for one in (await response.json())["conversations"]] == [123, 125]
    async with http.ws_connect(f"{url}calls/ws/456/student") as socket:
        welcome = await socket.receive_json(timeout=20)
        assert (welcome["type"], welcome["name"]) == ("welcome", "Maya Lindgren")


async def test_errors_below_the_prefix_are_the_relays_and_the_others_are_not(url: str, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{url}calls/nothing") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (404, "not_found")
    async with http.get(f"{url}calls/api/profiles") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (401, "unauthorized")
    async with http.get(f"{url}nothing") as response:
        assert (response.status, response.content_type) == (404, "text/plain")


async def test_a_body_is_no_larger_below_a_prefix(url: str, http: aiohttp.ClientSession) -> None:
    async with http.post(f"{url}calls/api/dev/login", data=b" " * (64 * 1024 + 1)) as response:
        assert response.status == 413


async def test_media_over_tcp_and_turn_have_a_port_beside_the_server_that_serves_no_pages(
    url: str, http: aiohttp.ClientSession
) -> None:
    async with http.post(f"{url}calls/api/dev/login", json={"profile_type": "student", "profile_id": 456}) as response:
        [server] = (await response.json())["ice_servers"]
    [turn] = [one for one in server["urls"] if one.endswith("=tcp")]
    port = int(turn.partition("?")[0].rpartition(":")[2])
    assert port != urlsplit(url).port
    binding = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    for said, answered in ((bytes(binding), True), (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", False)):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        assert bool(await asyncio.wait_for(reader.read(1000), 20)) == answered
        writer.close()
        await writer.wait_closed()


async def test_the_relay_counts_below_the_prefix(url: str, http: aiohttp.ClientSession) -> None:
    async def healthy() -> bool:
        async with http.get(f"{url}calls/healthz") as health, http.get(f"{url}calls/metrics") as metrics:
            return health.status == metrics.status == 200 and "relay_calls 0.0" in await metrics.text()

    await eventually(healthy, "the relay is healthy")
