"""Profiles, conversations and call_logs.

Written out rather than taken from `relay.db.models`: this file stays as it is when the models move on.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from relay.db.schema.adoption import CallTable

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

CALLER_INDEX = "ix_call_logs_caller_profile_type_caller_profile_id_started_at"


def upgrade() -> None:
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    utc_now = sa.text("timezone('utc', CURRENT_TIMESTAMP)" if on_postgresql else "CURRENT_TIMESTAMP")

    op.create_table(
        "profiles",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("profile_type", sa.String(50), nullable=False),
        sa.Column("profile_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("avatar", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("created_at", sa.DateTime(), server_default=utc_now, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_profiles")),
        sa.UniqueConstraint("profile_type", "profile_id", name=op.f("uq_profiles_profile_type_profile_id")),
    )
    op.create_table(
        "conversations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), server_default=utc_now, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversations")),
    )
    op.create_table(
        "conversation_members",
        sa.Column("conversation_id", sa.Integer(), nullable=False),
        sa.Column("profile_type", sa.String(50), nullable=False),
        sa.Column("profile_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", "profile_type", "profile_id", name=op.f("pk_conversation_members")),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
            name=op.f("fk_conversation_members_conversation_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["profile_type", "profile_id"],
            ["profiles.profile_type", "profiles.profile_id"],
            name=op.f("fk_conversation_members_profile_type_profile_id"),
            ondelete="CASCADE",
        ),
    )
    op.create_index(
        op.f("ix_conversation_members_profile_type_profile_id"), "conversation_members", ["profile_type", "profile_id"]
    )
    calls = CallTable("call_logs")
    if calls.adopted:
        for column in own_call_columns():
            calls.add_column(column)
        calls.create_index("uq_call_logs_call_id", ["call_id"], unique=True)
    else:
        create_calls(utc_now)
    calls.create_index("ix_call_logs_conversation_id_started_at", ["conversation_id", "started_at"])
    calls.create_index(CALLER_INDEX, ["caller_profile_type", "caller_profile_id", "started_at"])
    calls.create_index("ix_call_logs_open", ["node"], where="status IN ('initiated', 'answered')")


def downgrade() -> None:
    calls = CallTable("call_logs")
    if calls.adopted:
        for name in ("ix_call_logs_open", CALLER_INDEX, "ix_call_logs_conversation_id_started_at", "uq_call_logs_call_id"):
            calls.drop_index(name)
        for column in own_call_columns():
            calls.drop_column(column.name)
    else:
        op.drop_table("call_logs")
    op.drop_table("conversation_members")
    op.drop_table("conversations")
    op.drop_table("profiles")


def own_call_columns() -> list[sa.Column[Any]]:
    """Beyond the contract with other software."""
    return [
        sa.Column("call_id", sa.String(32), nullable=True),
        sa.Column("end_reason", sa.String(64), nullable=True),
        sa.Column("node", sa.String(100), nullable=True),
        sa.Column("heartbeat_at", sa.DateTime(), nullable=True),
    ]


def create_calls(utc_now: sa.TextClause) -> None:
    op.create_table(
        "call_logs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.Integer(), nullable=True),
        sa.Column("caller_profile_id", sa.Integer(), nullable=False),
        sa.Column("caller_profile_type", sa.String(50), nullable=False),
        sa.Column("caller_user_id", sa.Integer(), nullable=True),
        sa.Column("call_type", sa.String(20), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("answered_at", sa.DateTime(), nullable=True),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.Column("duration_seconds", sa.Integer(), nullable=True),
        sa.Column("participants", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=True),
        sa.Column("created_at", sa.DateTime(), server_default=utc_now, nullable=False),
        *own_call_columns(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call_logs")),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name=op.f("fk_call_logs_conversation_id"), ondelete="SET NULL"
        ),
        sa.UniqueConstraint("call_id", name=op.f("uq_call_logs_call_id")),
        sa.CheckConstraint("call_type IN ('voice', 'video')", name=op.f("ck_call_logs_call_type")),
        sa.CheckConstraint("status IN ('initiated', 'answered', 'missed', 'ended')", name=op.f("ck_call_logs_status")),
    )
