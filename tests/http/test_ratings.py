"""What a profile says of its own calls."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from relay.records.ratings import MAX_COMMENT_LENGTH
from tests.http.live import talking
from tests.http.records import DANIEL, ELENA, MAYA, WHITEBOARD, Calls, asked, calls_of
from tests.kit.server import RunningRelay

BAD = {"score": 2, "problems": ["echo", "delay"], "comment": "I heard myself."}


@pytest.fixture
async def calls(relay: RunningRelay) -> AsyncIterator[Calls]:
    async with calls_of(relay) as calls:
        yield calls


async def counted(http: aiohttp.ClientSession) -> dict[str, float]:
    """Value by label, of both metrics."""
    async with http.get("/metrics") as response:
        families = text_string_to_metric_families(await response.text())
        return {
            next(iter(sample.labels.values())): sample.value
            for family in families
            if family.name in ("relay_call_ratings", "relay_call_problems")
            for sample in family.samples
        }


async def test_a_party_rates_its_call_and_the_other_one_does_not_see_it(http: aiohttp.ClientSession, calls: Calls) -> None:
    call_id = await calls.add(0, reason="hangup")
    path = f"/api/calls/{call_id}"
    assert (await asked(http, "GET", path, MAYA))[1]["rating"] is None
    assert await asked(http, "PUT", f"{path}/rating", MAYA, json={"score": 5}) == (204, None)
    assert (await asked(http, "GET", path, MAYA))[1]["rating"] == {"score": 5, "problems": [], "comment": ""}
    assert await asked(http, "PUT", f"{path}/rating", MAYA, json=BAD) == (204, None)
    assert (await asked(http, "GET", path, MAYA))[1]["rating"] == BAD
    assert (await asked(http, "GET", path, DANIEL))[1]["rating"] is None
    assert await counted(http) == {"5": 1, "echo": 1, "delay": 1}, "one that changes its mind counts once"
    assert await asked(http, "DELETE", f"{path}/rating", MAYA) == (204, None)
    assert (await asked(http, "GET", path, MAYA))[1]["rating"] is None


async def test_a_call_on_a_whiteboard_is_rated_there(http: aiohttp.ClientSession, calls: Calls) -> None:
    call_id = await calls.add(0, scope=WHITEBOARD, reason="hangup")
    assert (await asked(http, "PUT", f"/api/calls/{call_id}/rating", MAYA, json=BAD))[0] == 404
    assert (await asked(http, "PUT", f"/api/whiteboard/calls/{call_id}/rating", MAYA, json=BAD))[0] == 204
    assert (await asked(http, "GET", f"/api/whiteboard/calls/{call_id}", MAYA))[1]["rating"] == BAD


async def test_nothing_but_an_own_call_that_is_over_is_rated(http: aiohttp.ClientSession, calls: Calls) -> None:
    call_id = await calls.add(0, reason="hangup")
    for who, named in ((ELENA, call_id), (MAYA, "f" * 32), (MAYA, "1")):
        status, answer = await asked(http, "PUT", f"/api/calls/{named}/rating", who, json=BAD)
        assert (status, answer["error"]["code"]) == (404, "not_found")
    async with talking(http):
        listed = (await asked(http, "GET", "/api/calls", MAYA))[1]["calls"]
        [going_on] = [one["call_id"] for one in listed if one["status"] != "ended"]
        assert (await asked(http, "PUT", f"/api/calls/{going_on}/rating", MAYA, json=BAD))[0] == 404
    assert await counted(http) == {}


async def test_a_rating_that_cannot_be_is_refused(http: aiohttp.ClientSession, calls: Calls) -> None:
    call_id = await calls.add(0, reason="hangup")
    bodies: list[object] = [
        {},
        {"score": 0},
        {"score": 6},
        {"score": 2.5},
        {"score": "5"},
        {"score": 1, "problems": ["<script>"]},
        {"score": 1, "problems": ["echo"] * 9},
        {"score": 1, "comment": "x" * (MAX_COMMENT_LENGTH + 1)},
        {"score": 1, "comment": None},
        [],
    ]
    for body in bodies:
        status, answer = await asked(http, "PUT", f"/api/calls/{call_id}/rating", MAYA, json=body)
        assert (status, answer["error"]["code"]) == (400, "invalid_request"), body
    assert (await asked(http, "GET", f"/api/calls/{call_id}", MAYA))[1]["rating"] is None
