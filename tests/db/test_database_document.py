"""docs/database.md tells other software what it may read: here that is read."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.naming import VIEWS
from relay.db.platform import SqlPlatform
from relay.db.schema.adoption import CONTRACT
from relay.db.schema.migrate import upgrade
from relay.ids import Scope, ScopeKind
from tests.db.calls import call
from tests.db.people import STUDENT, TUTOR

DOCUMENT = (Path(__file__).parents[2] / "docs" / "database.md").read_text()
QUERIES = re.findall(r"```sql\n(SELECT.*?|-- .*?)\n```", DOCUMENT, re.DOTALL)
SCOPE = Scope(ScopeKind.CONVERSATION, 7)

ROWS = """
    INSERT INTO {table} (caller_profile_id, caller_profile_type, caller_user_id, call_type, status, started_at, ended_at)
    SELECT n % 900 + 1, 'student', n % 900 + 1, 'voice', 'ended', {time}, {time}
    FROM {numbers}
"""
DIALECTS = {
    # A call a minute, for two weeks.
    "postgresql": ("timestamp '2026-02-20' + n * interval '1 minute'", "generate_series(1, 20000) AS n"),
    "sqlite": (
        "strftime('%Y-%m-%d %H:%M:%f', '2026-02-20', n || ' minutes') || '000'",
        "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000) SELECT n FROM s)",
    ),
}


def meant_for(engine: AsyncEngine, query: str) -> bool:
    named = re.match(r"-- (\w+)\n", query)
    return named is None or named[1].lower() == engine.dialect.name


async def results(engine: AsyncEngine, query: str) -> list[dict[str, Any]]:
    async with engine.connect() as connection:
        return [dict(row) for row in (await connection.execute(text(query))).mappings()]


@pytest.fixture
async def filled(engine: AsyncEngine) -> AsyncEngine:
    """A call that was answered, one that was not, and one that goes on; all on the first of March."""
    platform = SqlPlatform(engine)
    await platform.put_profiles([STUDENT, TUTOR])
    await platform.put_scope(SCOPE, [STUDENT.profile, TUTOR.profile])
    await call(engine, SCOPE, started=0, answered=0, reason="hangup")
    await call(engine, SCOPE, started=600)
    await call(engine, SCOPE, started=1200, answered=5, reason=None)
    return engine


async def test_every_query_of_the_document_finds_what_it_says(filled: AsyncEngine) -> None:
    asked = [query for query in QUERIES if meant_for(filled, query)]
    assert len(QUERIES) == len(asked) + 1 == 7
    day, account, minutes, reasons, now, names = [await results(filled, query) for query in asked]
    assert [(row["status"], row["end_reason"], row["duration_seconds"]) for row in day] == [
        ("ended", "hangup", 60),
        ("missed", "no_answer", None),
    ]
    assert [row["status"] for row in account] == ["answered", "missed", "ended"]
    assert [(row["caller_user_id"], row["calls"], row["minutes"]) for row in minutes] == [(1456, 1, 1)]
    assert [(row["end_reason"], row["calls"]) for row in reasons] == [("no_answer", 1)]
    assert [(row["conversation_id"], row["status"]) for row in now] == [(7, "answered")]
    assert [row["callee"] for row in names] == [TUTOR.name] * 3


async def test_participants_look_as_the_document_says(filled: AsyncEngine) -> None:
    [example] = re.findall(r"```json\n(.*?)\n```", DOCUMENT, re.DOTALL)
    [documented, found] = json.loads(example), (await results(filled, "SELECT participants FROM call_logs"))[0]["participants"]
    found = json.loads(found) if isinstance(found, str) else found
    assert [list(one) for one in documented] == [["profile_type", "profile_id", "name", "role"]] * 2
    assert [set(one) for one in found] == [set(one) for one in documented]
    assert [one["role"] for one in found] == [one["role"] for one in documented]


@pytest.mark.parametrize("table", ["call_logs", "whiteboard_call_history"])
@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("ended_at >= '2026-03-01 00:00:00' AND ended_at < '2026-03-01 06:00:00'", "ended_at"),
        ("caller_user_id = 17 ORDER BY started_at DESC LIMIT 20", "caller_user_id"),
    ],
)
async def test_reports_by_end_and_by_account_read_no_whole_table(
    empty_engine: AsyncEngine, table: str, condition: str, index: str
) -> None:
    await upgrade(empty_engine)
    time, numbers = DIALECTS[empty_engine.dialect.name]
    explain = "EXPLAIN" if empty_engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    async with empty_engine.begin() as connection:
        await connection.exec_driver_sql(ROWS.format(table=table, time=time, numbers=numbers))
        await connection.exec_driver_sql("ANALYZE")
        found = await connection.exec_driver_sql(f"{explain} SELECT id FROM {table} WHERE {condition}")
        plan = "\n".join(" ".join(map(str, line)) for line in found)
        assert f"ix_{table}_{index}" in plan
        assert "Seq Scan" not in plan
        assert f"SCAN {table}" not in plan


def test_every_column_of_the_contract_and_every_view_is_documented() -> None:
    [contract] = re.findall(r"These columns are a contract.*?\n\n(.*?)\n\n", DOCUMENT, re.DOTALL)
    named = set(re.findall(r"`(\w+)`", "\n".join(line.split("|")[1] + (line.split("|")[3]) for line in contract.splitlines())))
    assert named >= CONTRACT
    for table in (table for tables in VIEWS.values() for table in tables):
        assert f"`relay_view_{table}`" in DOCUMENT


async def test_the_contract_is_in_the_tables(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        columns = await connection.run_sync(lambda sync: inspect(sync).get_multi_columns())
    for table, other in (("call_logs", "session_id"), ("whiteboard_call_history", "conversation_id")):
        assert {column["name"] for column in columns[None, table]} >= CONTRACT - {other}
