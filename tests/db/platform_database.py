"""A platform's database before the relay comes, laid out as the replaced backend described it: with tables, columns, keys and
rows of the platform's own, of which some have the same names as the relay's."""

import json
from typing import Any

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

CALLS = """
    CREATE TABLE {table} (
        id {serial},
        {scope},
        caller_profile_id INTEGER,
        caller_profile_type VARCHAR(50),
        caller_user_id INTEGER,
        call_type VARCHAR(20),
        status VARCHAR(20),
        started_at TIMESTAMP,
        answered_at TIMESTAMP,
        ended_at TIMESTAMP,
        duration_seconds INTEGER,
        participants {json},
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        network_quality VARCHAR(10),
        billed BOOLEAN DEFAULT {true} NOT NULL
    )
"""

WHITEBOARD_CALLS = CALLS.replace("{table}", "whiteboard_call_history").replace(
    "{scope}", "session_id INTEGER NOT NULL REFERENCES whiteboard_sessions (id) ON DELETE CASCADE"
)

STATEMENTS = (
    "CREATE TABLE users (id {serial}, email VARCHAR(255) NOT NULL UNIQUE, session_key VARCHAR(40))",
    "CREATE TABLE profiles (uuid VARCHAR(36) PRIMARY KEY, user_id INTEGER REFERENCES users (id))",
    "CREATE TABLE conversations (id {serial}, title TEXT, created_by INTEGER REFERENCES users (id))",
    """CREATE TABLE conversation_members (
        id {serial},
        conversation_id INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
        profile_type VARCHAR(50) NOT NULL,
        profile_id INTEGER NOT NULL
    )""",
    "CREATE TABLE blocks (id {serial}, reason TEXT)",
    "CREATE TABLE whiteboard_sessions (id {serial}, subject TEXT)",
    CALLS.replace("{table}", "call_logs").replace("{scope}", "conversation_id INTEGER REFERENCES conversations (id)"),
    WHITEBOARD_CALLS,
    # As SQLAlchemy names the index of a column, and as the relay names its own.
    "CREATE INDEX ix_call_logs_started_at ON call_logs (started_at)",
    "CREATE INDEX platform_calls_by_user ON call_logs (caller_user_id, created_at)",
    "INSERT INTO users (email) VALUES ('maya@platform.example'), ('daniel@platform.example')",
    "INSERT INTO profiles VALUES ('2f1c', 1), ('9b0e', 2)",
    "INSERT INTO conversations (title, created_by) VALUES ('Algebra', 1), ('Latin', 2)",
    "INSERT INTO conversation_members (conversation_id, profile_type, profile_id) VALUES (1, 'student', 456), (1, 'tutor', 789)",
    "INSERT INTO whiteboard_sessions (subject) VALUES ('Geometry')",
)

PARTICIPANTS = json.dumps(
    [
        {"profile_id": 456, "profile_type": "student", "name": "Maya"},
        {"profile_id": 789, "profile_type": "tutor", "name": "Émile"},
    ]
)
"""As far as anybody knows: the backend never said what it writes."""

ROWS = (
    ("ended", "'2025-05-01 10:00:00'", "'2025-05-01 10:00:08'", "'2025-05-01 10:05:08'", "300", f"'{PARTICIPANTS}'"),
    ("missed", "'2025-05-02 10:00:00'", "NULL", "'2025-05-02 10:00:45'", "NULL", f"'{PARTICIPANTS}'"),
    ("initiated", "'2025-05-03 10:00:00'", "NULL", "NULL", "NULL", f"'{PARTICIPANTS}'"),
    ("answered", "'2025-05-04 10:00:00'", "'2025-05-04 10:00:05'", "NULL", "NULL", f"'{PARTICIPANTS}'"),
    ("ended", "'2025-05-05 10:00:00'", "'2025-05-05 10:00:05'", "'2025-05-05 10:00:09'", "4", "NULL"),
    ("ended", "NULL", "NULL", "NULL", "NULL", "NULL"),
)
"""Status, times, duration and participants; the last one is malformed."""

TABLES = {"call_logs": "conversation_id", "whiteboard_call_history": "session_id"}


def spelt(engine: AsyncEngine, statement: str) -> str:
    """The statement in the words of the database."""
    postgresql = engine.dialect.name == "postgresql"
    words = {
        "serial": "SERIAL PRIMARY KEY" if postgresql else "INTEGER PRIMARY KEY",
        "json": "JSONB" if postgresql else "JSON",
        "true": "true" if postgresql else "1",
    }
    for word, replacement in words.items():
        statement = statement.replace(f"{{{word}}}", replacement)
    return statement


async def fill(engine: AsyncEngine) -> None:
    """Make the platform's tables, with rows in them."""
    async with engine.begin() as connection:
        for statement in STATEMENTS:
            await connection.exec_driver_sql(spelt(engine, statement))
        for table, scope in TABLES.items():
            for row in ROWS:
                values = f"1, 456, 'student', 1, 'voice', '{row[0]}', {', '.join(row[1:])}, 'good'"
                await connection.exec_driver_sql(
                    f"INSERT INTO {table} ({scope}, caller_profile_id, caller_profile_type, caller_user_id, call_type, status,"
                    f" started_at, answered_at, ended_at, duration_seconds, participants, network_quality) VALUES ({values})"
                )


async def rows(engine: AsyncEngine, table: str, columns: str = "*") -> list[dict[str, Any]]:
    """What is in a table of the platform, in the order of its numbers."""
    await engine.dispose()  # asyncpg remembers what columns there were
    async with engine.connect() as connection:
        found = await connection.execute(text(f"SELECT {columns} FROM {table} ORDER BY 1"))
        return [dict(row) for row in found.mappings()]


async def shape(engine: AsyncEngine) -> dict[str, Any]:
    """All that the platform can see of its tables: columns, keys, indexes, checks, sequences' numbers left aside."""

    def look(connection: Connection) -> dict[str, Any]:
        inspector = inspect(connection)
        return {
            table: {
                "columns": [{**column, "type": str(column["type"])} for column in inspector.get_columns(table)],
                "indexes": sorted(
                    f"{one['name']} {one['column_names']} {one['unique']} {[*map(str, one.get('dialect_options', {}).values())]}"
                    for one in inspector.get_indexes(table)
                ),
                "keys": sorted(map(str, inspector.get_foreign_keys(table))),
                "unique": sorted(map(str, inspector.get_unique_constraints(table))),
                "checks": sorted(map(str, inspector.get_check_constraints(table))),
            }
            for table in inspector.get_table_names()
            if not table.endswith("relay_version")
        }

    async with engine.connect() as connection:
        return await connection.run_sync(look)
