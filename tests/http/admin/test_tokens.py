"""Tokens for platforms that sign none themselves."""

from pathlib import Path

import aiohttp
import pytest

from relay.db.engine import create_engine
from relay.db.schema.migrate import upgrade
from tests.http.admin.conftest import PLATFORM, SERVICE_TOKEN, Admin
from tests.http.records import asked
from tests.kit.server import running_relay


@pytest.mark.changes_nothing
async def test_an_issued_token_authenticates_the_profile(admin: Admin, http: aiohttp.ClientSession) -> None:
    status, answer = await admin("POST", "/tokens", {"profile_type": "student", "profile_id": 456})
    assert (status, answer["expires_in"]) == (201, 3600.0)
    _, found = await asked(http, "GET", "/api/profiles", {"Authorization": f"Bearer {answer['token']}"})
    assert "Maya Lindgren" in [one["name"] for one in found["profiles"]]


@pytest.mark.changes_nothing
async def test_no_token_is_issued_for_an_unknown_profile(admin: Admin) -> None:
    status, answer = await admin("POST", "/tokens", {"profile_type": "student", "profile_id": 1})
    assert (status, answer["error"]["code"]) == (404, "not_found")


@pytest.mark.changes_nothing
@pytest.mark.parametrize("body", [{}, {"profile_type": "teacher", "profile_id": 1}, {"profile_type": "student", "profile_id": 0}])
async def test_a_profile_must_be_named(admin: Admin, body: dict[str, object]) -> None:
    assert (await admin("POST", "/tokens", body))[0] == 400


async def test_without_a_secret_to_sign_with_there_are_none(tmp_path: Path) -> None:
    """On a platform that signs its tokens itself."""
    keys = tmp_path / "keys.json"
    keys.write_text('{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}')
    database = create_engine(f"sqlite+aiosqlite:///{tmp_path / 'relay.db'}")
    await upgrade(database)
    await database.dispose()
    settings = {"dev": False, "jwks": str(keys), "service_token": SERVICE_TOKEN, "media_host": "127.0.0.1"}
    async with running_relay(tmp_path, **settings) as relay, aiohttp.ClientSession(relay.url) as http:
        body = {"profile_type": "student", "profile_id": 456}
        assert (await asked(http, "POST", "/api/admin/tokens", PLATFORM, json=body))[0] == 404
        assert (await asked(http, "PUT", "/api/admin/profiles/student/456", PLATFORM, json={"name": "Maya"}))[0] == 204
