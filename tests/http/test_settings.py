"""What a profile wants about being called."""

from typing import Any

import aiohttp
import pytest

from tests.http.records import DANIEL, MAYA, asked

DEFAULTS = {"privacy": "everyone", "do_not_disturb": False}


@pytest.mark.changes_nothing
async def test_by_default_everyone_can_call_a_profile(http: aiohttp.ClientSession) -> None:
    assert await asked(http, "GET", "/api/settings", MAYA) == (200, DEFAULTS)


async def test_a_change_is_kept_for_this_profile_only(http: aiohttp.ClientSession) -> None:
    wanted = {"privacy": "connections", "do_not_disturb": True}
    assert await asked(http, "PUT", "/api/settings", MAYA, json=wanted) == (200, wanted)
    assert await asked(http, "GET", "/api/settings", MAYA) == (200, wanted)
    assert await asked(http, "GET", "/api/settings", DANIEL) == (200, DEFAULTS)


async def test_an_omitted_setting_is_kept(http: aiohttp.ClientSession) -> None:
    await asked(http, "PUT", "/api/settings", MAYA, json={"privacy": "nobody"})
    both = {"privacy": "nobody", "do_not_disturb": True}
    assert await asked(http, "PUT", "/api/settings", MAYA, json={"do_not_disturb": True}) == (200, both)
    assert await asked(http, "PUT", "/api/settings", MAYA, json={}) == (200, both)


@pytest.mark.changes_nothing
@pytest.mark.parametrize(
    "body", [[], "nobody", {"privacy": "friends"}, {"privacy": 1}, {"do_not_disturb": "yes"}, {"privcy": "nobody"}]
)
async def test_an_invalid_body_changes_nothing(http: aiohttp.ClientSession, body: Any) -> None:
    status, answer = await asked(http, "PUT", "/api/settings", MAYA, json=body)
    assert (status, answer["error"]["code"]) == (400, "invalid_request")
    assert await asked(http, "GET", "/api/settings", MAYA) == (200, DEFAULTS)


@pytest.mark.changes_nothing
async def test_settings_of_an_unknown_profile_are_not_found(http: aiohttp.ClientSession) -> None:
    status, answer = await asked(http, "PUT", "/api/settings", "student_1", json={"privacy": "nobody"})
    assert (status, answer["error"]["code"]) == (404, "not_found")


@pytest.mark.changes_nothing
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_settings_need_a_credential(http: aiohttp.ClientSession, method: str) -> None:
    status, answer = await asked(http, method, "/api/settings", {}, json={"privacy": "nobody"})
    assert (status, answer["error"]["code"]) == (401, "unauthorized")
