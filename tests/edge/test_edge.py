"""The edge as a whole: what it opens, what it leaves behind, and what it is while it is off."""

import socket
import time
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from relay.app import EDGE, create_app
from relay.errors import ConfigurationError
from relay.serving import find_public_address, serve
from relay.settings.all import Settings
from tests.edge.kit import HERE, REQUEST, RunningEdge, write_certificate
from tests.edge.test_discovery import serving as stun_server


def settings(folder: Path, **values: object) -> Settings:
    database = f"sqlite+aiosqlite:///{folder / 'relay.db'}"
    local = {"dev": True, "workers": 0, "host": HERE, "port": 0, "media_port": 0, "turn_port": 0, "database_url": database}
    return Settings(**{**local, **values})  # type: ignore[arg-type]


async def test_a_tcp_port_that_is_taken_is_said_and_leaves_nothing_open() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as free:
        free.bind((HERE, 0))
        http_port = free.getsockname()[1]
    with socket.create_server((HERE, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"cannot listen on .*{port}: Address already in use"):
            async with RunningEdge.started(port=http_port, media_tcp_port=port):
                pass
    socket.create_server((HERE, http_port)).close()


async def test_a_turn_port_that_is_taken_leaves_turn_over_tcp_and_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as coturn:
        coturn.bind((HERE, 0))
        port = coturn.getsockname()[1]
        async with RunningEdge.started(turn_port=port) as edge:
            [server] = edge.edge.ice_servers("student_456", HERE, time.time())
            assert server.urls == (f"turn:{HERE}:{edge.edge.port}?transport=tcp",)
            assert edge.edge.levels()["turn_udp_ports"] == 0
    [warning] = caplog.records
    assert warning.levelname == "WARNING"
    assert f"port {port} " in warning.message
    assert "RELAY_TURN_PORT" in warning.message


async def test_ports_that_are_mapped_have_their_outer_number(no_errors_logged: None) -> None:
    async with RunningEdge.started(public_port=443, turn_host="turn.example.org") as edge:
        [server] = edge.edge.ice_servers("student_456", "calls.example.org", time.time())
        assert "turn:turn.example.org:443?transport=tcp" in server.urls
        relay = await edge.transport()
        assert [one.port for one in relay.candidates if one.transport == "tcp"] == [443]


async def test_a_broken_certificate_is_said_at_start(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "first")
    (tmp_path / "key.pem").write_text("nothing")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        async with RunningEdge.started(tls_cert=certificate, tls_key=key):
            pass


async def test_without_tcp_and_turn_http_is_all_there_is() -> None:
    async with RunningEdge.started(media_tcp=False, turn=False) as edge:
        assert edge.edge.ice_servers("student_456", HERE, time.time()) == []
        async with edge.connected() as one:
            one.send(REQUEST)
            assert (await one.rest()).startswith(b"HTTP/1.1 200 ")


async def test_the_urls_name_the_ports_that_are_open(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "first")
    async with RunningEdge.started(tls_cert=certificate, tls_key=key) as edge:
        [server] = edge.edge.ice_servers("student_456", "calls.example.org", time.time())
        udp, tcp = edge.edge._turn_ports[0].port, edge.edge.port
        assert server.urls == (
            f"turn:calls.example.org:{udp}?transport=udp",
            f"turn:calls.example.org:{tcp}?transport=tcp",
            f"turns:calls.example.org:{tcp}?transport=tcp",
        )


async def test_a_client_that_asks_while_the_server_stops_is_told_the_same(tmp_path: Path, no_errors_logged: None) -> None:
    app = create_app(settings(tmp_path))
    profile = {"profile_type": "student", "profile_id": 456}
    async with serve(app) as port, aiohttp.ClientSession(f"http://{HERE}:{port}") as http:
        async with http.post("/api/dev/login", json=profile) as response:
            before = (await response.json())["ice_servers"]
        app[EDGE].stop_listening()
        async with http.post("/api/dev/login", json=profile) as response:
            assert response.status == 200
            assert [one["urls"] for one in (await response.json())["ice_servers"]] == [one["urls"] for one in before]


async def test_an_external_server_leaves_the_built_in_one_off() -> None:
    urls = ("turn:turn.example.org:3478?transport=udp",)
    async with RunningEdge.started(turn_urls=urls, turn_secret="shared with coturn") as edge:
        [server] = edge.edge.ice_servers("student_456", HERE, time.time())
        assert server.urls == urls
        assert not edge.edge._turn_ports


async def test_the_relay_serves_its_page_and_its_websocket_through_the_edge(no_errors_logged: None, tmp_path: Path) -> None:
    async with (
        serve(create_app(settings(tmp_path))) as port,
        aiohttp.ClientSession(f"http://{HERE}:{port}", cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
    ):
        async with http.post("/api/dev/login", json={"profile_type": "student", "profile_id": 456}) as response:
            assert response.status == 200
        async with http.ws_connect("/ws/456/student") as websocket:
            assert (await websocket.receive_json(timeout=20))["type"] == "welcome"


async def test_what_is_our_own_fault_is_still_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(settings(tmp_path))

    async def fail(_request: web.Request, _response: web.StreamResponse) -> None:
        raise RuntimeError("our own fault")

    app.on_response_prepare.append(fail)
    async with serve(app) as port, aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientError):
            await http.get(f"http://{HERE}:{port}/healthz")
    assert "our own fault" in caplog.text
    assert app[EDGE].counters["http_malformed"] == 0


async def test_an_application_that_is_mounted_elsewhere_has_no_edge(no_errors_logged: None, tmp_path: Path) -> None:
    app = create_app(settings(tmp_path))
    runner = web.AppRunner(app)
    await runner.setup()
    assert app[EDGE].ice_servers("student_456", HERE, time.time()) == []
    await runner.cleanup()


async def test_a_stun_server_that_is_silent_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    given = settings(tmp_path, stun_server="127.0.0.1:1")
    assert await find_public_address(given, first_wait=0.01) == given
    assert "does not answer" in caplog.text


async def test_a_stun_server_tells_the_public_address_and_the_log_says_so_without_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with stun_server() as (server, _):
        found = await find_public_address(settings(tmp_path, stun_server=server))
    assert found.public_address == ("203.0.113.7=127.0.0.1",)
    assert found.advertised_addresses == ("203.0.113.7", "127.0.0.1")
    assert "the STUN server reports a public address: there is NAT" in caplog.text
    assert "203.0.113.7" not in caplog.text


async def test_an_address_that_is_set_needs_no_stun_server(tmp_path: Path) -> None:
    async with stun_server() as (server, asked):
        given = settings(tmp_path, stun_server=server, public_address=("1.1.1.1",))
        assert await find_public_address(given) == given
        assert asked.requests == 0


async def test_an_address_that_cannot_be_right_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await find_public_address(settings(tmp_path, public_address=("0.0.0.0",)))
    assert "placeholder" in caplog.text
