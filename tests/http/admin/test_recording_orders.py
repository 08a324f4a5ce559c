"""Which calls are recorded, as the platform wants it."""

import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest

from relay.ids import Profile
from tests.http.admin.conftest import Admin
from tests.http.conftest import socket_of
from tests.http.live import Socket, heard
from tests.http.records import DANIEL, MAYA
from tests.signaling.people import answer, invitation

LESSON = "/conversations/123/recording"


@contextlib.asynccontextmanager
async def talking(http: aiohttp.ClientSession, *, shows: bool = True) -> AsyncIterator[tuple[Socket, Socket, str]]:
    """Maya has called Daniel, and he has answered: their sockets, and the call's id."""
    async with socket_of(http, MAYA) as caller, socket_of(http, DANIEL) as callee:
        await caller.send_str(invitation(Profile.parse(DANIEL), can_show_recording=shows))
        call = await heard(callee, "call_invitation")
        await callee.send_str(answer(can_show_recording=shows))
        await heard(caller, "call_answer")
        yield caller, callee, call["call_id"]


async def test_the_platform_records_a_call_and_ends_that(admin: Admin, http: aiohttp.ClientSession) -> None:
    async with talking(http) as (caller, callee, call_id):
        status, ordered = await admin("POST", f"/calls/{call_id}/recording")
        assert (status, ordered["state"]) == (202, "recording")
        for socket in (caller, callee):
            told = await heard(socket, "call_recording")
            assert (told["state"], told["by"], told["recording_id"]) == ("recording", "service", ordered["recording_id"])
        assert (await admin("POST", f"/calls/{call_id}/recording"))[0] == 409
        assert (await admin("DELETE", f"/calls/{call_id}/recording"))[0] == 204
        assert (await heard(callee, "call_recording"))["state"] == "stopped"
        assert (await admin("DELETE", f"/calls/{call_id}/recording"))[0] == 404


async def test_a_call_that_rings_is_recorded_from_its_answer_on(admin: Admin, http: aiohttp.ClientSession) -> None:
    async with socket_of(http, MAYA) as caller, socket_of(http, DANIEL) as callee:
        await caller.send_str(invitation(Profile.parse(DANIEL), can_show_recording=True))
        call_id = (await heard(callee, "call_invitation"))["call_id"]
        assert await admin("POST", f"/calls/{call_id}/recording") == (202, {"recording_id": None, "state": "ordered"})
        await callee.send_str(answer(can_show_recording=True))
        assert (await heard(callee, "call_recording"))["state"] == "recording"


async def test_a_call_that_cannot_be_recorded_is_refused_with_the_reason(admin: Admin, http: aiohttp.ClientSession) -> None:
    assert (await admin("POST", f"/calls/{'0' * 32}/recording"))[0] == 404
    async with talking(http, shows=False) as (_, _, call_id):
        status, body = await admin("POST", f"/calls/{call_id}/recording")
        assert (status, body["error"]["code"]) == (409, "not_supported")
    assert (await admin("PUT", LESSON, {"policy": "consent"}))[0] == 204
    async with talking(http) as (_, _, call_id):
        status, body = await admin("POST", f"/calls/{call_id}/recording")
        assert (status, body["error"]["code"]) == (409, "not_allowed")


async def test_a_conversation_may_be_stricter_and_not_looser(admin: Admin, http: aiohttp.ClientSession) -> None:
    assert await admin("GET", LESSON) == (200, {"policy": None, "effective": "consent"})
    status, body = await admin("PUT", LESSON, {"policy": "always"})
    assert (status, body["error"]["code"]) == (400, "invalid_request")
    async with talking(http) as (caller, callee, _):
        await caller.send_json({"type": "call_record", "conversation_id": 123, "action": "start"})
        await heard(callee, "call_record_request")
        await callee.send_json({"type": "call_record_answer", "conversation_id": 123, "accepted": True})
        while (await heard(caller, "call_recording"))["state"] != "recording":
            continue
        assert (await admin("PUT", LESSON, {"policy": "off"}))[0] == 204
        assert (await heard(caller, "call_recording"))["state"] == "stopped"
        await caller.send_json({"type": "call_record", "conversation_id": 123, "action": "start"})
        assert (await heard(caller, "error"))["code"] == "not_allowed"
    assert await admin("GET", LESSON) == (200, {"policy": "off", "effective": "off"})
    assert (await admin("DELETE", LESSON))[0] == 204
    assert await admin("GET", LESSON) == (200, {"policy": None, "effective": "consent"})
    assert await admin("GET", "/whiteboard/sessions/7/recording") == (200, {"policy": None, "effective": "consent"})


@pytest.mark.changes_nothing
@pytest.mark.parametrize("body", [{}, {"policy": "never"}, {"policy": None}, {"policy": "off", "more": 1}])
async def test_a_policy_that_is_none_is_refused(admin: Admin, body: dict[str, object]) -> None:
    assert (await admin("PUT", LESSON, body))[0] == 400
