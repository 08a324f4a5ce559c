"""A real call, with the relay in the database of the platform whose backend it replaces."""

import contextlib
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.db.engine import create_engine
from relay.db.naming import Layout
from relay.db.schema.migrate import upgrade
from relay.settings.database import TableSettings
from tests.db import platform_database
from tests.kit.databases import database_url, postgresql
from tests.kit.peer import Peer
from tests.kit.server import running_relay
from tests.kit.wait import eventually

__all__ = ["database_url", "postgresql"]

SERVICE_TOKEN = "the platform's own token, of 32 characters or more"
PAIR = [{"profile_type": "student", "profile_id": 456}, {"profile_type": "tutor", "profile_id": 789}]


@pytest.mark.parametrize("views", [False, True], ids=["told by the API", "told by views"])
async def test_a_call_stands_in_the_platforms_table_beside_the_old_ones(
    database_url: str, tmp_path: Path, no_errors_logged: None, views: bool
) -> None:
    on_sqlite = database_url.startswith("sqlite")
    where = {"database_prefix": "relay_"} if on_sqlite else {"database_schema": "relay"}
    layout = Layout(TableSettings(database_prefix="relay_")) if on_sqlite else Layout(TableSettings(database_schema="relay"))
    platforms, ours = create_engine(database_url), create_engine(database_url, layout=layout)
    await platform_database.fill(platforms)
    await upgrade(ours, adopt=True)
    await ours.dispose()
    if views:
        keep = "1" if on_sqlite else "true"
        async with platforms.begin() as connection:
            for name, definition in (
                ("conversations", f"SELECT id, {keep} AS keep_chat FROM conversations"),
                ("conversation_members", "SELECT conversation_id, profile_type, profile_id FROM conversation_members"),
            ):
                await connection.exec_driver_sql(f"CREATE VIEW relay_view_{name} AS {definition}")
    before = await platform_database.rows(platforms, "call_logs")
    settings: dict[str, Any] = {"service_token": SERVICE_TOKEN, "database_url": database_url, "media_host": "127.0.0.1", **where}
    if views:
        settings["database_views"] = ("conversations",)
    async with running_relay(tmp_path, **settings) as relay, contextlib.AsyncExitStack() as people:
        told = {"conversations": [{"conversation_id": 1, "members": PAIR}]}
        bearer = {"Authorization": f"Bearer {SERVICE_TOKEN}"}
        async with (
            aiohttp.ClientSession(relay.url, headers=bearer) as http,
            http.post("/api/admin/sync", json=told) as response,
        ):
            [result] = (await response.json())["results"]["conversations"]
            assert result["ok"] or (views and result["error"]["code"] == "read_only")
        caller = await people.enter_async_context(Peer.connected(relay.url, "student_456", tone=440.0))
        callee = await people.enter_async_context(Peer.connected(relay.url, "tutor_789", tone=1200.0))
        await caller.call("tutor_789", 1, "voice", ("opus",))
        await callee.answer(await callee.ring())
        await caller.accept_answer()
        await eventually(lambda: caller.hears(1200.0) and callee.hears(440.0), "they hear each other")
        await caller.hang_up()

        async def over() -> bool:
            return str((await platform_database.rows(platforms, "call_logs"))[-1]["status"]) == "ended"

        await eventually(over, "the call is written down")
    rows = await platform_database.rows(platforms, "call_logs")
    contract = before[0].keys()
    assert [{name: row[name] for name in contract} for row in rows[:-1]] == before
    assert (rows[-1]["conversation_id"], rows[-1]["caller_user_id"], rows[-1]["end_reason"]) == (1, 1456, "hangup")
    assert rows[-1]["duration_seconds"] is not None
    await platforms.dispose()
