"""What a callee says to the caller by declining."""

import sqlalchemy as sa

from relay.db.schema.adoption import CallTable

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = ("call_logs", "whiteboard_call_history")


def upgrade() -> None:
    for table in TABLES:
        CallTable(table).add_column(sa.Column("decline_message", sa.Text(), nullable=True))


def downgrade() -> None:
    for table in TABLES:
        CallTable(table).drop_column("decline_message")
