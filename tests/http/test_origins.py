"""Which pages may use the relay."""

from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from relay.http.origins import Origins
from relay.http.proxies import Proxies
from tests.http.conftest import bearer
from tests.kit.server import RunningRelay

ORIGIN_LIST = ["https://app.example", "http://localhost:3000"]
ORIGINS_HERE = Origins(ORIGIN_LIST)


def allowed(*origins: str, host: str = "relay.example") -> bool:
    headers = CIMultiDict([("Host", host), *(("Origin", origin) for origin in origins)])
    return ORIGINS_HERE.allowed(make_mocked_request("GET", "/ws/1/tutor", headers))


def test_who_is_no_browser_may() -> None:
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
def test_our_own_page_and_those_that_are_named_may(origin: str, host: str) -> None:
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
def test_no_other_page_may(origin: str) -> None:
    assert not allowed(origin)


def test_two_origins_are_none() -> None:
    assert not allowed("https://relay.example", "https://evil.example")
    assert not allowed("https://relay.example https://evil.example")


async def test_over_https_the_page_must_have_come_by_https_too() -> None:
    """Somebody between can write what comes by http."""
    headers = {"Host": "relay.example", "X-Forwarded-Proto": "https"}
    seen: dict[str, bool] = {}
    for origin in ("http://relay.example", "https://relay.example"):
        request = make_mocked_request("GET", "/", CIMultiDict({**headers, "Origin": origin})).clone(remote="10.0.0.1")

        async def look(request: Any, origin: str = origin) -> Any:
            seen[origin] = ORIGINS_HERE.allowed(request)

        await Proxies(["10.0.0.1"]).middleware()(request, look)
    assert seen == {"http://relay.example": False, "https://relay.example": True}


@given(st.text(st.characters(codec="latin-1", exclude_categories=["Cc"])), st.text(st.characters(codec="ascii")))
def test_no_header_is_too_strange(origin: str, host: str) -> None:
    assert allowed(origin, host=host) == (origin in ORIGIN_LIST)


# -- requests -----------------------------------------------------------------------------------------------------------


async def test_a_foreign_page_opens_no_socket_whatever_credential_it_has(
    http: aiohttp.ClientSession, relay: RunningRelay
) -> None:
    for headers in ({}, bearer("student_456")):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect("/ws/456/student", headers={**headers, "Origin": "https://evil.example"})
        assert refused.value.status == 403
    async with http.get("/ws/456/student", headers=bearer("student_456")) as response:
        assert response.status == 426, "only an upgrade opens a socket"


async def test_a_foreign_page_changes_nothing(http: aiohttp.ClientSession) -> None:
    body = {"profile_type": "student", "profile_id": 456}
    async with http.post("/api/dev/login", json=body, headers={"Origin": "https://evil.example"}) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (403, "foreign_origin")
        assert "Set-Cookie" not in response.headers
    async with http.get("/", headers={"Origin": "https://evil.example"}) as response:
        assert response.status == 200


async def test_our_own_page_does(http: aiohttp.ClientSession, relay: RunningRelay) -> None:
    body = {"profile_type": "student", "profile_id": 456}
    async with http.post("/api/dev/login", json=body, headers={"Origin": relay.url}) as response:
        assert response.status == 200


@pytest.mark.settings(allowed_origins=("https://app.example",))
async def test_a_page_that_is_named_does_too(http: aiohttp.ClientSession) -> None:
    body = {"profile_type": "student", "profile_id": 456}
    async with http.post("/api/dev/login", json=body, headers={"Origin": "https://app.example"}) as response:
        assert response.status == 200


async def test_what_was_refused_is_counted() -> None:
    origins = Origins()

    async def never(request: web.Request) -> web.StreamResponse:
        raise AssertionError("a foreign page was let in")

    foreign = {"Host": "relay.example", "Origin": "https://evil.example"}
    for method, headers in (("GET", {**foreign, "Upgrade": "WebSocket"}), ("POST", foreign), ("DELETE", foreign)):
        response = await origins.middleware()(make_mocked_request(method, "/", headers), never)
        assert response.status == 403
    assert origins.refused == {"socket": 1, "request": 2}
