"""What every answer has in common."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from relay.http import responses
from relay.http.pages import WEB
from tests.http.conftest import bearer
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

PATHS = {
    "the page": ("GET", "/", 200),
    "a module": ("GET", "/app/main.js", 200),
    "a style sheet": ("GET", "/css/base.css", 200),
    "the icon": ("GET", "/icon.svg", 200),
    "the API": ("GET", "/api/profiles", 200),
    "the health": ("GET", "/healthz", 200),
    "the metrics": ("GET", "/metrics", 200),
    "nothing there": ("GET", "/nothing/there", 404),
    "no such file": ("GET", "/client/nothing.js", 404),
    "a folder": ("GET", "/app/ui", 404),
    "a method that is not": ("DELETE", "/api/profiles", 405),
    "a bad body": ("POST", "/api/dev/login", 400),
    "no upgrade": ("GET", "/ws/456/student", 426),
    "another's socket": ("GET", "/ws/1/student", 403),
}

every_path = pytest.mark.parametrize(("method", "path", "status"), PATHS.values(), ids=PATHS.keys())


@pytest.mark.changes_nothing
@every_path
async def test_every_answer_tells_the_browser_to_be_careful(
    http: aiohttp.ClientSession, method: str, path: str, status: int
) -> None:
    async with http.request(method, path, headers=bearer("student_456")) as response:
        assert response.status == status
        headers = response.headers
    policy = {
        part.strip().partition(" ")[0]: part.strip().partition(" ")[2] for part in headers["Content-Security-Policy"].split(";")
    }
    # Nothing that stands in the page itself is run; a service worker and a manifest may be our own.
    for kind in ("default", "script", "worker", "manifest"):
        assert policy[f"{kind}-src"] == "'self'"
    # Nor shown, but for the first styles of a page, byte for byte (see test_pages.py).
    styles = policy["style-src"].split()
    assert styles[0] == "'self'" and len(styles) == (2 if path == "/" else 1)
    assert all(one.startswith("'sha256-") for one in styles[1:])
    assert (policy["frame-ancestors"], policy["object-src"], policy["base-uri"]) == ("'none'", "'none'", "'self'")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Permissions-Policy"].startswith("camera=(self), microphone=(self)")
    assert (headers["Cross-Origin-Opener-Policy"], headers["Cross-Origin-Resource-Policy"]) == ("same-origin", "same-origin")
    assert "geolocation=()" in headers["Permissions-Policy"]
    assert headers["Cache-Control"] == ("no-store" if headers["Content-Type"].startswith("application/json") else "no-cache")
    assert "Strict-Transport-Security" not in headers, "it came by http"


@pytest.mark.changes_nothing
@every_path
@pytest.mark.settings(trusted_proxies=("127.0.0.1",))
async def test_https_responses_set_hsts_and_a_secure_csp(
    http: aiohttp.ClientSession, method: str, path: str, status: int
) -> None:
    headers = {**bearer("student_456"), "X-Forwarded-Proto": "https", "X-Forwarded-Host": "relay.example"}
    async with http.request(method, path, headers=headers) as response:
        assert response.status == status
        assert response.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert "connect-src 'self' wss://relay.example;" in response.headers["Content-Security-Policy"]


@pytest.mark.changes_nothing
async def test_a_stranger_cannot_say_that_it_came_by_https(http: aiohttp.ClientSession) -> None:
    async with http.get("/", headers={"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}) as response:
        assert "Strict-Transport-Security" not in response.headers
        assert "evil.example" not in response.headers["Content-Security-Policy"]


@pytest.mark.changes_nothing
@pytest.mark.parametrize("host", ["a b", "a;script-src *", "a'", "[::1]:8000", "é", "*", "a" * 300, "a:b"])
@pytest.mark.settings(trusted_proxies=("127.0.0.1",))
async def test_the_policy_names_no_host_that_could_be_more_than_one(http: aiohttp.ClientSession, host: str) -> None:
    async with http.get("/", headers={"X-Forwarded-Host": host}) as response:
        assert "connect-src 'self';" in response.headers["Content-Security-Policy"]


@pytest.mark.changes_nothing
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing/there", 404, "not_found"),
        ("GET", "/ws/student/456", 404, "not_found"),
        ("GET", "/client/nothing.js", 404, "not_found"),
        ("GET", "/app/ui", 404, "not_found"),
        ("DELETE", "/api/profiles", 405, "method_not_allowed"),
        ("GET", "/api/dev/login", 405, "method_not_allowed"),
    ],
)
async def test_every_failure_is_json_with_a_code(
    http: aiohttp.ClientSession, method: str, path: str, status: int, code: str
) -> None:
    async with http.request(method, path) as response:
        assert (response.status, response.content_type) == (status, "application/json")
        body = await response.json()
    assert body.keys() == {"error"}
    assert body["error"]["code"] == code
    assert body["error"]["message"]


@pytest.mark.changes_nothing
async def test_a_method_that_is_not_allowed_is_told_which_are(http: aiohttp.ClientSession) -> None:
    """RFC 9110 section 15.5.6: the answer must have an Allow header."""
    async with http.delete("/api/profiles") as response:
        assert response.status == 405
        assert set(response.headers["Allow"].split(",")) >= {"GET"}


@pytest.mark.changes_nothing
async def test_a_page_that_has_not_changed_is_not_sent_again(http: aiohttp.ClientSession) -> None:
    async with http.get("/") as response:
        tag = response.headers["ETag"]
    async with http.get("/", headers={"If-None-Match": tag}) as response:
        assert response.status == 304
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.changes_nothing
@pytest.mark.parametrize(
    "path",
    [
        "/client/../../setup.cfg",
        "/client/..%2f..%2fsetup.cfg",
        "/client/%2e%2e/%2e%2e/setup.cfg",
        "/client/%2e%2e%2f%2e%2e%2fsetup.cfg",
        "/client/..%5c..%5csetup.cfg",
        "/client//etc/passwd",
        "/client/%2fetc%2fpasswd",
        "/css/../client/../../relay/app.py",
        "/client/%00",
        "/../setup.cfg",
    ],
)
async def test_no_path_leads_out_of_the_pages(relay: RunningRelay, path: str) -> None:
    """Sent as it is: a client that tidied the path up would hide what the server does."""
    import asyncio

    host, _, port = relay.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    assert answer.split(" ")[1] in {"400", "403", "404"}, answer
    for secret in ("[metadata]", "root:", "Settings"):
        assert secret not in answer


def test_the_pages_hold_nothing_but_pages() -> None:
    served = {file.suffix for folder in ("app", "client", "css") for file in (WEB / folder).rglob("*") if file.is_file()}
    assert served <= {".css", ".js"}
    assert (WEB / "index.html").is_file()
    assert Path(WEB).parent == Path(__file__).parents[2]


@contextlib.asynccontextmanager
async def _serving(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[tuple[str, int]]:
    """The address of a server that answers by that handler."""
    app = web.Application(middlewares=[responses.errors_in_words])
    app.on_response_prepare.append(responses.add_headers)
    app.router.add_get("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][:2]
    finally:
        await runner.cleanup()


async def test_a_failure_of_our_own_says_nothing_of_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(request: web.Request) -> web.Response:
        raise RuntimeError("the secret is 42")

    async with _serving(fail) as (host, port), aiohttp.ClientSession() as http, http.get(f"http://{host}:{port}/") as response:
        assert (response.status, response.content_type) == (500, "application/json")
        assert await response.json() == {"error": {"code": "internal", "message": "the server could not do this"}}
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "the secret is 42" in caplog.text


@pytest.mark.parametrize("lost", ["a while ago", "just now"])
async def test_a_client_that_leaves_before_its_upgrade_is_answered_is_no_failure(no_errors_logged: None, lost: str) -> None:
    answered = asyncio.Event()

    async def upgrade(request: web.Request) -> web.StreamResponse:
        if lost == "just now":
            assert request.transport is not None
            request.transport.abort()  # aiohttp is told in the next turn of the event loop
        else:
            await eventually(lambda: request.transport is None, "the server knows that the client has gone")
        try:
            await (response := web.WebSocketResponse()).prepare(request)
        finally:
            answered.set()
        return response

    async with _serving(upgrade) as (host, port):
        _, writer = await asyncio.open_connection(host, port)
        writer.write(
            b"GET / HTTP/1.1\r\nHost: relay\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await writer.drain()
        writer.close()
        async with asyncio.timeout(20):
            await answered.wait()
