"""Who is asking: where a request carries its credential, and what becomes of a bad one."""

import base64
from pathlib import Path

import aiohttp
import pytest

from relay.http.access.auth import COOKIE, SECURE_COOKIE
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


async def conversations_seen(
    http: aiohttp.ClientSession, query: str = "", headers: dict[str, str] | None = None
) -> int | set[int]:
    """The conversations that the client may see, or the status."""
    async with http.get(f"/api/conversations{query}", headers=headers) as response:
        body = await response.json()
        return {one["conversation_id"] for one in body["conversations"]} if response.status == 200 else response.status


SEEN_BY_STUDENT = {123, 125}
SEEN_BY_TUTOR = {123, 124}


@pytest.mark.changes_nothing
@pytest.mark.parametrize(("query", "headers"), ASKED_AS_STUDENT.values(), ids=ASKED_AS_STUDENT.keys())
async def test_each_way_to_send_a_credential_works(http: aiohttp.ClientSession, query: str, headers: dict[str, str]) -> None:
    assert await conversations_seen(http, query, headers) == SEEN_BY_STUDENT


@pytest.mark.changes_nothing
async def test_an_explicit_credential_outranks_the_cookie_that_all_tabs_share(http: aiohttp.ClientSession) -> None:
    cookie = {"Cookie": f"{COOKIE}={TOKENS.issue(TUTOR)}"}
    assert await conversations_seen(http, "", cookie) == SEEN_BY_TUTOR
    for name in ("query", "Authorization", "subprotocol"):
        query, headers = ASKED_AS_STUDENT[name]
        assert await conversations_seen(http, query, {**cookie, **headers}) == SEEN_BY_STUDENT


async def test_a_bad_explicit_credential_is_not_made_good_by_a_cookie(http: aiohttp.ClientSession) -> None:
    cookie = {"Cookie": f"{COOKIE}={TOKENS.issue(TUTOR)}"}
    assert await conversations_seen(http, "?token=nonsense", cookie) == 401
    assert await conversations_seen(http, "", {**cookie, "Authorization": "Bearer nonsense"}) == 401


@pytest.mark.changes_nothing
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
async def test_a_request_without_a_valid_credential_is_unauthorized(http: aiohttp.ClientSession, headers: dict[str, str]) -> None:
    for path in ("/api/profiles", "/api/conversations", "/ws/456/student"):
        async with http.get(path, headers=headers) as response:
            assert response.status == 401
            assert (await response.json())["error"]["code"] == "unauthorized"


async def test_an_expired_token_is_refused_as_expired(http: aiohttp.ClientSession) -> None:
    ended = tokens(token_lifetime=-60.0).issue(STUDENT)
    async with http.get("/api/profiles", headers={"Authorization": f"Bearer {ended}"}) as response:
        assert response.status == 401
        assert "expired" in (await response.json())["error"]["message"]


@pytest.mark.changes_nothing
async def test_the_address_of_a_socket_is_a_socket(http: aiohttp.ClientSession) -> None:
    async with http.get("/ws/456/student", headers=bearer("student_456")) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (426, "upgrade_required")


@pytest.mark.changes_nothing
@pytest.mark.parametrize("path", ["/ws/0456/student", "/ws/456/Student", "/ws/789/tutor", "/ws/٤٥٦/student"])
async def test_a_path_that_names_another_profile_is_forbidden(http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(path, headers=bearer("student_456")) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (403, "forbidden")


async def test_a_socket_opened_by_subprotocol_echoes_its_name_and_not_the_token(
    http: aiohttp.ClientSession,
) -> None:
    token = TOKENS.issue(STUDENT)
    async with http.ws_connect("/ws/456/student", protocols=("bearer", token)) as socket:
        assert socket.protocol == "bearer"


# -- a whole relay ------------------------------------------------------------------------------------------------------


async def test_a_relay_takes_the_platforms_own_tokens_and_no_others(tmp_path: Path) -> None:
    platform, stranger = Issuer("RS256", "one"), Issuer("ES256", "two")
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(platform))
    async with running_relay(tmp_path, jwks=str(file), jwt_audience="calls") as relay, aiohttp.ClientSession(relay.url) as http:

        async def seen(token: str) -> int | set[int]:
            return await conversations_seen(http, "", {"Authorization": f"Bearer {token}"})

        assert await seen(platform.token(aud="calls")) == SEEN_BY_STUDENT
        assert await seen(platform.token(aud="mail")) == 401
        async with http.ws_connect("/ws/456/student", protocols=("bearer", platform.token(aud="calls"))) as socket:
            assert (await socket.receive_json(timeout=20))["name"] == "Maya Lindgren"
        assert await seen(stranger.token(aud="calls")) == 401


@pytest.mark.settings(limit_failed_logins="3/minute")
async def test_failed_logins_over_the_limit_get_a_retry_after(http: aiohttp.ClientSession) -> None:
    """A token that has expired is no guess, and no credential at all is none either."""
    for _ in range(5):
        assert await conversations_seen(http) == 401
        assert await conversations_seen(http, f"?token={tokens(token_lifetime=-60.0).issue(STUDENT)}") == 401
    for _ in range(3):
        assert await conversations_seen(http, "?token=guess") == 401
    async with http.get("/api/profiles?token=guess") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (429, "too_many_requests")
        assert 1 <= int(response.headers["Retry-After"]) <= 60


@pytest.mark.settings(limit_failed_logins="3/minute")
async def test_failed_logins_do_not_limit_signed_in_clients_at_the_same_address(http: aiohttp.ClientSession) -> None:
    for _ in range(10):
        await conversations_seen(http, "?token=guess")
    assert await conversations_seen(http, "", bearer("student_456")) == SEEN_BY_STUDENT
    async with socket_of(http, "student_456"), http.ws_connect("/ws/connectivity", headers=bearer("tutor_789")) as test:
        assert (await test.receive_json(timeout=20))["type"] == "ready"
