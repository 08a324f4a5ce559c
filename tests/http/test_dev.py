"""What development mode adds, and nothing else does."""

import itertools
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.ids import Profile
from tests.http.conftest import SECRET, TOKENS, bearer
from tests.kit.server import running_relay


async def post(http: aiohttp.ClientSession, path: str, **options: Any) -> tuple[int, Any]:
    async with http.post(path, **options) as response:
        assert response.content_type == "application/json"
        return response.status, await response.json()


async def test_development_mode_logs_in_any_profile(http: aiohttp.ClientSession) -> None:
    status, body = await post(http, "/api/dev/login", json={"profile_type": "student", "profile_id": 456})
    assert status == 200
    assert body["profile"] == {"profile_type": "student", "profile_id": 456, "name": "Maya Lindgren", "avatar": ""}
    [server] = body["ice_servers"]
    assert server["urls"][0].startswith("turn:127.0.0.1:")
    assert server["username"].endswith(":student_456")
    assert (await TOKENS.verify(body["token"])).profile == Profile("student", 456)


async def test_an_unknown_profile_is_created(http: aiohttp.ClientSession) -> None:
    for _ in range(2):
        status, body = await post(http, "/api/dev/login", json={"profile_type": "parent", "profile_id": 5})
        assert (status, body["profile"]["name"]) == (200, "Parent 5")
    async with http.get("/api/profiles", headers={"Authorization": f"Bearer {body['token']}"}) as response:
        assert [one["name"] for one in (await response.json())["profiles"]] == ["Parent 5"]


async def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(http: aiohttp.ClientSession) -> None:
    async with http.post("/api/dev/login", json={"profile_type": "student", "profile_id": 456}) as response:
        cookie = response.cookies["relay_token"]
        assert cookie.value == (await response.json())["token"]
    assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Strict", "3600")
    assert not cookie["secure"], "it would never come back by http"


@pytest.mark.settings(trusted_proxies=("127.0.0.1",))
async def test_a_cookie_that_was_set_by_https_goes_by_nothing_else(http: aiohttp.ClientSession) -> None:
    """Also where a reverse proxy speaks https, and http with the relay."""
    body = {"profile_type": "student", "profile_id": 456}
    async with http.post("/api/dev/login", json=body, headers={"X-Forwarded-Proto": "https"}) as response:
        cookie, older = response.cookies["__Host-relay_token"], response.cookies["relay_token"]
        assert cookie.value == (await response.json())["token"]
    # What browsers ask of the prefix (RFC 6265bis section 4.1.3.2), else they drop the cookie.
    assert (cookie["secure"], cookie["path"], cookie["domain"]) == (True, "/", "")
    assert (older.value, older["max-age"]) == ("", "0"), "a log-in of before there was a prefix is over"


async def test_a_conversation_is_made_between_those_who_exist(http: aiohttp.ClientSession) -> None:
    members = [{"profile_type": "student", "profile_id": 456}, {"profile_type": "advertiser", "profile_id": 654}]
    status, body = await post(http, "/api/dev/conversations", json={"members": members})
    assert status == 201
    async with http.get("/api/conversations", headers=bearer("advertiser_654")) as response:
        [conversation] = (await response.json())["conversations"]
    assert conversation["conversation_id"] == body["conversation_id"] > 124
    assert {one["name"] for one in conversation["members"]} == {"Maya Lindgren", "Victor Hale"}


async def test_a_conversation_with_an_unknown_profile_is_refused(http: aiohttp.ClientSession) -> None:
    members = [{"profile_type": "student", "profile_id": 456}, {"profile_type": "student", "profile_id": 99}]
    status, body = await post(http, "/api/dev/conversations", json={"members": members})
    assert (status, body["error"]["code"]) == (400, "invalid_request")
    assert "student_99" in body["error"]["message"]


@pytest.mark.changes_nothing
@pytest.mark.parametrize("count", [0, 1, 2])
async def test_a_conversation_has_at_least_two_different_members(http: aiohttp.ClientSession, count: int) -> None:
    members = [{"profile_type": "student", "profile_id": 456}] * count
    status, body = await post(http, "/api/dev/conversations", json={"members": members})
    assert (status, body["error"]["code"]) == (400, "invalid_request")


BODIES = {
    "nothing": b"",
    "prose": b"hello",
    "half of it": b'{"profile_type":"student"',
    "an array": b"[]",
    "null": b"null",
    "another kind of profile": b'{"profile_type":"teacher","profile_id":1}',
    "a text for a number": b'{"profile_type":"student","profile_id":"1"}',
    "a number below": b'{"profile_type":"student","profile_id":0}',
    "a number beyond": b'{"profile_type":"student","profile_id":2147483648}',
    "a number far beyond": b'{"profile_type":"student","profile_id":' + b"9" * 5000 + b"}",
    "no UTF-8": b'{"profile_type":"\xff","profile_id":1}',
    "arrays in arrays": b"[" * 60_000,
    "objects in objects": b'{"members":' * 5_000,
    "members that are none": b'{"members":[1,2]}',
}


@pytest.mark.changes_nothing
@pytest.mark.parametrize("path", ["/api/dev/login", "/api/dev/conversations"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_a_body_that_makes_no_sense_is_refused_in_words(http: aiohttp.ClientSession, path: str, body: bytes) -> None:
    status, answer = await post(http, path, data=body)
    assert (status, answer["error"]["code"]) == (400, "invalid_request")
    assert answer["error"]["message"]


@pytest.mark.changes_nothing
async def test_a_body_that_is_too_large_is_not_read_to_its_end(http: aiohttp.ClientSession) -> None:
    status, answer = await post(http, "/api/dev/login", data=b" " * (64 * 1024 + 1))
    assert (status, answer["error"]["code"]) == (413, "request_entity_too_large")


async def test_a_body_that_is_not_compressed_as_it_says_is_the_senders_fault(tmp_path: Path) -> None:
    """On a relay of its own: aiohttp itself logs an error about such a body."""
    async with running_relay(tmp_path) as relay, aiohttp.ClientSession(relay.url) as http:
        status, _ = await post(http, "/api/dev/login", data=b"hello", headers={"Content-Encoding": "gzip"})
    assert status == 400


@pytest.mark.settings(dev=False, jwt_secret=SECRET)
class TestOutsideDevelopmentMode:
    async def test_outside_development_mode_there_is_no_login(self, http: aiohttp.ClientSession) -> None:
        paths = ("/api/dev/login", "/api/dev/conversations", "/api/dev/", "/api/dev")
        for method, path in itertools.product(("POST", "GET"), paths):
            async with http.request(method, path, json={"profile_type": "student", "profile_id": 456}) as response:
                assert (response.status, (await response.json())["error"]["code"]) == (404, "not_found")
                assert "Set-Cookie" not in response.headers

    async def test_without_profiles_a_valid_token_is_accepted(self, http: aiohttp.ClientSession) -> None:
        async with http.get("/api/profiles", headers=bearer("student_456")) as response:
            assert (response.status, await response.json()) == (200, {"profiles": []})
