"""Who is asking: where a request carries its credential, and what becomes of a bad one."""

import base64
from pathlib import Path

import aiohttp
import pytest

from relay.http.auth import COOKIE, SECURE_COOKIE
from tests.http.conftest import STUDENT, TOKENS, TUTOR, bearer, socket_of, tokens
from tests.kit.issuer import Issuer, key_set
from tests.kit.server import running_relay

# -- requests ---------------------------------------------------------------------------------------------------------

ASKED_AS_STUDENT = {
    "cookie": ("", {"Cookie": f"{COOKIE}={TOKENS.issue(STUDENT)}"}),
    "cookie of https": ("", {"Cookie": f"{COOKIE}=planted; {SECURE_COOKIE}={TOKENS.issue(STUDENT)}"}),
    "query": (f"?token={TOKENS.issue(STUDENT)}", {}),
    "Authorization": ("", bearer("student_456")),
    "authorization in small letters": ("", {"authorization": f"bearer  {TOKENS.issue(STUDENT)}"}),
    "subprotocol": ("", {"Sec-WebSocket-Protocol": f"bearer, {TOKENS.issue(STUDENT)}"}),
}


async def whoever(http: aiohttp.ClientSession, query: str = "", headers: dict[str, str] | None = None) -> int | set[str]:
    """The names that the asker may see, or the status."""
    async with http.get(f"/api/profiles{query}", headers=headers) as response:
        body = await response.json()
        return {one["name"] for one in body["profiles"]} if response.status == 200 else response.status


SEEN_BY_STUDENT = {"Maya Lindgren", "Daniel Okafor"}
SEEN_BY_TUTOR = {"Maya Lindgren", "Daniel Okafor", "Elena Lindgren"}


@pytest.mark.parametrize(("query", "headers"), ASKED_AS_STUDENT.values(), ids=ASKED_AS_STUDENT.keys())
async def test_a_credential_may_come_in_many_ways(http: aiohttp.ClientSession, query: str, headers: dict[str, str]) -> None:
    assert await whoever(http, query, headers) == SEEN_BY_STUDENT


async def test_an_explicit_credential_outranks_the_cookie_that_all_tabs_share(http: aiohttp.ClientSession) -> None:
    cookie = {"Cookie": f"{COOKIE}={TOKENS.issue(TUTOR)}"}
    assert await whoever(http, "", cookie) == SEEN_BY_TUTOR
    for name in ("query", "Authorization", "subprotocol"):
        query, headers = ASKED_AS_STUDENT[name]
        assert await whoever(http, query, {**cookie, **headers}) == SEEN_BY_STUDENT


async def test_a_bad_explicit_credential_is_not_made_good_by_a_cookie(http: aiohttp.ClientSession) -> None:
    cookie = {"Cookie": f"{COOKIE}={TOKENS.issue(TUTOR)}"}
    assert await whoever(http, "?token=nonsense", cookie) == 401
    assert await whoever(http, "", {**cookie, "Authorization": "Bearer nonsense"}) == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": f"Basic {base64.b64encode(b'student:456').decode()}"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Sec-WebSocket-Protocol": "bearer"},
        {"Sec-WebSocket-Protocol": f"token, {TOKENS.issue(STUDENT)}"},
        {"Sec-WebSocket-Protocol": f"bearer, {TOKENS.issue(STUDENT)}, chat"},
        {"Cookie": f"{COOKIE}="},
        {"Cookie": f"token={TOKENS.issue(STUDENT)}"},
    ],
)
async def test_nobody_is_not_let_in(http: aiohttp.ClientSession, headers: dict[str, str]) -> None:
    for path in ("/api/profiles", "/api/conversations", "/ws/456/student"):
        async with http.get(path, headers=headers) as response:
            assert response.status == 401
            assert (await response.json())["error"]["code"] == "unauthorized"


async def test_a_token_that_has_ended_lets_nobody_in(http: aiohttp.ClientSession) -> None:
    ended = tokens(token_lifetime=-60.0).issue(STUDENT)
    async with http.get("/api/profiles", headers={"Authorization": f"Bearer {ended}"}) as response:
        assert response.status == 401
        assert "expired" in (await response.json())["error"]["message"]


async def test_the_address_of_a_socket_is_a_socket(http: aiohttp.ClientSession) -> None:
    async with http.get("/ws/456/student", headers=bearer("student_456")) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (426, "upgrade_required")


@pytest.mark.parametrize("path", ["/ws/0456/student", "/ws/456/Student", "/ws/789/tutor", "/ws/٤٥٦/student"])
async def test_the_path_names_the_credentials_profile_and_nobody_else(http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(path, headers=bearer("student_456")) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (403, "forbidden")


async def test_a_socket_that_was_asked_for_by_subprotocol_gets_its_name_back_and_not_the_token(
    http: aiohttp.ClientSession,
) -> None:
    token = TOKENS.issue(STUDENT)
    async with http.ws_connect("/ws/456/student", protocols=("bearer", token)) as socket:
        assert socket.protocol == "bearer"


# -- a whole relay ------------------------------------------------------------------------------------------------------


async def test_the_platforms_own_tokens_open_a_relay_and_nobody_elses_do(tmp_path: Path) -> None:
    platform, stranger = Issuer("RS256", "one"), Issuer("ES256", "two")
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(platform))
    async with running_relay(tmp_path, jwks=str(file), jwt_audience="calls") as relay, aiohttp.ClientSession(relay.url) as http:

        async def seen(token: str) -> int | set[str]:
            return await whoever(http, "", {"Authorization": f"Bearer {token}"})

        assert await seen(platform.token(aud="calls")) == SEEN_BY_STUDENT
        assert await seen(platform.token(aud="mail")) == 401
        async with http.ws_connect("/ws/456/student", protocols=("bearer", platform.token(aud="calls"))) as socket:
            assert (await socket.receive_json(timeout=20))["name"] == "Maya Lindgren"
        assert await seen(stranger.token(aud="calls")) == 401


@pytest.mark.settings(limit_failed_logins="3/minute")
async def test_who_guesses_is_told_to_wait(http: aiohttp.ClientSession) -> None:
    """A token that has expired is no guess, and no credential at all is none either."""
    for _ in range(5):
        assert await whoever(http) == 401
        assert await whoever(http, f"?token={tokens(token_lifetime=-60.0).issue(STUDENT)}") == 401
    for _ in range(3):
        assert await whoever(http, "?token=guess") == 401
    async with http.get("/api/profiles?token=guess") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (429, "too_many_requests")
        assert 1 <= int(response.headers["Retry-After"]) <= 60


@pytest.mark.settings(limit_failed_logins="3/minute")
async def test_who_guesses_shuts_out_nobody_at_the_same_address(http: aiohttp.ClientSession) -> None:
    for _ in range(10):
        await whoever(http, "?token=guess")
    assert await whoever(http, "", bearer("student_456")) == SEEN_BY_STUDENT
    async with socket_of(http, "student_456"), http.ws_connect("/ws/connectivity", headers=bearer("tutor_789")) as test:
        assert (await test.receive_json(timeout=20))["type"] == "ready"
