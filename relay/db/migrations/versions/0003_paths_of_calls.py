"""The network path of each party's media, and how long its round trip was."""

from typing import Any

import sqlalchemy as sa

from relay.db.schema.adoption import CallTable

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = ("call_logs", "whiteboard_call_history")


def added_columns() -> list[sa.Column[Any]]:
    return [
        column
        for role in ("caller", "callee")
        for column in (
            sa.Column(f"{role}_route", sa.String(16), nullable=True),
            sa.Column(f"{role}_family", sa.String(4), nullable=True),
            sa.Column(f"{role}_rtt_ms", sa.Double(), nullable=True),
        )
    ]


def upgrade() -> None:
    for table in TABLES:
        for column in added_columns():
            CallTable(table).add_column(column)


def downgrade() -> None:
    for table in TABLES:
        for column in added_columns():
            CallTable(table).drop_column(column.name)
