"""Conversations and whiteboard sessions, as the platform sets them up."""

from typing import Any

import aiohttp
import pytest

from tests.http.admin.conftest import Admin
from tests.http.records import ELENA, MAYA, asked

KINDS = pytest.mark.parametrize(
    ("base", "key"), [("/conversations", "conversation_id"), ("/whiteboard/sessions", "whiteboard_session_id")]
)

MAYA_NAME = {"profile_type": "student", "profile_id": 456}
ELENA_NAME = {"profile_type": "parent", "profile_id": 321}
NOBODY = {"profile_type": "student", "profile_id": 1}


@KINDS
async def test_a_scope_is_added_brought_up_to_date_and_deleted(admin: Admin, base: str, key: str) -> None:
    path = f"{base}/5000"
    assert (await admin("GET", path))[0] == 404
    assert await admin("PUT", path, {"members": [MAYA_NAME, ELENA_NAME], "keep_chat": True}) == (204, None)
    assert await admin("GET", path) == (200, {key: 5000, "members": [ELENA_NAME, MAYA_NAME], "keep_chat": True})
    await admin("PUT", path, {"members": [MAYA_NAME, MAYA_NAME]})
    assert await admin("GET", path) == (200, {key: 5000, "members": [MAYA_NAME], "keep_chat": False})
    for _ in range(2):
        assert await admin("DELETE", path) == (204, None)
    assert (await admin("GET", path))[0] == 404


@KINDS
async def test_members_come_and_go(admin: Admin, base: str, key: str) -> None:
    path = f"{base}/5000"
    await admin("PUT", path, {"members": [MAYA_NAME]})
    for _ in range(2):
        assert await admin("PUT", f"{path}/members/parent/321") == (204, None)
    assert (await admin("GET", path))[1]["members"] == [ELENA_NAME, MAYA_NAME]
    for _ in range(2):
        assert await admin("DELETE", f"{path}/members/student/456") == (204, None)
    assert (await admin("GET", path))[1]["members"] == [ELENA_NAME]
    assert (await admin("PUT", f"{path}/members/student/1"))[0] == 404
    assert (await admin("PUT", f"{base}/5001/members/parent/321"))[0] == 404


@pytest.mark.changes_nothing
@KINDS
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"members": []},
        {"members": [NOBODY]},
        {"members": [MAYA_NAME, NOBODY]},
        {"members": [456]},
        {"members": [MAYA_NAME] * 1001},
        {"members": [MAYA_NAME], "keep_chat": "yes"},
        {"members": [MAYA_NAME], "keepchat": True},
    ],
)
async def test_a_scope_that_cannot_be_changes_nothing(admin: Admin, base: str, key: str, body: Any) -> None:
    await admin("PUT", f"{base}/5000", {"members": [MAYA_NAME]})
    for scope_id in (5000, 5001):
        status, answer = await admin("PUT", f"{base}/{scope_id}", body)
        assert (status, answer["error"]["code"]) == (400, "invalid_request")
    assert (await admin("GET", f"{base}/5000"))[1]["members"] == [MAYA_NAME]
    assert (await admin("GET", f"{base}/5001"))[0] == 404


@pytest.mark.changes_nothing
@KINDS
@pytest.mark.parametrize("scope_id", ["0", "2147483648", "9" * 40])
async def test_an_impossible_scope_is_not_found(admin: Admin, base: str, key: str, scope_id: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert (await admin(method, f"{base}/{scope_id}", {"members": [MAYA_NAME]}))[0] == 404


async def test_a_new_conversation_is_there_for_its_members(admin: Admin, http: aiohttp.ClientSession) -> None:
    await admin("PUT", "/conversations/5000", {"members": [MAYA_NAME, ELENA_NAME]})
    for who in (MAYA, ELENA):
        _, answer = await asked(http, "GET", "/api/conversations", who)
        assert 5000 in [one["conversation_id"] for one in answer["conversations"]]
