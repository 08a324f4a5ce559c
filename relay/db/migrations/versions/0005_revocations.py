"""Credentials that are not good any more."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLE = "credential_revocations"


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("profile_type", sa.String(50), nullable=False),
        sa.Column("profile_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("cause", sa.String(20), nullable=False),
        sa.Column("issued_before", sa.DateTime(), nullable=True),
        sa.Column("changed_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("profile_type", "profile_id", "cause", name=f"pk_{TABLE}"),
    )
    op.create_index(f"ix_{TABLE}_changed_at", TABLE, ["changed_at"])


def downgrade() -> None:
    op.drop_table(TABLE)
