"""What answers at a URL may be anything, or nothing."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from relay.check.client import HopFailed, RelayClient, turn_url
from relay.check.report import Target
from relay.client.signin import TIMEOUT, ClientLogin, SignedIn
from relay.ice_servers import IceServer
from tests.edge.kit import write_certificate

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REFUSAL = {"error": {"code": "unauthorized", "message": "no credential: log in first"}}
SERVERS = {"ice_servers": [{"urls": ["turn:relay.example:3478"], "username": "u", "credential": "c"}]}
NO_TOKEN = ClientLogin()
TOKEN = ClientLogin("a token")


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@contextlib.asynccontextmanager
async def serving(routes: dict[str, Handler], tls: ssl.SSLContext | None = None) -> AsyncIterator[URL]:
    app = web.Application()
    for path, handler in routes.items():
        app.router.add_route("*", path, handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield URL(f"http{'s' if tls else ''}://{host}:{port}")
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def talking(talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[URL]:
    """A server without HTTP."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    async with server:
        yield URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")


def answering(body: object, status: int = 200) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    return handle


def saying(text: str, status: int = 200) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(text=text, status=status, content_type="text/html")

    return handle


async def problem(
    http: aiohttp.ClientSession, url: URL, credential: ClientLogin = NO_TOKEN, *, patience: float = TIMEOUT
) -> tuple[str, str]:
    with pytest.raises(HopFailed) as failed:
        await RelayClient(http, timeout=patience).sign_in(url, credential)
    return failed.value.reason, failed.value.detail


# -- the page -----------------------------------------------------------------------------------------------------------


async def test_a_client_with_a_token_is_admitted(http: aiohttp.ClientSession) -> None:
    async def servers(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer a token"
        return web.json_response(SERVERS)

    async with serving({"/below/api/ice-servers": servers}) as url:
        access = await RelayClient(http).sign_in(url / "below", TOKEN)
    assert access == SignedIn(url / "below/", "a token", (IceServer(("turn:relay.example:3478",), "u", "c"),))


async def test_in_development_mode_anybody_is_let_in(http: aiohttp.ClientSession) -> None:
    async def servers(request: web.Request) -> web.Response:
        good = request.headers.get("Authorization") == "Bearer made"
        return web.json_response(SERVERS if good else REFUSAL, status=200 if good else 401)

    async def log_in(request: web.Request) -> web.Response:
        assert await request.json() == {"profile_type": "tutor", "profile_id": 7}
        return web.json_response({"token": "made"})

    async with serving({"/api/ice-servers": servers, "/api/dev/login": log_in}) as url:
        assert (await RelayClient(http).sign_in(url, ClientLogin("", "tutor", 7))).token == "made"


async def test_a_redirection_is_followed_and_the_rest_goes_there_too(http: aiohttp.ClientSession) -> None:
    async with serving({"/relay/api/ice-servers": answering(SERVERS)}) as there:

        async def elsewhere(request: web.Request) -> web.Response:
            raise web.HTTPPermanentRedirect(there / "relay" / request.path.removeprefix("/"))

        async with serving({"/{path:.*}": elsewhere}) as here:
            assert (await RelayClient(http).sign_in(here, NO_TOKEN)).base == there / "relay/"


async def test_without_development_mode_it_says_that_a_token_is_needed(http: aiohttp.ClientSession) -> None:
    missing = answering({"error": {"code": "not_found", "message": "Not Found"}}, 404)
    async with serving({"/api/ice-servers": answering(REFUSAL, 401), "/api/dev/login": missing}) as url:
        reason, detail = await problem(http, url)
    assert (reason, "--token" in detail) == ("unauthorized", True)


async def test_a_token_that_is_not_good_is_said(http: aiohttp.ClientSession) -> None:
    async with serving({"/api/ice-servers": answering(REFUSAL, 401)}) as url:
        assert await problem(http, url, TOKEN) == ("unauthorized", "no credential: log in first")


@pytest.mark.parametrize(
    ("handler", "detail"),
    [
        (saying("<!doctype html><title>Router</title>"), "it answers with status 200 and HTML"),
        (saying("<h1>Not Found</h1>", 404), "it answers with status 404 and HTML"),
        (saying("<h1>Unauthorized</h1>", 401), "it answers with status 401 and HTML"),
        (saying(""), "it answers with status 200 and unknown content"),
        (answering({}), "it answers with status 200 and unknown content"),
        (answering([1, 2]), "it answers with status 200 and unknown content"),
        (answering({"ice_servers": "many"}), "it answers with status 200 and unknown content"),
        (answering({"detail": "Not authenticated"}, 401), "it answers with status 401 and unknown content"),
        (saying("[" * 100_000), "it answers with status 200 and unknown content"),
    ],
    ids=["a page", "no page", "another log-in", "nothing", "an object", "an array", "a word", "another API", "arrays in arrays"],
)
async def test_a_server_that_is_no_relay_is_called_that(http: aiohttp.ClientSession, handler: Handler, detail: str) -> None:
    async with serving({"/{path:.*}": handler}) as url:
        assert await problem(http, url) == ("not_relay", detail)


async def test_a_relay_that_fails_is_quoted(http: aiohttp.ClientSession) -> None:
    internal = answering({"error": {"code": "internal", "message": "the server could not do this"}}, 500)
    async with serving({"/{path:.*}": internal}) as url:
        assert await problem(http, url) == ("broken", "the server could not do this")


async def test_a_refused_connection_is_called_that(http: aiohttp.ClientSession) -> None:
    async with serving({}) as url:
        pass
    assert (await problem(http, url))[0] == "refused"


async def test_the_check_does_not_wait_for_a_server_that_does_not_respond(http: aiohttp.ClientSession) -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    async with talking(listen) as url:
        assert (await problem(http, url, patience=0.2))[0] == "silent"


async def test_a_server_that_never_stops_talking_is_not_listened_to(http: aiohttp.ClientSession) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while True:
            writer.write(b"[" * 65536)
            await writer.drain()

    async with talking(talk) as url:
        assert (await problem(http, url, patience=0.5))[0] == "not_relay"


async def test_a_response_that_is_not_http_is_reported_as_broken(http: aiohttp.ClientSession) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await writer.drain()

    async with talking(talk) as url:
        assert (await problem(http, url))[0] == "broken"


async def test_plain_http_where_tls_was_asked_for_is_said(http: aiohttp.ClientSession) -> None:
    async with serving({}) as url:
        assert await problem(http, url.with_scheme("https").with_port(url.port)) == ("broken", "the server does not speak TLS")


async def test_a_certificate_that_is_not_good_is_called_that(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write_certificate(tmp_path, "relay"))
    async with serving({}, context) as url:
        reason, detail = await problem(http, url)
    assert (reason, "certificate" in detail) == ("certificate", True)


async def test_a_name_that_does_not_exist_is_called_that() -> None:
    class Nowhere(AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        async def close(self) -> None:
            pass

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Nowhere())) as http:
        assert (await problem(http, URL("http://relay.invalid/")))[0] == "name"


async def test_an_answer_that_comes_in_pieces_is_put_together(http: aiohttp.ClientSession) -> None:
    async def slowly(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for byte in b'{"ice_servers": []}':
            await response.write(bytes([byte]))
        return response

    async with serving({"/api/ice-servers": slowly}) as url:
        assert (await RelayClient(http).sign_in(url, NO_TOKEN)).ice_servers == ()


# -- the WebSocket ------------------------------------------------------------------------------------------------------


async def socket_problem(http: aiohttp.ClientSession, handler: Handler, *, patience: float = TIMEOUT) -> tuple[str, str]:
    async with serving({"/ws/connectivity": handler}) as url:
        with pytest.raises(HopFailed) as failed:
            async with RelayClient(http, timeout=patience).connect(SignedIn(url, "a token", ())):
                pass
    return failed.value.reason, failed.value.detail


def frames(*texts: str) -> Handler:
    """A WebSocket that says one after the other, each after it heard something; then it ends."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        first, *others = texts
        await response.send_str(first)
        for text in others:
            await response.receive()
            await response.send_str(text)
        await response.receive()
        await response.close()
        return response

    return handle


READY = '{"type": "ready", "address": "198.51.100.2"}'


@pytest.mark.parametrize(("status", "text"), [(400, "No WebSocket UPGRADE hdr"), (200, "<p>hello"), (426, "Upgrade Required")])
async def test_a_proxy_that_strips_the_upgrade_is_found(http: aiohttp.ClientSession, status: int, text: str) -> None:
    assert await socket_problem(http, saying(text, status)) == ("upgrade", f"HTTP status {status} instead of 101")


async def test_a_websocket_that_delivers_no_messages_is_detected(http: aiohttp.ClientSession) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        await response.receive()
        return response

    assert (await socket_problem(http, handle, patience=0.2))[0] == "silent"


async def test_a_relay_that_is_busy_is_quoted(http: aiohttp.ClientSession) -> None:
    text = '{"type": "error", "code": "busy", "message": "too many tests run"}'
    assert await socket_problem(http, frames(text)) == ("busy", "too many tests run")


async def test_the_relay_says_where_it_sees_us(http: aiohttp.ClientSession) -> None:
    async with serving({"/ws/connectivity": frames(READY)}) as url, RelayClient(http).connect(SignedIn(url, "", ())) as opened:
        assert opened.address == "198.51.100.2"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ('{"type": "error", "code": "unavailable", "message": "no"}', "unavailable"),
        ('{"type": "answer", "sdp": "v=0"}', "unavailable"),
        ("hello", "lost"),
        ("[]", "lost"),
        ('{"type": 1}', "lost"),
    ],
)
async def test_any_answer_to_an_offer_is_handled(http: aiohttp.ClientSession, reply: str, reason: str) -> None:
    async with (
        serving({"/ws/connectivity": frames(READY, reply)}) as url,
        RelayClient(http).connect(SignedIn(url, "", ())) as opened,
    ):
        with pytest.raises(HopFailed) as failed:
            await opened.exchange("offer", "v=0")
    assert failed.value.reason == reason


async def test_a_websocket_that_breaks_is_noticed(http: aiohttp.ClientSession) -> None:
    async with serving({"/ws/connectivity": frames(READY)}) as url, RelayClient(http).connect(SignedIn(url, "", ())) as opened:
        for _ in range(2):
            with pytest.raises(HopFailed) as failed:
                await opened.exchange("offer", "v=0")
            assert failed.value.reason == "lost"


# -- TURN's URLs --------------------------------------------------------------------------------------------------------

ALL = IceServer(
    (
        "stun:stun.example:3478",
        "turn:relay.example:3478?transport=udp",
        "turn:[2001:db8::1]:443?transport=tcp",
        "turns:relay.example?transport=tcp",
    )
)


@pytest.mark.parametrize(
    ("scheme", "transport", "target"),
    [
        ("turn", "udp", Target("relay.example", 3478)),
        ("turn", "tcp", Target("2001:db8::1", 443)),
        ("turns", "tcp", Target("relay.example", 5349)),
    ],
)
def test_a_turn_server_is_found_by_how_it_is_reached(scheme: str, transport: str, target: Target) -> None:
    assert turn_url([ALL], scheme, transport) == (target, ALL)


def test_a_url_without_a_transport_means_udp_and_with_tls_tcp() -> None:
    server = IceServer(("turn:a.example", "turns:b.example:443"))
    assert turn_url([server], "turn", "udp") == (Target("a.example", 3478), server)
    assert turn_url([server], "turns", "tcp") == (Target("b.example", 443), server)
    assert turn_url([server], "turn", "tcp") is None


@pytest.mark.parametrize(
    "url", ["", "turn:", "turn::", "turn:a:b:c", "turn:relay.example:99999", "turn:relay.example:x", "https://a"]
)
def test_a_url_that_cannot_be_parsed_is_refused(url: str) -> None:
    assert turn_url([IceServer((url,))], "turn", "udp") is None
