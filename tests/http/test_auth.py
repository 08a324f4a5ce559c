"""Who is asking."""

import base64
import json
import time
from typing import Any

import aiohttp
import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import Unauthorized
from relay.http.auth import COOKIE, Tokens
from relay.ids import Profile
from tests.http.conftest import SECRET, TOKENS, bearer

STUDENT, TUTOR = Profile("student", 456), Profile("tutor", 789)


def signed(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    return jwt.encode({"sub": "student_456", "exp": time.time() + 3600, **claims}, secret, algorithm=algorithm)


def plain(header: dict[str, str], claims: dict[str, Any]) -> str:
    """A token that nobody signed."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
    return ".".join([*parts, ""])


FAR_FUTURE = signed(exp=4_000_000_000)
"""Always the same, for Hypothesis."""


# -- tokens -----------------------------------------------------------------------------------------------------------


def test_a_token_names_its_profile() -> None:
    assert TOKENS.verify(TOKENS.issue(STUDENT)) == STUDENT
    assert TOKENS.verify(signed()) == STUDENT


def test_a_token_says_when_it_ends() -> None:
    claims = jwt.decode(TOKENS.issue(STUDENT), SECRET, algorithms=["HS256"])
    assert claims["exp"] - claims["iat"] == TOKENS.lifetime == 3600
    assert claims["sub"] == "student_456"


BAD = {
    "expired": signed(exp=time.time() - 1),
    "not good yet": signed(nbf=time.time() + 7200, exp=time.time() + 9999),
    "without an end": jwt.encode({"sub": "student_456"}, SECRET, algorithm="HS256"),
    "without a subject": jwt.encode({"exp": time.time() + 3600}, SECRET, algorithm="HS256"),
    "signed by somebody else": signed("another secret of at least 32 characters"),
    "signed in another way": signed(SECRET * 2, algorithm="HS512"),
    "signed by nobody": plain({"alg": "none", "typ": "JWT"}, {"sub": "student_456", "exp": time.time() + 3600}),
    "signed by Nobody": plain({"alg": "None", "typ": "JWT"}, {"sub": "student_456", "exp": time.time() + 3600}),
    "of nobody": signed(sub=""),
    "of a teacher": signed(sub="teacher_1"),
    "of two profiles": signed(sub="student_456 tutor_789"),
    "of a number": signed(sub="student_0456"),
    "of a profile beyond the column": signed(sub="student_2147483648"),
    "for somebody else's service": signed(aud="elsewhere"),
    "no token": "hello",
    "half a token": signed().rpartition(".")[0],
    "nothing": "",
    "dots": "..",
    "not ASCII": "é.é.é",
    "half a surrogate pair": "\udcff.a.b",
}


@pytest.mark.parametrize("token", BAD.values(), ids=BAD.keys())
def test_a_token_that_is_not_good_is_refused(token: str) -> None:
    with pytest.raises(Unauthorized) as refused:
        TOKENS.verify(token)
    assert SECRET not in str(refused.value)


def test_a_subject_that_is_no_text_is_refused() -> None:
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()
    for subject in (456, None, ["student_456"], {"student": 456}):
        claims = json.dumps({"sub": subject, "exp": time.time() + 3600}).encode()
        body = base64.urlsafe_b64encode(claims).rstrip(b"=").decode()
        signature = jwt.get_algorithm_by_name("HS256").sign(f"{header}.{body}".encode(), SECRET.encode())
        with pytest.raises(Unauthorized):
            TOKENS.verify(f"{header}.{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}")


@given(st.text() | st.lists(st.text(alphabet="abcAB09-_="), min_size=3, max_size=3).map(".".join))
def test_no_text_is_too_strange_for_a_token(text: str) -> None:
    with pytest.raises(Unauthorized):
        TOKENS.verify(text)


@given(st.data())
def test_a_token_with_one_other_character_is_another_token(data: st.DataObject) -> None:
    token = FAR_FUTURE
    at = data.draw(st.integers(0, token.rindex(".") - 1))
    other = data.draw(st.sampled_from("ABab09-_.").filter(lambda one: one != token[at]))
    with pytest.raises(Unauthorized):
        TOKENS.verify(token[:at] + other + token[at + 1 :])


# -- requests ---------------------------------------------------------------------------------------------------------

ASKED_AS_STUDENT = {
    "cookie": ("", {"Cookie": f"{COOKIE}={TOKENS.issue(STUDENT)}"}),
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
    ended = Tokens(SECRET, -1.0).issue(STUDENT)
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
