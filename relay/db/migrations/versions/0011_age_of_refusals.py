"""An index of what callees have said by declining: it is removed as old as chat messages are."""

from relay.db.schema.adoption import CallTable

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLES = ("call_logs", "whiteboard_call_history")


def upgrade() -> None:
    for name in TABLES:
        CallTable(name).create_index(f"ix_{name}_worded", ["started_at"], where="decline_message IS NOT NULL")


def downgrade() -> None:
    for name in TABLES:
        CallTable(name).drop_index(f"ix_{name}_worded")
