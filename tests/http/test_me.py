"""What there is about oneself."""

import aiohttp
import pytest

from tests.http.conftest import bearer
from tests.http.records import DANIEL, ELENA, LESSONS, MAYA, WHITEBOARD, asked, calls_of
from tests.kit.server import RunningRelay

SCOPES = {"/api/calls": LESSONS, "/api/whiteboard/calls": WHITEBOARD}


async def test_the_export_has_ones_own_data_and_comes_as_a_file(http: aiohttp.ClientSession, relay: RunningRelay) -> None:
    async with calls_of(relay) as calls:
        own, foreign = await calls.add(0), await calls.add(1, DANIEL, ELENA)
        await calls.say(own, MAYA, "Mine", 0.1)
        await calls.say(own, DANIEL, "Not mine", 0.2)
    await asked(http, "PUT", "/api/settings", MAYA, json={"privacy": "nobody"})
    async with http.get("/api/me/export", headers=bearer(MAYA)) as response:
        assert response.status == 200
        assert response.headers["Content-Disposition"] == 'attachment; filename="student_456.json"'
        text, body = await response.text(), await response.json()
    assert body["profile"]["name"] == "Maya Lindgren"
    assert body["settings"]["privacy"] == "nobody"
    assert [call["id"] for call in body["calls"]] == [own]
    assert [one["text"] for one in body["chat"]] == ["Mine"]
    assert foreign not in text
    assert "Not mine" not in text


@pytest.mark.changes_nothing
async def test_the_export_of_an_unknown_profile_is_not_found(http: aiohttp.ClientSession) -> None:
    status, answer = await asked(http, "GET", "/api/me/export", "student_1")
    assert (status, answer["error"]["code"]) == (404, "not_found")


@pytest.mark.changes_nothing
async def test_an_export_needs_a_credential(http: aiohttp.ClientSession) -> None:
    status, answer = await asked(http, "GET", "/api/me/export", {})
    assert (status, answer["error"]["code"]) == (401, "unauthorized")


async def test_erasing_a_history_keeps_the_other_partys(http: aiohttp.ClientSession, relay: RunningRelay) -> None:
    async with calls_of(relay) as calls:
        call_ids = {base: await calls.add(0, scope=scope) for base, scope in SCOPES.items()}
        text_of = call_ids["/api/calls"]
        await calls.say(text_of, MAYA, "Mine", 0.1)
        await calls.say(text_of, DANIEL, "His", 0.2)
    for _ in range(2):
        assert await asked(http, "DELETE", "/api/me/history", MAYA) == (204, None)
    for base, call_id in call_ids.items():
        assert await asked(http, "GET", base, MAYA) == (200, {"calls": [], "next_cursor": None})
        assert (await asked(http, "GET", f"{base}/{call_id}", MAYA))[0] == 404
        assert await asked(http, "GET", f"{base}/unseen", MAYA) == (200, {"unseen_count": 0})
        assert (await asked(http, "GET", f"{base}/{call_id}", DANIEL))[0] == 200
    _, answer = await asked(http, "GET", f"/api/calls/{text_of}", DANIEL)
    assert [text["text"] for text in answer["chat"]] == ["His"]
    _, answer = await asked(http, "GET", "/api/me/export", MAYA)
    assert (answer["profile"]["name"], answer["calls"], answer["chat"]) == ("Maya Lindgren", [], [])


@pytest.mark.changes_nothing
async def test_erasing_a_history_needs_a_credential(http: aiohttp.ClientSession) -> None:
    status, answer = await asked(http, "DELETE", "/api/me/history", {})
    assert (status, answer["error"]["code"]) == (401, "unauthorized")
