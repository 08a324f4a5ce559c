"""Who sees whom."""

import aiohttp
import pytest

from tests.http.conftest import bearer


async def get(http: aiohttp.ClientSession, path: str, key: str) -> object:
    async with http.get(path, headers=bearer(key)) as response:
        assert response.status == 200
        return await response.json()


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("student_456", ["Daniel Okafor", "Maya Lindgren"]),
        ("tutor_789", ["Daniel Okafor", "Elena Lindgren", "Maya Lindgren"]),
        ("advertiser_654", ["Victor Hale"]),
        ("student_1", []),
    ],
)
async def test_a_profile_sees_itself_and_those_it_talks_to(http: aiohttp.ClientSession, key: str, names: list[str]) -> None:
    body = await get(http, "/api/profiles", key)
    assert isinstance(body, dict)
    assert [one["name"] for one in body["profiles"]] == names
    assert all(one.keys() == {"profile_type", "profile_id", "name", "avatar"} for one in body["profiles"])


async def test_a_profile_sees_its_conversations_and_no_other(http: aiohttp.ClientSession) -> None:
    maya = {"profile_type": "student", "profile_id": 456, "name": "Maya Lindgren", "avatar": ""}
    daniel = {"profile_type": "tutor", "profile_id": 789, "name": "Daniel Okafor", "avatar": ""}
    elena = {"profile_type": "parent", "profile_id": 321, "name": "Elena Lindgren", "avatar": ""}
    mine = {"conversation_id": 123, "members": [daniel, maya]}
    assert await get(http, "/api/conversations", "student_456") == {"conversations": [mine]}
    assert await get(http, "/api/conversations", "tutor_789") == {
        "conversations": [mine, {"conversation_id": 124, "members": [daniel, elena]}]
    }
    assert await get(http, "/api/conversations", "advertiser_654") == {"conversations": []}
