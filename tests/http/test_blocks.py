"""Whom a profile does not want to hear from."""

import aiohttp
import pytest

from tests.http.records import DANIEL, MAYA, asked

DANIELS = "/api/blocks/tutor/789"


async def blocked_by(http: aiohttp.ClientSession, who: str) -> list[str]:
    status, answer = await asked(http, "GET", "/api/blocks", who)
    assert status == 200
    return [one["profile"]["name"] for one in answer["blocks"]]


async def test_a_block_is_there_until_it_is_lifted(http: aiohttp.ClientSession) -> None:
    for _ in range(2):
        assert await asked(http, "PUT", DANIELS, MAYA) == (204, None)
    _, answer = await asked(http, "GET", "/api/blocks", MAYA)
    [block] = answer["blocks"]
    assert block["profile"] == {"profile_type": "tutor", "profile_id": 789, "name": "Daniel Okafor", "avatar": ""}
    assert block["since"] > 1_700_000_000_000
    for _ in range(2):
        assert await asked(http, "DELETE", DANIELS, MAYA) == (204, None)
    assert await blocked_by(http, MAYA) == []


async def test_the_blocked_one_sees_nothing_of_it(http: aiohttp.ClientSession) -> None:
    await asked(http, "PUT", DANIELS, MAYA)
    assert await blocked_by(http, DANIEL) == []
    assert await asked(http, "DELETE", "/api/blocks/student/456", DANIEL) == (204, None)
    assert await blocked_by(http, MAYA) == ["Daniel Okafor"]


@pytest.mark.changes_nothing
@pytest.mark.parametrize("other", ["student/1", "tutor/1", "teacher/789", "tutor/0", "tutor/99999999999", "tutor/0789"])
async def test_an_unknown_profile_cannot_be_blocked(http: aiohttp.ClientSession, other: str) -> None:
    status, answer = await asked(http, "PUT", f"/api/blocks/{other}", MAYA)
    assert (status, answer["error"]["code"]) == (404, "not_found")
    assert await blocked_by(http, MAYA) == []


@pytest.mark.changes_nothing
async def test_a_profile_cannot_block_itself(http: aiohttp.ClientSession) -> None:
    status, answer = await asked(http, "PUT", "/api/blocks/student/456", MAYA)
    assert (status, answer["error"]["code"]) == (400, "invalid_request")
    assert await blocked_by(http, MAYA) == []


@pytest.mark.changes_nothing
@pytest.mark.parametrize(("method", "path"), [("GET", "/api/blocks"), ("PUT", DANIELS), ("DELETE", DANIELS)])
async def test_blocks_need_a_credential(http: aiohttp.ClientSession, method: str, path: str) -> None:
    status, answer = await asked(http, method, path, {})
    assert (status, answer["error"]["code"]) == (401, "unauthorized")
