"""Whiteboard calls, the callee's side of a call, texts, settings, blocks, connections and push subscriptions.

Written out rather than taken from `relay.db.models`: this file stays as it is when the models move on.
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from relay.db.schema.adoption import CallTable

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BATCH = 1000
"""Rows of `call_logs` that are read and filled in at a time."""

IS_OPEN = "status IN ('initiated', 'answered')"
IS_UNSEEN = (
    "status = 'missed' AND coalesce(end_reason, '') NOT IN ('blocked', 'rejected')"
    " AND callee_seen_at IS NULL AND callee_deleted_at IS NULL"
)
IS_NAMED = "participants IS NOT NULL"

OLD_CALLER_INDEX = "ix_call_logs_caller_profile_type_caller_profile_id_started_at"

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def added_call_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("callee_profile_id", sa.Integer(), nullable=True),
        sa.Column("callee_profile_type", sa.String(50), nullable=True),
        sa.Column("callee_seen_at", sa.DateTime(), nullable=True),
        sa.Column("caller_deleted_at", sa.DateTime(), nullable=True),
        sa.Column("callee_deleted_at", sa.DateTime(), nullable=True),
        sa.Column("transferred_from", sa.String(32), nullable=True),
        sa.Column("keep", sa.Boolean(), server_default=sa.false(), nullable=False),
    ]


def upgrade() -> None:
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    utc_now = sa.text("timezone('utc', CURRENT_TIMESTAMP)" if on_postgresql else "CURRENT_TIMESTAMP")

    calls = CallTable("call_logs")
    for column in added_call_columns():
        calls.add_column(column)
    tell_the_relay_of_old_calls(calls)
    calls.drop_index(OLD_CALLER_INDEX)
    create_call_indexes(calls)

    op.add_column("conversations", sa.Column("keep_chat", sa.Boolean(), server_default=sa.false(), nullable=False))
    create_whiteboard_tables(utc_now)
    create_people_tables(utc_now)

    op.create_table(
        "call_chat_messages",
        sa.Column("call_id", sa.String(32), nullable=False),
        sa.Column("author_profile_type", sa.String(50), nullable=False),
        sa.Column("author_profile_id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint(
            "call_id", "author_profile_type", "author_profile_id", "message_id", name=op.f("pk_call_chat_messages")
        ),
    )
    op.create_index("ix_call_chat_messages_author", "call_chat_messages", ["author_profile_type", "author_profile_id"])
    op.create_index(op.f("ix_call_chat_messages_sent_at"), "call_chat_messages", ["sent_at"])


def downgrade() -> None:
    for table in (
        "call_chat_messages",
        "push_subscriptions",
        "profile_connections",
        "blocks",
        "profile_settings",
    ):
        op.drop_table(table)
    drop_whiteboard_calls()
    op.drop_table("whiteboard_session_members")
    op.drop_table("whiteboard_sessions")
    op.drop_column("conversations", "keep_chat")
    calls = CallTable("call_logs")
    drop_call_indexes(calls)
    calls.create_index(OLD_CALLER_INDEX, ["caller_profile_type", "caller_profile_id", "started_at"])
    for column in added_call_columns():
        calls.drop_column(column.name)


def create_call_indexes(calls: CallTable) -> None:
    prefix, callee = f"ix_{calls.name}", ["callee_profile_type", "callee_profile_id", "started_at", "id"]
    calls.create_index(f"{prefix}_caller", ["caller_profile_type", "caller_profile_id", "started_at", "id"])
    calls.create_index(f"{prefix}_callee", callee)
    calls.create_index(f"{prefix}_started_at", ["started_at"])
    calls.create_index(f"{prefix}_unseen", callee, where=IS_UNSEEN)
    calls.create_index(f"{prefix}_named", ["started_at"], where=IS_NAMED)


def drop_call_indexes(calls: CallTable) -> None:
    for name in ("caller", "callee", "unseen", "named", "started_at"):
        calls.drop_index(f"ix_{calls.name}_{name}")


def create_whiteboard_tables(utc_now: sa.TextClause) -> None:
    op.create_table(
        "whiteboard_sessions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), server_default=utc_now, nullable=False),
        sa.Column("keep_chat", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_whiteboard_sessions")),
    )
    op.create_table(
        "whiteboard_session_members",
        sa.Column("session_id", sa.Integer(), nullable=False),
        sa.Column("profile_type", sa.String(50), nullable=False),
        sa.Column("profile_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", "profile_type", "profile_id", name=op.f("pk_whiteboard_session_members")),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["whiteboard_sessions.id"],
            name=op.f("fk_whiteboard_session_members_session_id"),
            ondelete="CASCADE",
        ),
        of_profile("whiteboard_session_members"),
    )
    op.create_index(
        op.f("ix_whiteboard_session_members_profile_type_profile_id"),
        "whiteboard_session_members",
        ["profile_type", "profile_id"],
    )
    calls = CallTable("whiteboard_call_history")
    if calls.adopted:
        for column in own_whiteboard_columns():
            calls.add_column(column)
        calls.create_index("uq_whiteboard_call_history_call_id", ["call_id"], unique=True)
        tell_the_relay_of_old_calls(calls)
    else:
        create_whiteboard_calls(utc_now)
    create_call_indexes(calls)
    calls.create_index("ix_whiteboard_call_history_open", ["node"], where=IS_OPEN)
    calls.create_index("ix_whiteboard_call_history_session_id_started_at", ["session_id", "started_at"])


def own_whiteboard_columns() -> list[sa.Column[Any]]:
    """Beyond the contract with other software."""
    return [
        sa.Column("call_id", sa.String(32), nullable=True),
        sa.Column("end_reason", sa.String(64), nullable=True),
        sa.Column("node", sa.String(100), nullable=True),
        sa.Column("heartbeat_at", sa.DateTime(), nullable=True),
        *added_call_columns(),
        sa.Column("caller_name", sa.Text(), nullable=True),
        sa.Column("caller_avatar", sa.Text(), nullable=True),
        sa.Column("callee_user_id", sa.Integer(), nullable=True),
        sa.Column("callee_name", sa.Text(), nullable=True),
        sa.Column("callee_avatar", sa.Text(), nullable=True),
        sa.Column("caller_seen_at", sa.DateTime(), nullable=True),
        sa.Column("recording_id", sa.String(32), nullable=True),
    ]


def create_whiteboard_calls(utc_now: sa.TextClause) -> None:
    op.create_table(
        "whiteboard_call_history",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.Integer(), nullable=True),
        sa.Column("caller_profile_id", sa.Integer(), nullable=False),
        sa.Column("caller_profile_type", sa.String(50), nullable=False),
        sa.Column("caller_user_id", sa.Integer(), nullable=True),
        sa.Column("call_type", sa.String(20), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("answered_at", sa.DateTime(), nullable=True),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.Column("duration_seconds", sa.Integer(), nullable=True),
        sa.Column("participants", JSON, nullable=True),
        sa.Column("created_at", sa.DateTime(), server_default=utc_now, nullable=False),
        *own_whiteboard_columns(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_whiteboard_call_history")),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["whiteboard_sessions.id"],
            name=op.f("fk_whiteboard_call_history_session_id"),
            ondelete="SET NULL",
        ),
        sa.UniqueConstraint("call_id", name=op.f("uq_whiteboard_call_history_call_id")),
        sa.CheckConstraint("call_type IN ('voice', 'video')", name=op.f("ck_whiteboard_call_history_call_type")),
        sa.CheckConstraint(
            "status IN ('initiated', 'answered', 'missed', 'ended')", name=op.f("ck_whiteboard_call_history_status")
        ),
    )


def drop_whiteboard_calls() -> None:
    calls = CallTable("whiteboard_call_history")
    if not calls.adopted:
        op.drop_table(calls.name)
        return
    calls.drop_index("ix_whiteboard_call_history_session_id_started_at")
    calls.drop_index("ix_whiteboard_call_history_open")
    drop_call_indexes(calls)
    calls.drop_index("uq_whiteboard_call_history_call_id")
    for column in own_whiteboard_columns():
        calls.drop_column(column.name)


def create_people_tables(utc_now: sa.TextClause) -> None:
    op.create_table(
        "profile_settings",
        sa.Column("profile_type", sa.String(50), nullable=False),
        sa.Column("profile_id", sa.Integer(), nullable=False),
        sa.Column("privacy", sa.String(20), server_default=sa.text("'everyone'"), nullable=False),
        sa.Column("do_not_disturb", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("profile_type", "profile_id", name=op.f("pk_profile_settings")),
        of_profile("profile_settings"),
        sa.CheckConstraint("privacy IN ('everyone', 'connections', 'nobody')", name=op.f("ck_profile_settings_privacy")),
    )
    op.create_table(
        "blocks",
        sa.Column("blocker_profile_type", sa.String(50), nullable=False),
        sa.Column("blocker_profile_id", sa.Integer(), nullable=False),
        sa.Column("blocked_profile_type", sa.String(50), nullable=False),
        sa.Column("blocked_profile_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), server_default=utc_now, nullable=False),
        sa.PrimaryKeyConstraint(
            "blocker_profile_type",
            "blocker_profile_id",
            "blocked_profile_type",
            "blocked_profile_id",
            name=op.f("pk_blocks"),
        ),
        of_profile("blocks", "blocker_"),
    )
    op.create_table(
        "profile_connections",
        sa.Column("first_profile_type", sa.String(50), nullable=False),
        sa.Column("first_profile_id", sa.Integer(), nullable=False),
        sa.Column("second_profile_type", sa.String(50), nullable=False),
        sa.Column("second_profile_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), server_default=utc_now, nullable=False),
        sa.PrimaryKeyConstraint(
            "first_profile_type",
            "first_profile_id",
            "second_profile_type",
            "second_profile_id",
            name=op.f("pk_profile_connections"),
        ),
        of_profile("profile_connections", "first_"),
        of_profile("profile_connections", "second_"),
    )
    op.create_index(
        op.f("ix_profile_connections_second_profile_type_second_profile_id"),
        "profile_connections",
        ["second_profile_type", "second_profile_id"],
    )
    op.create_table(
        "push_subscriptions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("endpoint", sa.String(2048), nullable=False),
        sa.Column("p256dh", sa.String(128), nullable=False),
        sa.Column("auth", sa.String(128), nullable=False),
        sa.Column("profile_type", sa.String(50), nullable=False),
        sa.Column("profile_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("last_used_at", sa.DateTime(), nullable=False),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_push_subscriptions")),
        sa.UniqueConstraint("endpoint", name=op.f("uq_push_subscriptions_endpoint")),
        of_profile("push_subscriptions"),
    )
    op.create_index(op.f("ix_push_subscriptions_profile_type_profile_id"), "push_subscriptions", ["profile_type", "profile_id"])
    op.create_index(op.f("ix_push_subscriptions_last_used_at"), "push_subscriptions", ["last_used_at"])


def of_profile(table: str, prefix: str = "") -> sa.ForeignKeyConstraint:
    names = [f"{prefix}profile_type", f"{prefix}profile_id"]
    return sa.ForeignKeyConstraint(
        names,
        ["profiles.profile_type", "profiles.profile_id"],
        name=op.f(f"fk_{table}_{'_'.join(names)}"),
        ondelete="CASCADE",
    )


# -- the callees of calls that are there already ----------------------------------------------------------------------


def tell_the_relay_of_old_calls(table: CallTable) -> None:
    """Fill in what other columns say. A column that the platform had before stays as it is."""
    if table.owns_column("callee_seen_at"):
        # What was missed before there was a way to see it is no news.
        seen = "coalesce(ended_at, started_at, created_at)"
        op.execute(f"UPDATE {table.name} SET callee_seen_at = {seen} WHERE status = 'missed'")  # noqa: S608 - one of two names
    if table.owns_column("callee_profile_type") and table.owns_column("callee_profile_id"):
        fill_in_callees(table.name)


def fill_in_callees(table: str) -> None:
    """Take them from `participants`, where these say it."""
    calls = sa.table(
        table,
        *map(sa.column, ("id", "caller_profile_type", "caller_profile_id", "callee_profile_type", "callee_profile_id")),
        sa.column("participants", JSON),
    )
    filling = (
        sa.update(calls)
        .where(calls.c.id == sa.bindparam("row"))
        .values(callee_profile_type=sa.bindparam("type"), callee_profile_id=sa.bindparam("number"))
    )
    for rows in batches(calls):
        known = []
        for row in rows:
            profile = callee(row.participants, (row.caller_profile_type, row.caller_profile_id))
            if profile is not None:
                known.append({"row": row.id, "type": profile[0], "number": profile[1]})
        if known:
            op.get_bind().execute(filling, known)


def batches(calls: sa.TableClause) -> Iterator[list[sa.Row[Any]]]:
    last = 0
    while True:
        query = sa.select(calls).where(calls.c.id > last).order_by(calls.c.id).limit(BATCH)
        rows = list(op.get_bind().execute(query).all())
        if not rows:
            return
        yield rows
        last = rows[-1].id


def callee(participants: object, caller: tuple[str, int]) -> tuple[str, int] | None:
    """The participant who is said to be the callee, or else the only other one.

    Any JSON may stand there: the replaced backend never said what it writes.
    """
    if not isinstance(participants, list):
        return None
    people = [entry for entry in participants if isinstance(entry, dict)]
    said = [entry for entry in people if entry.get("role") == "callee"]
    keys = {key for key in map(profile_key, said or people) if key is not None and key != caller}
    return keys.pop() if len(keys) == 1 else None


def profile_key(entry: dict[str, Any]) -> tuple[str, int] | None:
    kind, number = entry.get("profile_type"), entry.get("profile_id")
    if isinstance(kind, str) and 0 < len(kind) <= 50 and type(number) is int and 0 < number < 2**31:
        return kind, number
    return None
