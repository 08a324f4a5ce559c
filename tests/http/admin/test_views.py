"""What the platform's views tell cannot be told over HTTP as well."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from relay.db.engine import create_engine
from tests.http.admin.conftest import Admin
from tests.http.conftest import socket_of

MAYA = {"profile_type": "student", "profile_id": 456}


@pytest.fixture
async def relay_settings(relay_settings: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A relay that reads everything from views: over tables that its demo fills, here."""
    engine = create_engine(f"sqlite+aiosqlite:///{tmp_path / 'relay.db'}")
    views = {
        "profiles": "SELECT 'student' AS profile_type, 456 AS profile_id, 1 AS user_id, 'Maya' AS name, '' AS avatar",
        "profile_settings": "SELECT 'student' AS profile_type, 456 AS profile_id, 'everyone' AS privacy, 0 AS do_not_disturb",
    }
    async with engine.begin() as connection:
        for name, definition in views.items():
            await connection.execute(text(f"CREATE VIEW relay_view_{name} AS {definition}"))
    await engine.dispose()
    return {**relay_settings, "database_views": ("profiles", "settings")}


async def test_changes_are_refused_with_a_code_of_their_own(admin: Admin, http: Any) -> None:
    async with socket_of(http, "student_456") as socket:
        for method, path, body in (
            ("PUT", "/profiles/student/456", {"name": "Maya"}),
            ("DELETE", "/profiles/student/456", None),
            ("PUT", "/profiles/student/456/settings", {"privacy": "nobody"}),
        ):
            status, answer = await admin(method, path, body)
            assert (status, answer["error"]["code"]) == (409, "read_only")
        status, answer = await admin("POST", "/sync", {"profiles": [{**MAYA, "name": "Maya"}, {**MAYA, "deleted": True}]})
        assert [one["error"]["code"] for one in answer["results"]["profiles"]] == ["read_only", "read_only"]
        # The refused deletion closed no connection.
        await socket.send_json({"type": "nothing"})
        assert (await socket.receive_json(timeout=20))["code"] == "unknown_type"
    assert (await admin("GET", "/profiles/student/456"))[1]["name"] == "Maya"
    assert (await admin("GET", "/profiles"))[1]["profiles"] == [{**MAYA, "name": "Maya", "avatar": "", "user_id": 1}]
