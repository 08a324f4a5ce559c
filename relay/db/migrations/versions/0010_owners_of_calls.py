"""Which process of a server a call belongs to."""

import sqlalchemy as sa
from alembic import op

from relay.db.schema.adoption import CallTable

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLES = ("call_logs", "whiteboard_call_history")

IS_OPEN = "status IN ('initiated', 'answered')"


def upgrade() -> None:
    for name in TABLES:
        table = CallTable(name)
        table.add_column(sa.Column("owner_epoch", sa.BigInteger(), nullable=True))
        table.drop_index(f"ix_{name}_open")
        table.create_index(f"ix_{name}_open", ["node", "owner_epoch"], where=IS_OPEN)
    op.create_table(
        "node_incarnations",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("latest", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_node_incarnations"),
    )


def downgrade() -> None:
    op.drop_table("node_incarnations")
    for name in TABLES:
        table = CallTable(name)
        table.drop_index(f"ix_{name}_open")
        table.create_index(f"ix_{name}_open", ["node"], where=IS_OPEN)
        table.drop_column("owner_epoch")
