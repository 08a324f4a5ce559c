"""Profiles and all that belongs to them, as the platform sets them up."""

from typing import Any

import aiohttp
import pytest

from tests.http.admin.conftest import Admin
from tests.http.records import DANIEL, ELENA, MAYA, asked, calls_of
from tests.kit.server import RunningRelay

MAYAS = "/profiles/student/456"
NEW = "/profiles/tutor/5"


async def test_a_profile_is_added_brought_up_to_date_and_deleted(admin: Admin, http: aiohttp.ClientSession) -> None:
    assert (await admin("GET", NEW))[0] == 404
    assert await admin("PUT", NEW, {"name": "Ada", "avatar": "https://cdn.example/ada.png", "user_id": 7}) == (204, None)
    assert await admin("GET", NEW) == (
        200,
        {"profile_type": "tutor", "profile_id": 5, "name": "Ada", "avatar": "https://cdn.example/ada.png", "user_id": 7},
    )
    await admin("PUT", NEW, {"name": "Ada L."})
    _, body = await asked(http, "GET", "/api/profiles", "tutor_5")
    assert body["profiles"] == [{"profile_type": "tutor", "profile_id": 5, "name": "Ada L.", "avatar": ""}]
    for _ in range(2):
        assert await admin("DELETE", NEW) == (204, None)
    assert (await admin("GET", NEW))[0] == 404


@pytest.mark.changes_nothing
@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"name": ""},
        {"name": "x" * 201},
        {"name": 1},
        {"name": "Ada", "avatar": "x" * 2049},
        {"name": "Ada", "user_id": -1},
        {"name": "Ada", "user_id": 2**31},
        {"name": "Ada", "avatr": ""},
    ],
)
async def test_a_profile_that_makes_no_sense_is_refused(admin: Admin, body: Any) -> None:
    status, answer = await admin("PUT", NEW, body)
    assert (status, answer["error"]["code"]) == (400, "invalid_request")
    assert (await admin("GET", NEW))[0] == 404


@pytest.mark.changes_nothing
@pytest.mark.parametrize("path", ["/profiles/teacher/5", "/profiles/tutor/0", "/profiles/tutor/2147483648", "/profiles/tutor/05"])
async def test_an_impossible_profile_is_not_found(admin: Admin, path: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert (await admin(method, path, {"name": "Ada"}))[0] == 404


async def test_the_platform_settles_what_the_profile_could(admin: Admin, http: aiohttp.ClientSession) -> None:
    wanted = {"privacy": "connections", "do_not_disturb": True}
    assert await admin("PUT", f"{MAYAS}/settings", wanted) == (200, wanted)
    assert await admin("GET", f"{MAYAS}/settings") == (200, wanted)
    assert await asked(http, "GET", "/api/settings", MAYA) == (200, wanted)
    assert (await admin("PUT", f"{NEW}/settings", wanted))[0] == 404


async def test_the_platform_blocks_for_a_profile(admin: Admin, http: aiohttp.ClientSession) -> None:
    assert await admin("PUT", f"{MAYAS}/blocks/tutor/789") == (204, None)
    for status, answer in (await admin("GET", f"{MAYAS}/blocks"), await asked(http, "GET", "/api/blocks", MAYA)):
        assert (status, [one["profile"]["profile_id"] for one in answer["blocks"]]) == (200, [789])
    assert await admin("DELETE", f"{MAYAS}/blocks/tutor/789") == (204, None)
    assert (await admin("GET", f"{MAYAS}/blocks"))[1] == {"blocks": []}
    assert (await admin("PUT", f"{MAYAS}/blocks/tutor/5"))[0] == 404
    assert (await admin("PUT", f"{MAYAS}/blocks/student/456"))[0] == 400


async def test_connections_go_both_ways(admin: Admin) -> None:
    await admin("PUT", NEW, {"name": "Ada"})
    for _ in range(2):
        assert await admin("PUT", f"{NEW}/connections/student/456") == (204, None)
    status, answer = await admin("GET", f"{NEW}/connections")
    assert (status, [one["name"] for one in answer["connections"]]) == (200, ["Maya Lindgren"])
    assert "Ada" in [one["name"] for one in (await admin("GET", f"{MAYAS}/connections"))[1]["connections"]]
    for _ in range(2):
        assert await admin("DELETE", f"{MAYAS}/connections/tutor/5") == (204, None)
    assert await admin("GET", f"{NEW}/connections") == (200, {"connections": []})


@pytest.mark.parametrize("other", ["tutor/6", "tutor/5"])
async def test_a_profile_cannot_be_connected_with_itself_or_an_unknown_profile(admin: Admin, other: str) -> None:
    await admin("PUT", NEW, {"name": "Ada"})
    assert (await admin("PUT", f"{NEW}/connections/{other}"))[0] == 404


async def test_a_profile_that_is_erased_leaves_the_others_calls(
    admin: Admin, http: aiohttp.ClientSession, relay: RunningRelay
) -> None:
    async with calls_of(relay) as calls:
        call_id = await calls.add(0, DANIEL, MAYA, reason="hangup")
        await calls.say(call_id, MAYA, "Mine", 0.1)
        await calls.say(call_id, DANIEL, "His", 0.2)
    status, answer = await admin("GET", f"{MAYAS}/export")
    assert (status, [one["text"] for one in answer["chat"]]) == (200, ["Mine"])
    for _ in range(2):
        assert await admin("DELETE", f"{MAYAS}/data") == (204, None)
    assert (await admin("GET", f"{MAYAS}/export"))[0] == 404
    assert (await admin("GET", MAYAS))[0] == 404
    status, answer = await asked(http, "GET", f"/api/calls/{call_id}", DANIEL)
    assert (status, answer["call"]["duration_seconds"], answer["call"]["other"]["name"]) == (200, 60, "")
    assert [text["text"] for text in answer["chat"]] == ["His"]
    assert (await asked(http, "GET", "/api/conversations", ELENA))[1]["conversations"]


async def test_a_history_goes_without_its_profile(admin: Admin, http: aiohttp.ClientSession, relay: RunningRelay) -> None:
    async with calls_of(relay) as calls:
        await calls.add(0, DANIEL, MAYA, reason="hangup")
    for _ in range(2):
        assert await admin("DELETE", f"{MAYAS}/history") == (204, None)
    assert (await asked(http, "GET", "/api/calls", MAYA))[1]["calls"] == []
    assert len((await asked(http, "GET", "/api/calls", DANIEL))[1]["calls"]) == 1
    assert (await admin("GET", MAYAS))[0] == 200


async def test_a_profile_that_is_only_deleted_stays_in_its_calls(
    admin: Admin, http: aiohttp.ClientSession, relay: RunningRelay
) -> None:
    async with calls_of(relay) as calls:
        call_id = await calls.add(0, DANIEL, MAYA, reason="hangup")
    await admin("DELETE", MAYAS)
    _, answer = await asked(http, "GET", f"/api/calls/{call_id}", DANIEL)
    assert answer["call"]["other"]["name"]
