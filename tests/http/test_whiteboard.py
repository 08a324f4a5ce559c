"""Own calls in whiteboard sessions."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.http.records import DANIEL, ELENA, LESSONS, MAYA, WHITEBOARD, Calls, asked, calls_of
from tests.kit.server import RunningRelay


@pytest.fixture
async def calls(relay: RunningRelay) -> AsyncIterator[Calls]:
    async with calls_of(relay) as calls:
        yield calls


async def test_a_call_names_its_session(http: aiohttp.ClientSession, calls: Calls) -> None:
    call_id = await calls.add(0, scope=WHITEBOARD, reason="hangup")
    await calls.add(1, scope=LESSONS)
    status, answer = await asked(http, "GET", "/api/whiteboard/calls", MAYA)
    [call] = answer["calls"]
    assert (status, call["call_id"], call["whiteboard_session_id"]) == (200, call_id, 900)
    assert call["recording_id"] is None
    assert "conversation_id" not in call
    status, answer = await asked(http, "GET", f"/api/whiteboard/calls/{call_id}", DANIEL)
    assert (status, answer["call"]["direction"], answer["chat"]) == (200, "outgoing", [])


async def test_a_missed_call_is_unseen_until_it_is_marked(http: aiohttp.ClientSession, calls: Calls) -> None:
    missed = await calls.add(0, scope=WHITEBOARD)
    await calls.add(1, scope=WHITEBOARD, reason="hangup")
    _, answer = await asked(http, "GET", "/api/whiteboard/calls/missed", MAYA)
    assert [(call["call_id"], call["seen"]) for call in answer["calls"]] == [(missed, False)]
    assert await asked(http, "GET", "/api/whiteboard/calls/unseen", MAYA) == (200, {"unseen_count": 1})
    marked = await asked(http, "POST", "/api/whiteboard/calls/seen", MAYA, json={"call_ids": [missed]})
    assert marked == (200, {"marked": 1, "unseen_count": 0})


async def test_another_profiles_call_is_not_found(http: aiohttp.ClientSession, calls: Calls) -> None:
    call_id = await calls.add(0, scope=WHITEBOARD)
    assert await asked(http, "GET", "/api/whiteboard/calls", ELENA) == (200, {"calls": [], "next_cursor": None})
    assert (await asked(http, "GET", f"/api/whiteboard/calls/{call_id}", ELENA))[0] == 404
    for body in ({"call_ids": [call_id]}, {"up_to": call_id}):
        assert (await asked(http, "POST", "/api/whiteboard/calls/seen", ELENA, json=body))[0] == 404
    assert await asked(http, "GET", "/api/whiteboard/calls/unseen", MAYA) == (200, {"unseen_count": 1})


async def test_a_profile_sees_its_sessions_and_no_other(http: aiohttp.ClientSession) -> None:
    members = [
        {"profile_type": "tutor", "profile_id": 789, "name": "Daniel Okafor", "avatar": ""},
        {"profile_type": "student", "profile_id": 456, "name": "Maya Lindgren", "avatar": ""},
    ]
    for who in (MAYA, DANIEL):
        answer = await asked(http, "GET", "/api/whiteboard/sessions", who)
        assert answer == (200, {"sessions": [{"whiteboard_session_id": 900, "members": members}]})
    assert await asked(http, "GET", "/api/whiteboard/sessions", ELENA) == (200, {"sessions": []})
    assert (await asked(http, "GET", "/api/whiteboard/sessions", {}))[0] == 401
