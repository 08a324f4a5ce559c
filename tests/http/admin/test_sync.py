"""Many things at once."""

from typing import Any

import pytest

from relay.http.admin.sync import MAX_ITEMS
from tests.http.admin.conftest import Admin

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


@pytest.mark.parametrize("body", [None, [], "x", {"profiles": {}}, {"people": []}])
async def test_what_has_no_lists_is_refused(admin: Admin, body: Any) -> None:
    status, answer = await admin("POST", "/sync", body)
    assert (status, answer["error"]["code"]) == (400, "invalid_request")
