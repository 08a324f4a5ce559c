"""The servers that share the database."""

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from relay.db.models.base import Base


class IncarnationRow(Base):
    """How often a server has started on this database: one row. It is never set back, whatever is removed."""

    __tablename__ = "node_incarnations"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """1."""
    latest: Mapped[int] = mapped_column(BigInteger)
