"""Which pages may use the relay."""

from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from relay.http.access.origins import Origins
from relay.http.proxies import Proxies
from tests.http.conftest import bearer
from tests.kit.server import RunningRelay

ORIGIN_LIST = ["https://app.example", "http://localhost:3000"]
ORIGINS_HERE = Origins(ORIGIN_LIST)


def allowed(*origins: str, host: str = "relay.example") -> bool:
    headers = CIMultiDict([("Host", host), *(("Origin", origin) for origin in origins)])
    return ORIGINS_HERE.allowed(make_mocked_request("GET", "/ws/1/tutor", headers))


def test_a_client_without_an_origin_is_allowed() -> None:
    assert allowed()


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://relay.example", "relay.example"),
        ("http://relay.example", "relay.example"),
        ("https://Relay.Example", "RELAY.example"),
        ("https://relay.example", "relay.example:443"),
        ("http://relay.example", "relay.example:80"),
        ("http://localhost:8000", "localhost:8000"),
        ("http://[2001:db8::1]:8000", "[2001:db8::1]:8000"),
        ("https://app.example", "relay.example"),
        ("https://app.example:443", "relay.example"),
        ("http://localhost:3000", "relay.example"),
    ],
)
def test_the_relays_own_page_and_named_pages_are_allowed(origin: str, host: str) -> None:
    assert allowed(origin, host=host)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://relay.example.evil.example",
        "https://evilrelay.example",
        "https://relay.example:8443",
        "https://relay.example@evil.example",
        "https://relay.example/@evil.example",
        "http://app.example",
        "https://app.example:444",
        "https://sub.app.example",
        "null",
        "",
        "*",
        "file://",
        "relay.example",
        "//relay.example",
        "ws://relay.example",
        "chrome-extension://relay.example",
        "https://",
        "https://[",
        "https://relay.example:port",
        "https://relay.example:99999",
    ],
)
def test_other_pages_are_refused(origin: str) -> None:
    assert not allowed(origin)


def test_two_origin_headers_are_refused() -> None:
    assert not allowed("https://relay.example", "https://evil.example")
    assert not allowed("https://relay.example https://evil.example")


async def test_over_https_the_page_must_have_come_by_https_too() -> None:
    """A machine in the middle can write a page that comes by http."""
    headers = {"Host": "relay.example", "X-Forwarded-Proto": "https"}
    seen: dict[str, bool] = {}
    for origin in ("http://relay.example", "https://relay.example"):
        request = make_mocked_request("GET", "/", CIMultiDict({**headers, "Origin": origin})).clone(remote="10.0.0.1")

        async def look(request: Any, origin: str = origin) -> Any:
            seen[origin] = ORIGINS_HERE.allowed(request)

        await Proxies(["10.0.0.1"]).middleware()(request, look)
    assert seen == {"http://relay.example": False, "https://relay.example": True}


@given(st.text(st.characters(codec="latin-1", exclude_categories=["Cc"])), st.text(st.characters(codec="ascii")))
def test_malformed_origin_and_host_headers_are_judged_without_an_exception(origin: str, host: str) -> None:
    assert allowed(origin, host=host) == (origin in ORIGIN_LIST)


# -- requests -----------------------------------------------------------------------------------------------------------


@pytest.mark.changes_nothing
async def test_a_foreign_page_opens_no_socket_whatever_credential_it_has(
    http: aiohttp.ClientSession, relay: RunningRelay
) -> None:
    for headers in ({}, bearer("student_456")):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect("/ws/456/student", headers={**headers, "Origin": "https://evil.example"})
        assert refused.value.status == 403
    async with http.get("/ws/456/student", headers=bearer("student_456")) as response:
        assert response.status == 426, "only an upgrade opens a socket"


@pytest.mark.changes_nothing
async def test_a_foreign_page_changes_nothing(http: aiohttp.ClientSession) -> None:
    body = {"profile_type": "student", "profile_id": 456}
    async with http.post("/api/dev/login", json=body, headers={"Origin": "https://evil.example"}) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (403, "foreign_origin")
        assert "Set-Cookie" not in response.headers
    async with http.get("/", headers={"Origin": "https://evil.example"}) as response:
        assert response.status == 200


async def test_the_relays_own_page_may_send_changes(http: aiohttp.ClientSession, relay: RunningRelay) -> None:
    body = {"profile_type": "student", "profile_id": 456}
    async with http.post("/api/dev/login", json=body, headers={"Origin": relay.url}) as response:
        assert response.status == 200


@pytest.mark.settings(allowed_origins=("https://app.example",))
async def test_a_named_page_may_send_changes_too(http: aiohttp.ClientSession) -> None:
    body = {"profile_type": "student", "profile_id": 456}
    async with http.post("/api/dev/login", json=body, headers={"Origin": "https://app.example"}) as response:
        assert response.status == 200


async def test_refusals_are_counted() -> None:
    origins = Origins()

    async def never(request: web.Request) -> web.StreamResponse:
        raise AssertionError("a foreign page was let in")

    foreign = {"Host": "relay.example", "Origin": "https://evil.example"}
    for method, headers in (("GET", {**foreign, "Upgrade": "WebSocket"}), ("POST", foreign), ("DELETE", foreign)):
        response = await origins.middleware()(make_mocked_request(method, "/", headers), never)
        assert response.status == 403
    assert origins.refused == {"socket": 1, "request": 2}


# -- cross-origin requests ------------------------------------------------------------------------------------------------

APP = "https://app.example"


def preflight(origin: str, method: str) -> dict[str, str]:
    return {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization"}


@pytest.mark.settings(allowed_origins=(APP,), limit_requests="1/hour")
async def test_a_named_page_is_told_what_it_may_send_whatever_the_limits_say(http: aiohttp.ClientSession) -> None:
    for _ in range(3):
        async with http.options("/api/settings", headers=preflight(APP, "PUT")) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == APP
            assert "PUT" in response.headers["Access-Control-Allow-Methods"].split(", ")
            assert "DELETE" not in response.headers["Access-Control-Allow-Methods"]
            assert "Authorization" in response.headers["Access-Control-Allow-Headers"]


@pytest.mark.settings(allowed_origins=(APP,), service_token="s" * 32)
async def test_no_other_page_and_nothing_else_gets_leave(http: aiohttp.ClientSession, relay: RunningRelay) -> None:
    for origin, path, status, foreign in (
        (APP, "/api/admin/sync", 405, 0),
        (APP, "/metrics", 405, 0),
        (APP, "/api/none", 404, 0),
        ("https://evil.example", "/api/settings", 403, 1),
        ("null", "/api/settings", 403, 2),
    ):
        async with http.options(path, headers=preflight(origin, "GET")) as response:
            assert response.status == status, (origin, path)
            assert "Access-Control-Allow-Methods" not in response.headers
        assert (await relay.counters()).get("relay_foreign_origins_total", 0) == foreign, (origin, path)


@pytest.mark.settings(allowed_origins=(APP,))
async def test_every_answer_says_for_which_page_it_is(http: aiohttp.ClientSession) -> None:
    for path, status in (("/client/protocol.js", 200), ("/css/tokens.css", 200), ("/api/calls", 401), ("/client/none.js", 404)):
        async with http.get(path, headers={"Origin": APP}) as response:
            assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (status, APP)
            assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
            assert "Origin" in response.headers["Vary"].split(", ")
        for headers in ({}, {"Origin": "https://evil.example"}):
            async with http.get(path, headers=headers) as response:
                assert "Access-Control-Allow-Origin" not in response.headers
                assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
                assert "Origin" in response.headers["Vary"].split(", "), "a cache would show it to the other page"
    async with http.get("/", headers={"Origin": APP}) as response:
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.changes_nothing
async def test_without_named_pages_nothing_is_said_of_origins(http: aiohttp.ClientSession) -> None:
    async with http.get("/client/protocol.js", headers={"Origin": APP}) as response:
        assert "Origin" not in response.headers["Vary"]
        assert not [name for name in response.headers if name.startswith("Access-Control-")]
