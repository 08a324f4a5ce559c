"""What the parties of calls say of them."""

from datetime import datetime

from sqlalchemy import JSON, CheckConstraint, Index, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from relay.db.models.base import Base, FreeText


class CallRatingRow(Base):
    """A party's rating of a call of either kind."""

    __tablename__ = "call_ratings"
    __table_args__ = (
        CheckConstraint("score BETWEEN 1 AND 5", name="score"),
        Index("ix_call_ratings_profile", "profile_type", "profile_id"),
    )

    call_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    profile_type: Mapped[str] = mapped_column(String(50), primary_key=True)
    profile_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    score: Mapped[int]
    """1 (bad) to 5 (excellent): ITU-T P.800, absolute category rating."""
    problems: Mapped[list[str]] = mapped_column(JSON().with_variant(JSONB(), "postgresql"))
    """Of `relay.records.ratings.CallProblem`."""
    comment: Mapped[str | None] = mapped_column(FreeText)
    rated_at: Mapped[datetime]
