"""Which calls the callee never sees: those that their callers might not make."""

import sqlalchemy as sa

from relay.db.schema.adoption import CallTable

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = ("call_logs", "whiteboard_call_history")


def upgrade() -> None:
    for table in TABLES:
        CallTable(table).add_column(sa.Column("hidden_from_callee", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    for table in TABLES:
        CallTable(table).drop_column("hidden_from_callee")
