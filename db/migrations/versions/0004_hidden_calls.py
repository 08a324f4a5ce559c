"""Which calls the callee never sees: those that their callers might not make."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = ("call_logs", "whiteboard_call_history")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("hidden_from_callee", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "hidden_from_callee")
