"""The administration API takes the service token only."""

import logging

import aiohttp
import pytest

from relay.errors import ConfigurationError
from relay.http.admin import live, profiles, scopes, sync, tokens
from relay.settings.all import Settings
from tests.http.admin.conftest import PLATFORM, SERVICE_TOKEN, Admin
from tests.http.conftest import bearer
from tests.http.records import MAYA, asked

ROUTES = [*profiles.ROUTES, *scopes.ROUTES, *sync.ROUTES, *tokens.ROUTES, *live.ROUTES]

NAMES = {
    r"{profile_type:\w+}": "student",
    r"{profile_id:\d+}": "456",
    r"{other_type:\w+}": "tutor",
    r"{other_id:\d+}": "789",
    r"{scope_id:\d+}": "123",
    r"{call_id:\w{1,32}}": "f" * 32,
}


def path_of(pattern: str) -> str:
    for part, value in NAMES.items():
        pattern = pattern.replace(part, value)
    assert "{" not in pattern
    return pattern


@pytest.mark.changes_nothing
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {SERVICE_TOKEN[:-1]}"},
        {"Authorization": f"Bearer {SERVICE_TOKEN}x"},
        {"Authorization": f"Basic {SERVICE_TOKEN}"},
        {"Authorization": "Bearer \u00ff\u00fe"},
        {"Cookie": f"relay_token={SERVICE_TOKEN}"},
        bearer(MAYA),
    ],
    ids=lambda headers: next(iter(headers.values()), "nothing")[:20],
)
@pytest.mark.settings(limit_failed_logins="off")
async def test_requests_without_the_service_token_are_unauthorized(http: aiohttp.ClientSession, headers: dict[str, str]) -> None:
    for route in ROUTES:
        status, answer = await asked(http, route.method, path_of(route.path), headers, json={})
        assert (status, answer["error"]["code"]) == (401, "unauthorized"), route
    status, _ = await asked(http, "GET", "/api/admin/profiles/student/456", PLATFORM)
    assert status == 200


async def test_the_token_in_the_address_is_not_taken(http: aiohttp.ClientSession) -> None:
    path = f"/api/admin/profiles/student/456?token={SERVICE_TOKEN.replace(' ', '%20')}"
    assert (await asked(http, "GET", path, {}))[0] == 401


async def test_the_service_token_is_no_credential_of_a_profile(http: aiohttp.ClientSession) -> None:
    assert (await asked(http, "GET", "/api/settings", PLATFORM))[0] == 401


@pytest.mark.settings(service_token="")
async def test_without_a_token_in_the_settings_there_is_no_admin(http: aiohttp.ClientSession) -> None:
    for headers in (PLATFORM, {"Authorization": "Bearer "}, {}):
        for route in ROUTES:
            status, answer = await asked(http, route.method, path_of(route.path), headers, json={})
            assert (status, answer["error"]["code"]) == (404, "not_found"), route


@pytest.mark.settings(limit_failed_logins="3/minute")
async def test_the_token_cannot_be_guessed_at_length(http: aiohttp.ClientSession) -> None:
    path = "/api/admin/profiles/student/456"
    wrong = {"Authorization": "Bearer guessed"}
    assert [(await asked(http, "GET", path, wrong))[0] for _ in range(4)] == [401, 401, 401, 429]


@pytest.mark.settings(limit_failed_logins="3/minute", limit_requests="10/minute")
async def test_failed_logins_do_not_limit_the_platform(http: aiohttp.ClientSession) -> None:
    path = "/api/admin/profiles/student/456"
    for _ in range(20):
        await asked(http, "GET", path, {"Authorization": "Bearer guessed"})
    assert (await asked(http, "GET", path, PLATFORM))[0] == 200


async def test_the_token_is_in_no_log(admin: Admin, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await admin("GET", "/profiles/student/456")
    await admin("POST", "/sync", {"profiles": [1]})
    assert SERVICE_TOKEN not in caplog.text


@pytest.mark.parametrize("token", ["short", "x" * 31])
def test_a_token_that_could_be_guessed_is_refused_at_the_start(token: str) -> None:
    with pytest.raises(ConfigurationError, match="RELAY_SERVICE_TOKEN: needs at least 32") as refused:
        Settings.from_environment({"RELAY_DEV": "1", "RELAY_SERVICE_TOKEN": token})
    assert token not in str(refused.value)
