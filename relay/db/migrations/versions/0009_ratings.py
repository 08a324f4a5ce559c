"""What parties say of their calls, and how good the media of each party was."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from relay.db.schema.adoption import CallTable

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLES = ("call_logs", "whiteboard_call_history")


def added_columns() -> list[sa.Column[Any]]:
    return [sa.Column(f"{role}_score", sa.Double(), nullable=True) for role in ("caller", "callee")]


def upgrade() -> None:
    for table in TABLES:
        for column in added_columns():
            CallTable(table).add_column(column)
    op.create_table(
        "call_ratings",
        sa.Column("call_id", sa.String(32), nullable=False),
        sa.Column("profile_type", sa.String(50), nullable=False),
        sa.Column("profile_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("problems", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("rated_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("call_id", "profile_type", "profile_id", name="pk_call_ratings"),
        sa.CheckConstraint("score BETWEEN 1 AND 5", name="score"),
    )
    op.create_index("ix_call_ratings_profile", "call_ratings", ["profile_type", "profile_id"])


def downgrade() -> None:
    op.drop_table("call_ratings")
    for table in TABLES:
        for column in added_columns():
            CallTable(table).drop_column(column.name)
