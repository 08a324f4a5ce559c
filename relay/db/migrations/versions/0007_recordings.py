"""Recordings of calls, consents to them, accesses to them, and scopes in which recording is restricted."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES = ("recordings", "recording_consents", "recording_accesses", "recording_policies")
UNFINISHED = "state IN ('capturing', 'captured', 'assembling', 'deleting')"


def upgrade() -> None:
    op.create_table(
        "recordings",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("call_id", sa.String(32), nullable=False),
        sa.Column("scope_kind", sa.String(20), nullable=False),
        sa.Column("scope_id", sa.Integer(), nullable=False),
        sa.Column("caller_profile_type", sa.String(50), nullable=False),
        sa.Column("caller_profile_id", sa.Integer(), nullable=False),
        sa.Column("callee_profile_type", sa.String(50), nullable=False),
        sa.Column("callee_profile_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("end_reason", sa.String(32), nullable=True),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.Column("packets", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("bytes", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("dropped", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("files", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=True),
        sa.Column("verdict", sa.String(20), server_default=sa.text("'none'"), nullable=False),
        sa.Column("policy", sa.String(20), nullable=False),
        sa.Column("policy_version", sa.String(64), server_default=sa.text("''"), nullable=False),
        sa.Column("consented", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("legal_hold", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("node", sa.String(100), nullable=False),
        sa.Column("sealed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_recordings"),
        sa.CheckConstraint("state IN ('capturing', 'captured', 'assembling', 'ready', 'failed', 'deleting')", name="state"),
        sa.CheckConstraint("verdict IN ('none', 'passed', 'failed', 'unreadable')", name="verdict"),
        sa.CheckConstraint("policy IN ('consent', 'always')", name="policy"),
    )
    op.create_index("ix_recordings_call_id", "recordings", ["call_id"])
    op.create_index("ix_recordings_started_at_id", "recordings", ["started_at", "id"])
    op.create_index("ix_recordings_scope", "recordings", ["scope_kind", "scope_id", "started_at", "id"])
    for role in ("caller", "callee"):
        columns = [f"{role}_profile_type", f"{role}_profile_id", "started_at", "id"]
        op.create_index(f"ix_recordings_{role}", "recordings", columns)
    op.create_index(
        *("ix_recordings_unfinished", "recordings", ["node", "started_at"]),
        sqlite_where=sa.text(UNFINISHED),
        postgresql_where=sa.text(UNFINISHED),
    )
    op.create_table(
        "recording_consents",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("recording_id", sa.String(32), nullable=False),
        sa.Column("call_id", sa.String(32), nullable=False),
        sa.Column("profile_type", sa.String(50), nullable=False),
        sa.Column("profile_id", sa.Integer(), nullable=False),
        sa.Column("answer", sa.String(20), nullable=False),
        sa.Column("answered_at", sa.DateTime(), nullable=False),
        sa.Column("policy_version", sa.String(64), nullable=False),
        sa.Column("text_hash", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_recording_consents"),
    )
    op.create_index("ix_recording_consents_recording_id_answered_at", "recording_consents", ["recording_id", "answered_at"])
    op.create_index("ix_recording_consents_call_id", "recording_consents", ["call_id"])
    op.create_index("ix_recording_consents_profile", "recording_consents", ["profile_type", "profile_id"])
    op.create_table(
        "recording_accesses",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("recording_id", sa.String(32), nullable=True),
        sa.Column("profile_type", sa.String(50), nullable=True),
        sa.Column("profile_id", sa.Integer(), nullable=True),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("first_byte", sa.BigInteger(), nullable=True),
        sa.Column("last_byte", sa.BigInteger(), nullable=True),
        sa.Column("accessed_at", sa.DateTime(), nullable=False),
        sa.Column("address_hash", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_recording_accesses"),
    )
    op.create_index("ix_recording_accesses_recording_id_accessed_at", "recording_accesses", ["recording_id", "accessed_at"])
    op.create_index("ix_recording_accesses_accessed_at", "recording_accesses", ["accessed_at"])
    op.create_table(
        "recording_policies",
        sa.Column("scope_kind", sa.String(20), nullable=False),
        sa.Column("scope_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("policy", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("scope_kind", "scope_id", name="pk_recording_policies"),
        sa.CheckConstraint("policy IN ('off', 'consent', 'always')", name="policy"),
    )


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
