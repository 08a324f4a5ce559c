"""What there is about oneself."""

import aiohttp

from tests.http.conftest import bearer
from tests.http.records import DANIEL, ELENA, MAYA, asked, calls_of
from tests.kit.server import RunningRelay


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


async def test_of_nobody_there_is_nothing(http: aiohttp.ClientSession) -> None:
    status, answer = await asked(http, "GET", "/api/me/export", "student_1")
    assert (status, answer["error"]["code"]) == (404, "not_found")


async def test_without_a_credential_nothing_is_handed_out(http: aiohttp.ClientSession) -> None:
    status, answer = await asked(http, "GET", "/api/me/export", {})
    assert (status, answer["error"]["code"]) == (401, "unauthorized")
