"""The lists of all that the platform has put, page by page."""

from typing import Any

import pytest

from tests.http.admin.conftest import Admin

PEOPLE = [{"profile_type": "parent", "profile_id": number} for number in (700, 7, 70)]


async def all_of(admin: Admin, path: str, name: str, limit: int) -> list[dict[str, Any]]:
    """Every entry, by pages of so many."""
    found: list[dict[str, Any]] = []
    query = f"?limit={limit}"
    while True:
        status, page = await admin("GET", path + query)
        assert status == 200, page
        assert len(page[name]) <= limit
        found += page[name]
        if page["next_cursor"] is None:
            return found
        assert len(page[name]) == limit
        query = f"?limit={limit}&cursor={page['next_cursor']}"


@pytest.fixture
async def told(admin: Admin) -> None:
    """The platform has put three parents, in addition to the demo's profiles."""
    pairs = [[PEOPLE[0], PEOPLE[1]], [PEOPLE[1], PEOPLE[2]]]
    body = {
        "profiles": [{**one, "name": f"Parent {one['profile_id']}", "user_id": one["profile_id"]} for one in PEOPLE],
        "connections": [{"profiles": pair} for pair in pairs],
        "conversations": [
            {"conversation_id": number, "members": PEOPLE, "keep_chat": number == 20} for number in (100, 20, 3000)
        ],
        "whiteboard_sessions": [{"whiteboard_session_id": 5, "members": PEOPLE[:1]}],
    }
    status, answer = await admin("POST", "/sync", body)
    assert (status, answer["failed"]) == (200, 0)


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("limit", [1, 2, 1000])
async def test_profiles_are_listed_by_type_and_number(admin: Admin, limit: int) -> None:
    found = await all_of(admin, "/profiles", "profiles", limit)
    assert [(one["profile_type"], one["profile_id"]) for one in found] == [
        ("advertiser", 654),
        *[("parent", number) for number in (7, 70, 321, 700)],
        ("student", 456),
        ("tutor", 789),
    ]
    assert found[1] == {"profile_type": "parent", "profile_id": 7, "name": "Parent 7", "avatar": "", "user_id": 7}


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("limit", [1, 3, 1000])
async def test_scopes_are_listed_by_number_with_their_members(admin: Admin, limit: int) -> None:
    found = await all_of(admin, "/conversations", "conversations", limit)
    assert [one["conversation_id"] for one in found] == [20, 100, 123, 124, 125, 3000]
    assert found[0] == {"conversation_id": 20, "members": sorted(PEOPLE, key=lambda one: one["profile_id"]), "keep_chat": True}
    found = await all_of(admin, "/whiteboard/sessions", "whiteboard_sessions", limit)
    assert [(one["whiteboard_session_id"], len(one["members"])) for one in found] == [(5, 1), (900, 2)]


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("limit", [1, 1000])
async def test_connections_are_listed_once_each(admin: Admin, limit: int) -> None:
    found = await all_of(admin, "/connections", "connections", limit)
    numbers = [tuple(profile["profile_id"] for profile in one["profiles"]) for one in found]
    assert len(numbers) == len(set(numbers)) == 8
    assert {(7, 70), (7, 700)} <= set(numbers)


@pytest.mark.changes_nothing
@pytest.mark.parametrize("path", ["/profiles", "/conversations", "/whiteboard/sessions", "/connections"])
@pytest.mark.parametrize(
    "query", ["?limit=0", "?limit=1001", "?limit=x", "?cursor=x", "?cursor=tutor_0", "?cursor=-1", "?cursor=99999999999"]
)
async def test_an_invalid_page_is_refused(admin: Admin, path: str, query: str) -> None:
    status, answer = await admin("GET", path + query)
    assert (status, answer["error"]["code"]) == (400, "invalid_request")


async def test_the_platform_finds_and_deletes_rows_that_it_does_not_have(admin: Admin) -> None:
    """As a platform keeps in step: list, compare, delete."""
    there = await all_of(admin, "/conversations", "conversations", 1000)
    gone = [{"conversation_id": one["conversation_id"], "deleted": True} for one in there if one["conversation_id"] != 123]
    assert (await admin("POST", "/sync", {"conversations": gone}))[1]["failed"] == 0
    assert [one["conversation_id"] for one in await all_of(admin, "/conversations", "conversations", 1000)] == [123]
