"""Indexes for reports on calls: by when they ended, and by the account that began them."""

from relay.db.schema.adoption import CallTable

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = ("call_logs", "whiteboard_call_history")
INDEXES = {"ended_at": ["ended_at"], "caller_user_id": ["caller_user_id", "started_at"]}


def upgrade() -> None:
    for table in TABLES:
        for name, columns in INDEXES.items():
            CallTable(table).create_index(f"ix_{table}_{name}", columns)


def downgrade() -> None:
    for table in TABLES:
        for name in INDEXES:
            CallTable(table).drop_index(f"ix_{table}_{name}")
