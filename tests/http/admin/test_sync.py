"""Many things at once."""

import asyncio
import io
import json
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from relay.http.admin.sync import MAX_BODY, MAX_ITEMS
from tests.http.admin.conftest import PLATFORM, Admin
from tests.http.records import asked
from tests.kit.server import RunningRelay

ADA = {"profile_type": "tutor", "profile_id": 5}
BOB = {"profile_type": "student", "profile_id": 6}
NOBODY = {"profile_type": "student", "profile_id": 7}
EVERYTHING: dict[str, list[dict[str, Any]]] = {
    "profiles": [{**ADA, "name": "Ada", "user_id": 50}, {**BOB, "name": "Bob", "avatar": "https://cdn.example/bob.png"}],
    "connections": [{"profiles": [ADA, BOB]}],
    "conversations": [{"conversation_id": 5000, "members": [ADA, BOB], "keep_chat": True}],
    "whiteboard_sessions": [{"whiteboard_session_id": 6000, "members": [ADA, BOB]}],
    "settings": [{**ADA, "privacy": "connections"}],
    "blocks": [{"profile": BOB, "blocked": ADA}],
}


async def synced(admin: Admin, body: Any) -> dict[str, Any]:
    status, answer = await admin("POST", "/sync", body)
    assert status == 200, answer
    assert isinstance(answer, dict)
    return answer


async def test_everything_comes_in_one_request_and_may_come_again(admin: Admin) -> None:
    for _ in range(2):
        answer = await synced(admin, EVERYTHING)
        assert answer["failed"] == 0
        assert answer["results"] == {name: [{"ok": True}] * len(items) for name, items in EVERYTHING.items()}
    assert (await admin("GET", "/profiles/tutor/5"))[1]["user_id"] == 50
    assert (await admin("GET", "/profiles/tutor/5/connections"))[1]["connections"][0]["name"] == "Bob"
    assert (await admin("GET", "/conversations/5000"))[1] == {"conversation_id": 5000, "members": [BOB, ADA], "keep_chat": True}
    assert (await admin("GET", "/whiteboard/sessions/6000"))[1]["members"] == [BOB, ADA]
    assert (await admin("GET", "/profiles/tutor/5/settings"))[1]["privacy"] == "connections"
    assert [one["profile"]["name"] for one in (await admin("GET", "/profiles/student/6/blocks"))[1]["blocks"]] == ["Ada"]


async def test_everything_goes_in_one_request(admin: Admin) -> None:
    await synced(admin, EVERYTHING)
    gone = {
        "connections": [{"profiles": [ADA, BOB], "deleted": True}],
        "conversations": [{"conversation_id": 5000, "deleted": True}],
        "whiteboard_sessions": [{"whiteboard_session_id": 6000, "deleted": True}],
        "blocks": [{"profile": BOB, "blocked": ADA, "deleted": True}],
    }
    assert (await synced(admin, gone))["failed"] == 0
    assert (await admin("GET", "/profiles/tutor/5/connections"))[1] == {"connections": []}
    assert (await admin("GET", "/profiles/student/6/blocks"))[1] == {"blocks": []}
    assert (await synced(admin, {"profiles": [{**ADA, "deleted": True}]}))["failed"] == 0
    for path in ("/conversations/5000", "/whiteboard/sessions/6000", "/profiles/tutor/5"):
        assert (await admin("GET", path))[0] == 404
    assert (await admin("GET", "/profiles/student/6"))[0] == 200


BAD: dict[str, list[Any]] = {
    "profiles": [
        1,
        {},
        {**ADA},
        {**ADA, "name": ""},
        {**ADA, "name": "x", "deleted": "no"},
        {"profile_type": "x", "profile_id": 1},
    ],
    "connections": [{"profiles": [ADA]}, {"profiles": [ADA, ADA]}, {"profiles": [ADA, NOBODY]}],
    "conversations": [{"conversation_id": 0, "members": [ADA]}, {"conversation_id": 5001, "members": [ADA, NOBODY]}],
    "whiteboard_sessions": [{"whiteboard_session_id": 6001, "members": []}, {"conversation_id": 6001, "members": [ADA]}],
    "settings": [{**NOBODY, "privacy": "nobody"}, {**ADA, "privacy": "some"}],
    "blocks": [{"profile": ADA, "blocked": ADA}, {"profile": ADA, "blocked": NOBODY}, {"profile": ADA}],
}


@pytest.mark.parametrize("name", BAD)
async def test_an_item_that_cannot_be_done_hinders_no_other(admin: Admin, name: str) -> None:
    await synced(admin, {"profiles": EVERYTHING["profiles"], "connections": EVERYTHING["connections"]})
    good = EVERYTHING[name][0]
    answer = await synced(admin, {name: [*BAD[name], good]})
    [*bad, last] = answer["results"][name]
    assert last == {"ok": True}
    assert answer["failed"] == len(bad) == len(BAD[name])
    for result in bad:
        assert (result["ok"], result["error"]["code"]) == (False, "invalid_item")
        assert result["error"]["message"]
    for path in ("/conversations/5001", "/whiteboard/sessions/6001"):
        assert (await admin("GET", path))[0] == 404


async def test_results_come_in_the_order_of_the_items(admin: Admin) -> None:
    answer = await synced(admin, {"profiles": [{**ADA, "name": "Ada"}, 7, {**BOB, "name": "Bob"}, None]})
    assert [result["ok"] for result in answer["results"]["profiles"]] == [True, False, True, False]
    assert answer["failed"] == 2


async def test_a_deep_item_is_only_its_own_failure(admin: Admin) -> None:
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    answer = await synced(admin, {"profiles": [deep, {**ADA, "name": "Ada"}]})
    assert [result["ok"] for result in answer["results"]["profiles"]] == [False, True]


async def test_as_many_as_there_may_be_are_done_and_one_more_is_not(admin: Admin) -> None:
    items = [{"profile_type": "student", "profile_id": number, "name": "N"} for number in range(1000, 1000 + MAX_ITEMS)]
    assert (await synced(admin, {"profiles": items}))["failed"] == 0
    status, answer = await admin("POST", "/sync", {"profiles": items, "settings": [{**ADA}]})
    assert (status, answer["error"]["code"]) == (400, "invalid_request")


@pytest.mark.changes_nothing
@pytest.mark.parametrize("body", [None, [], "x", {"profiles": {}}, {"people": []}])
async def test_a_body_without_lists_is_refused(admin: Admin, body: Any) -> None:
    status, answer = await admin("POST", "/sync", body)
    assert (status, answer["error"]["code"]) == (400, "invalid_request")


# -- many -------------------------------------------------------------------------------------------------------------


async def test_as_many_items_as_there_may_be_fit_into_a_request(admin: Admin) -> None:
    """500 conversations of two members are more than 64 KB."""
    await synced(admin, {"profiles": EVERYTHING["profiles"]})
    numbers = range(10_000, 10_000 + MAX_ITEMS)
    conversations = [{"conversation_id": number, "members": [ADA, BOB], "keep_chat": False} for number in numbers]
    assert len(json.dumps({"conversations": conversations})) > 64 * 1024
    assert (await synced(admin, {"conversations": conversations}))["failed"] == 0
    assert (await admin("GET", f"/conversations/{10_000 + MAX_ITEMS - 1}"))[1]["members"] == [BOB, ADA]


@pytest.mark.changes_nothing
async def test_a_body_that_is_too_large_is_refused(http: aiohttp.ClientSession) -> None:
    body = io.BytesIO(b" " * (MAX_BODY + 1))
    status, answer = await asked(http, "POST", "/api/admin/sync", PLATFORM, data=body)
    assert (status, answer["error"]["code"]) == (413, "request_entity_too_large")


@pytest.mark.changes_nothing
async def test_only_the_platform_may_send_so_much(relay: RunningRelay, http: aiohttp.ClientSession) -> None:
    """Who has no service token is refused before anything is read."""
    address = urlsplit(relay.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(b"POST /api/admin/sync HTTP/1.1\r\nHost: relay\r\nContent-Length: 4000000\r\n\r\n")
    assert (await asyncio.wait_for(reader.readline(), 20)).startswith(b"HTTP/1.1 401")
    writer.close()
    await writer.wait_closed()
    status, answer = await asked(http, "PUT", "/api/admin/profiles/tutor/789/settings", PLATFORM, data=b" " * 65_537)
    assert (status, answer["error"]["code"]) == (413, "request_entity_too_large")


async def test_an_item_that_failed_is_named(admin: Admin) -> None:
    await synced(admin, {"profiles": EVERYTHING["profiles"]})
    items: list[Any] = [
        {"conversation_id": 5000, "members": [ADA, BOB]},
        {"conversation_id": 5001, "members": [ADA, NOBODY]},
        {"conversation_id": 5002, "members": []},
        "conversation 5003",
    ]
    results = (await synced(admin, {"conversations": items}))["results"]["conversations"]
    assert [result["ok"] for result in results] == [True, False, False, False]
    assert results[1]["item"] == {"conversation_id": 5001}
    assert results[1]["error"] == {"code": "invalid_item", "message": "no such profile: student_7"}
    assert results[2]["item"] == {"conversation_id": 5002}
    assert "item" not in results[3]
    connection = {"profiles": [ADA, NOBODY]}
    assert (await synced(admin, {"connections": [connection]}))["results"]["connections"][0]["item"] == connection


async def test_an_item_that_is_put_and_then_deleted_is_deleted(admin: Admin) -> None:
    await synced(admin, {"profiles": EVERYTHING["profiles"]})
    put, gone = {"conversation_id": 5000, "members": [ADA]}, {"conversation_id": 5000, "deleted": True}
    other = {"conversation_id": 5000, "members": [BOB]}
    assert (await synced(admin, {"conversations": [put, gone]}))["failed"] == 0
    assert (await admin("GET", "/conversations/5000"))[0] == 404
    assert (await synced(admin, {"conversations": [put, gone, put, other]}))["failed"] == 0
    assert (await admin("GET", "/conversations/5000"))[1]["members"] == [BOB]


async def test_omitted_members_are_removed(admin: Admin) -> None:
    await synced(admin, EVERYTHING)
    changed = [{"conversation_id": 5000, "members": [BOB]}, {"conversation_id": 5001, "members": [ADA]}]
    assert (await synced(admin, {"conversations": changed}))["failed"] == 0
    assert (await admin("GET", "/conversations/5000"))[1] == {"conversation_id": 5000, "members": [BOB], "keep_chat": False}


async def test_a_profile_cannot_block_itself_though_it_shares_a_conversation_with_itself(admin: Admin) -> None:
    await synced(admin, EVERYTHING)
    assert (await synced(admin, {"blocks": [{"profile": ADA, "blocked": ADA}]}))["failed"] == 1
