"""`/api/session`: signing a browser in and out, and what is said of a credential that is not good."""

import time
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest

from relay.http.access.auth import COOKIE, SECURE_COOKIE
from tests.http.admin.conftest import SERVICE_TOKEN
from tests.http.conftest import SECRET, STUDENT, TOKENS, TUTOR, bearer, tokens
from tests.kit.server import RunningRelay, running_relay

DAY = 86_400


def as_bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def signed(**claims: Any) -> dict[str, str]:
    return as_bearer(jwt.encode({"sub": STUDENT.key, "exp": time.time() + 3600, **claims}, SECRET, algorithm="HS256"))


async def session_of(http: aiohttp.ClientSession, method: str = "GET", headers: dict[str, str] | None = None) -> dict[str, Any]:
    async with http.request(method, "/api/session", headers=headers) as response:
        assert response.status == 200
        assert response.headers["Cache-Control"] == "no-store"
        found: dict[str, Any] = await response.json()
        return found


@pytest.mark.changes_nothing
async def test_a_browser_without_a_credential_is_told_so_without_an_error(http: aiohttp.ClientSession) -> None:
    found = await session_of(http)
    assert (found["profile"], found["problem"], found["development"]) == (None, None, True)


async def test_a_token_signs_the_browser_in_until_it_ends_or_signs_out(relay: RunningRelay) -> None:
    async with aiohttp.ClientSession(relay.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        found = await session_of(browser, "POST", bearer(STUDENT.key))
        assert found["profile"]["name"] == "Maya Lindgren"
        assert 3500 < found["expires_in"] <= 3630
        [cookie] = browser.cookie_jar
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
        assert 3500 < int(cookie["max-age"]) <= 3630
        assert (await session_of(browser))["profile"]["name"] == "Maya Lindgren"
        async with browser.delete("/api/session") as response:
            assert response.status == 204
        assert (await session_of(browser))["profile"] is None


async def test_a_token_that_is_looked_at_does_not_replace_the_cookie(relay: RunningRelay) -> None:
    async with aiohttp.ClientSession(relay.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        await session_of(browser, "POST", bearer(STUDENT.key))
        assert (await session_of(browser, "GET", bearer(TUTOR.key)))["profile"]["profile_id"] == TUTOR.profile_id
        assert (await session_of(browser, "POST", as_bearer("nonsense")))["problem"] == "invalid"
        assert (await session_of(browser))["profile"]["profile_id"] == STUDENT.profile_id


@pytest.mark.changes_nothing
@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        (as_bearer(tokens(token_lifetime=-60.0).issue(STUDENT)), "expired"),
        (signed(iat=time.time() + DAY), "not_yet_valid"),
        (signed(nbf=time.time() + DAY), "not_yet_valid"),
        (signed(aud="another service"), "wrong_service"),
        (signed(sub="student"), "invalid"),
        (as_bearer("nonsense"), "invalid"),
        ({"Cookie": f"{COOKIE}={tokens(token_lifetime=-60.0).issue(STUDENT)}"}, "expired"),
    ],
)
async def test_what_is_wrong_with_a_credential_is_said(
    http: aiohttp.ClientSession, headers: dict[str, str], problem: str
) -> None:
    for method in ("GET", "POST") if "Authorization" in headers else ("GET",):
        found = await session_of(http, method, headers)
        assert (found["profile"], found["problem"]) == (None, problem)


async def test_a_token_of_the_future_is_no_attempt_to_guess_one(http: aiohttp.ClientSession) -> None:
    for _ in range(40):
        assert (await session_of(http, "POST", signed(iat=time.time() + DAY)))["problem"] == "not_yet_valid"


async def test_a_page_of_another_origin_cannot_sign_a_browser_in_or_out(http: aiohttp.ClientSession) -> None:
    for method in ("POST", "DELETE"):
        headers = {**bearer(STUDENT.key), "Origin": "https://evil.example"}
        async with http.request(method, "/api/session", headers=headers) as response:
            assert response.status == 403
            assert "Set-Cookie" not in response.headers


async def test_outside_development_mode_the_page_is_told_where_users_sign_in(tmp_path: Path) -> None:
    settings = {
        "sign_in_url": "https://app.example/sign-in",
        "frame_ancestors": ("https://App.example:443", "http://localhost:3000"),
    }
    async with (
        running_relay(tmp_path, dev=False, jwt_secret=SECRET, **settings) as relay,
        aiohttp.ClientSession(relay.url) as http,
    ):
        found = await session_of(http)
        assert (found["development"], found["sign_in_url"]) == (False, "https://app.example/sign-in")
        assert found["frame_ancestors"] == ["https://app.example", "http://localhost:3000"]
        unknown = await session_of(http, "POST", as_bearer(TOKENS.issue(STUDENT)))
        assert unknown["profile"] == {"profile_type": "student", "profile_id": 456, "name": "", "avatar": ""}
        for path, ancestors in (("/", "https://app.example http://localhost:3000"), ("/api/session", "'none'")):
            async with http.get(path) as response:
                assert f"frame-ancestors {ancestors}" in response.headers["Content-Security-Policy"]


@pytest.mark.settings(trusted_proxies=("127.0.0.1",))
async def test_by_https_the_cookie_is_one_that_only_this_host_can_set(http: aiohttp.ClientSession) -> None:
    secure = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "relay.example"}
    async with http.post("/api/session", headers={**bearer(STUDENT.key), **secure}) as response:
        cookies = response.headers.getall("Set-Cookie")
    assert any(one.startswith(f"{SECURE_COOKIE}=ey") and "Secure" in one for one in cookies)


async def test_whom_a_profile_can_call_comes_with_the_first_answer(http: aiohttp.ClientSession) -> None:
    for key in (STUDENT.key, "advertiser_654"):
        found = (await session_of(http, headers=bearer(key)))["contacts"]
        for path, name in (("/api/conversations", "conversations"), ("/api/whiteboard/sessions", "sessions")):
            async with http.get(path, headers=bearer(key)) as response:
                assert (await response.json())[name] == found[
                    "conversations" if name == "conversations" else "whiteboard_sessions"
                ]
    assert (await session_of(http))["contacts"] is None


@pytest.mark.settings(service_token=SERVICE_TOKEN)
async def test_many_conversations_come_behind_the_first_answer_and_compressed(http: aiohttp.ClientSession) -> None:
    profiles = [{"profile_type": "parent", "profile_id": 1000 + one, "name": f"Parent {one}"} for one in range(100)]
    members = [[{"profile_type": STUDENT.profile_type, "profile_id": STUDENT.profile_id}, one] for one in profiles]
    shared = [{"conversation_id": 1000 + one, "members": both} for one, both in enumerate(members)]
    sync = {"profiles": profiles, "conversations": shared}
    async with http.post("/api/admin/sync", json=sync, headers={"Authorization": f"Bearer {SERVICE_TOKEN}"}) as response:
        assert response.status == 200, await response.text()
    assert (await session_of(http, headers=bearer(STUDENT.key)))["contacts"] is None
    async with http.get("/api/conversations", headers=bearer(STUDENT.key)) as response:
        assert len((await response.json())["conversations"]) > 100
        assert response.headers["Content-Encoding"] in ("gzip", "deflate")
