"""HTTP on the shared port, from hostile clients: every request ends in time, gets an answer that says why, and leaves no
traceback in the log."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.composition.limits import AppLimits
from relay.edge.limits import EdgeLimits
from tests.edge.kit import HERE, Connection, trusting, write_certificate
from tests.kit.server import RunningRelay, running_relay
from tests.kit.wait import eventually

GOOD = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"
LOGIN = b"POST /api/dev/login HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"


def port_of(relay: RunningRelay) -> int:
    return int(relay.url.rpartition(":")[2])


@contextlib.asynccontextmanager
async def connected(relay: RunningRelay, context: ssl.SSLContext | None = None) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection(HERE, port_of(relay), ssl=context)
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()


async def one_answer(connection: Connection) -> bytes:
    """The head of an answer, and its body as far as it has a length."""
    async with asyncio.timeout(20):
        head = await connection.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return head + await connection.reader.readexactly(length)


# -- what is no HTTP ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"GET / HTTP/9.9.9\r\n\r\n", id="version"),
        pytest.param(b"GE\x00T / HTTP/1.1\r\nHost: here\r\n\r\n", id="method"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", id="two hosts"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: here\r\nNo colon\r\n\r\n", id="header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: here\r\nX: a\x00b\r\n\r\n", id="NUL"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: here\r\nX: " + b"a" * 9000 + b"\r\n\r\n", id="long header"),
        pytest.param(b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: here\r\n\r\n", id="long line"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: here\r\n" + b"a: b\r\n" * 1000 + b"\r\n", id="many headers"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: -1\r\n\r\n", id="negative length"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", id="smuggled"),
        pytest.param(b"GET http://[::1 HTTP/1.1\r\nHost: here\r\n\r\n", id="target"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(b"\r\n\r\nA\r\n\r\n", id="nearly nothing"),
    ],
)
async def test_a_malformed_request_is_answered_with_400_and_counted(relay: RunningRelay, request_: bytes) -> None:
    async with connected(relay) as one:
        one.send(request_)
        answer = await one.rest()
        assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 ")), answer
    assert (await relay.counters())["relay_front_http_malformed_total"] == 1


@pytest.mark.parametrize(
    "request_",
    [GOOD, GOOD.replace(b"healthz", b"nothing"), b"GET / HTTP/9.9.9\r\n\r\n", b"GE\x00T / HTTP/1.1\r\nHost: a\r\n\r\n"],
)
async def test_no_answer_names_a_library_or_a_version(relay: RunningRelay, request_: bytes) -> None:
    async with connected(relay) as one:
        one.send(request_)
        answer = await one_answer(one)
    assert b"\r\nServer: call-relay\r\n" in answer
    assert b"aiohttp" not in answer
    assert b"Python" not in answer


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"-1\r\n", b"fffffffffffffffffffff\r\n", b"5\r\nabcdefgh\r\n"])
async def test_a_body_in_broken_chunks_is_answered_in_words(relay: RunningRelay, chunks: bytes) -> None:
    head = LOGIN.replace(b"Content-Length: 1000", b"Transfer-Encoding: chunked")
    async with connected(relay) as one:
        one.send(head + chunks)
        answer = await one.rest()
        assert b" 400 " in answer.splitlines()[0], answer


@pytest.mark.parametrize(
    "host", [b'a"b', b"a b", b"a/b", b"a?x=", b"[::1", b"[1.2.3.4]", b"a:b:c", b"a@b", b"\xc3\xa9", b"", b"a" * 300]
)
async def test_a_hostile_host_is_refused_where_it_would_be_repeated(relay: RunningRelay, host: bytes) -> None:
    body = b'{"profile_type": "student", "profile_id": 456}'
    async with connected(relay) as one:
        head = b"POST /api/dev/login HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        one.send(head % (host, len(body)) + body)
        answer = await one.rest()
        assert answer.startswith(b"HTTP/1.1 400 "), answer
        assert b"turn:" not in answer


@pytest.mark.parametrize("host", [b"calls.example.org", b"calls.example.org:8443", b"192.0.2.1:80", b"[2001:db8::1]:443"])
async def test_a_good_host_is_where_turn_is_said_to_be(relay: RunningRelay, host: bytes) -> None:
    body = b'{"profile_type": "student", "profile_id": 456}'
    async with connected(relay) as one:
        head = b"POST /api/dev/login HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        one.send(head % (host, len(body)) + body)
        name = host.rpartition(b":")[0] if host.endswith((b"3", b"0")) else host
        assert b'"turn:' + name + b":" in await one.rest()


# -- who takes their time -----------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def impatient(folder: Path, **limits: float) -> AsyncIterator[RunningRelay]:
    """A relay whose edge has other `EdgeLimits`."""
    async with running_relay(folder, limits=AppLimits(edge=EdgeLimits(**limits))) as relay:  # type: ignore[arg-type]
        yield relay


async def test_a_body_that_trickles_in_is_answered_with_408(no_errors_logged: None, tmp_path: Path) -> None:
    async with impatient(tmp_path, request_body=0.2) as relay, connected(relay) as one:
        one.send(LOGIN)
        trickle = asyncio.create_task(_trickle(one))
        assert b" 408 " in await one_answer(one)
        trickle.cancel()
        one.writer.transport.abort()


async def _trickle(one: Connection) -> None:
    while True:
        one.send(b" ")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("said", [b"", b"GET /heal", GOOD[:-2], b"\r\n"])
async def test_the_next_request_of_a_connection_has_its_time_too(no_errors_logged: None, tmp_path: Path, said: bytes) -> None:
    async with impatient(tmp_path, keepalive=0.3) as relay, connected(relay) as one:
        one.send(GOOD)
        assert b" 200 " in await one_answer(one)
        one.send(said)
        assert await one.rest() == b""


async def test_a_head_that_trickles_in_gains_no_time_by_it(no_errors_logged: None, tmp_path: Path) -> None:
    async with impatient(tmp_path, keepalive=0.3) as relay, connected(relay) as one:
        one.send(GOOD)
        await one_answer(one)
        one.send(b"GET /healthz HTTP/1.1\r\nX: ")
        trickle = asyncio.create_task(_trickle(one))
        assert await one.rest() == b""
        trickle.cancel()


async def test_a_websocket_may_be_silent_for_longer_than_any_request(no_errors_logged: None, tmp_path: Path) -> None:
    async with (
        impatient(tmp_path, keepalive=0.2) as relay,
        aiohttp.ClientSession(relay.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
    ):
        await (await http.post("/api/dev/login", json={"profile_type": "student", "profile_id": 456})).read()
        async with http.ws_connect("/ws/456/student") as websocket:
            assert (await websocket.receive_json(timeout=20))["type"] == "welcome"
            with pytest.raises(TimeoutError):
                await websocket.receive(timeout=0.6)
            await websocket.send_str("{}")
            assert (await websocket.receive_json(timeout=20))["type"] == "error"


async def test_the_connection_of_a_client_that_does_not_read_its_response_is_closed(
    no_errors_logged: None, tmp_path: Path
) -> None:
    """The kernel does that: what it cannot get rid of for so long ends the connection (TCP_USER_TIMEOUT)."""
    async with impatient(tmp_path, unacknowledged=0.5) as relay:
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            one.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(one, (HERE, port_of(relay)))
            await loop.sock_sendall(one, b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n" * 30)

            async def is_cut() -> bool:
                try:
                    one.send(b"\r\n")
                except BlockingIOError:
                    return False
                except OSError:
                    return True
                return False

            await eventually(is_cut, "the connection is cut")


# -- with a certificate -------------------------------------------------------------------------------------------------


@pytest.fixture
async def secure(no_errors_logged: None, tmp_path: Path, relay_settings: dict[str, Any]) -> AsyncIterator[RunningRelay]:
    """A relay with a certificate; what comes through its proxy is as if it came from elsewhere."""
    certificate, key = write_certificate(tmp_path, "relay")
    given = {"tls_cert": certificate, "tls_key": key, "trusted_proxies": (HERE,), **relay_settings}
    async with running_relay(tmp_path, **given) as running:
        yield running


def from_elsewhere(**headers: str) -> dict[str, str]:
    return {"X-Forwarded-For": "203.0.113.9", "Host": "calls.example.org", **headers}


@pytest.mark.parametrize("path", ["/", "/nothing?a=b", "//evil.example/x"])
async def test_a_page_without_tls_is_a_redirect_to_the_same_with_it(secure: RunningRelay, path: str) -> None:
    async with connected(secure) as one:
        head = "".join(f"{name}: {value}\r\n" for name, value in from_elsewhere().items())
        one.send(f"GET {path} HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode())
        answer = await one.rest()
        assert answer.startswith(b"HTTP/1.1 308 "), answer
        assert f"\r\nLocation: https://calls.example.org{path}\r\n".encode() in answer


async def test_a_request_whose_host_is_not_valid_is_not_redirected(secure: RunningRelay) -> None:
    async with connected(secure) as one:
        one.send(b'GET / HTTP/1.1\r\nX-Forwarded-For: 203.0.113.9\r\nHost: evil"><\r\nConnection: close\r\n\r\n')
        answer = await one.rest()
        assert answer.startswith(b"HTTP/1.1 400 "), answer
        assert b"Location" not in answer


@pytest.mark.parametrize("path", ["/api/profiles", "/ws/456/student"])
async def test_credentials_without_tls_are_refused_and_not_redirected(secure: RunningRelay, path: str) -> None:
    url = f"http://{HERE}:{port_of(secure)}{path}"
    async with aiohttp.ClientSession() as http, http.get(url, headers=from_elsewhere(), allow_redirects=False) as response:
        assert response.status == 403
        assert (await response.json())["error"]["code"] == "https_required"


@pytest.mark.parametrize("path", ["/healthz", "/metrics"])
async def test_probes_need_no_tls(secure: RunningRelay, path: str) -> None:
    url = f"http://{HERE}:{port_of(secure)}{path}"
    async with aiohttp.ClientSession() as http, http.get(url, headers=from_elsewhere()) as response:
        assert response.status == 200


async def test_loopback_clients_and_a_proxy_that_terminates_tls_need_no_tls(secure: RunningRelay) -> None:
    url = f"http://{HERE}:{port_of(secure)}/"
    async with aiohttp.ClientSession() as http:
        for headers in ({}, from_elsewhere(**{"X-Forwarded-Proto": "https"})):
            async with http.get(url, headers=headers) as response:
                assert response.status == 200


async def test_broken_tls_handshakes_do_not_disturb_the_page(secure: RunningRelay) -> None:
    hello = _client_hello()
    garbage = [hello[:cut] for cut in (1, 3, 5, 40, len(hello) - 1)]
    garbage += [hello + b"\x00" * 50, hello[:5] + b"\xff" * 600, b"\x16\x03\x01\xff\xff" + b"\xaa" * 70_000, b"\x16\x03" * 100]
    garbage += [hello[:60] + b"GET / HTTP/1.1\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x28", b"\x80\x2e\x01\x00\x02"]
    for reset in (False, True):
        for data in garbage:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(HERE, port_of(secure))
                writer.write(data)
                await writer.drain()
                if reset:
                    plain = writer.get_extra_info("socket")
                    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                elif not data.startswith(hello[:1]):
                    await reader.read()
                writer.transport.abort()
    async with connected(secure, trusting()) as one:
        one.send(GOOD)
        assert b" 200 " in await one_answer(one)


def _client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        trusting().wrap_bio(incoming, outgoing).do_handshake()
    return outgoing.read()
