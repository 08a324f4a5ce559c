"""The tables, as `db.migrations` creates them.

The columns of `call_logs` up to `created_at` are a contract with other software that reads the table; rows of the
backend that the relay replaces may stand in it too. So what the relay added is nullable, and it changes only rows with
a `call_id`.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

INITIATED = "initiated"
ANSWERED = "answered"
MISSED = "missed"
ENDED = "ended"

MAX_NODE_LENGTH = 100
"""Characters of `call_logs.node`."""

MAX_END_REASON_LENGTH = 64
"""Characters of `call_logs.end_reason`: as many as `reason` of `call_declined` may have."""


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: timezone-aware UTC in Python, `timestamp without time zone` in UTC in the database."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        assert value.tzinfo is not None, "a naive datetime does not say which instant it means"
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class UtcNow(FunctionElement[datetime]):
    """The server's clock, in UTC whatever the session's time zone is."""

    inherit_cache = True


@compiles(UtcNow, "sqlite")
def _utc_now_on_sqlite(element: UtcNow, compiler: SQLCompiler, **_: Any) -> str:
    return "CURRENT_TIMESTAMP"


@compiles(UtcNow, "postgresql")
def _utc_now_on_postgresql(element: UtcNow, compiler: SQLCompiler, **_: Any) -> str:
    return "timezone('utc', CURRENT_TIMESTAMP)"


class Base(DeclarativeBase):
    # Without names of our own, a later migration could not name the constraint that it drops.
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime}  # noqa: RUF012 - read by the declarative machinery


class ProfileRow(Base):
    """Somebody who can call and be called."""

    __tablename__ = "profiles"
    __table_args__ = (UniqueConstraint("profile_type", "profile_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    profile_type: Mapped[str] = mapped_column(String(50))
    profile_id: Mapped[int]
    user_id: Mapped[int | None]
    name: Mapped[str] = mapped_column(Text)
    avatar: Mapped[str] = mapped_column(Text, server_default=text("''"))
    created_at: Mapped[datetime] = mapped_column(server_default=UtcNow())


class ConversationRow(Base):
    """Profiles that may call each other."""

    __tablename__ = "conversations"

    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=UtcNow())


class MemberRow(Base):
    """One profile in one conversation."""

    __tablename__ = "conversation_members"
    __table_args__ = (
        ForeignKeyConstraint(
            ["profile_type", "profile_id"], ["profiles.profile_type", "profiles.profile_id"], ondelete="CASCADE"
        ),
        Index(None, "profile_type", "profile_id"),
    )

    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True)
    profile_type: Mapped[str] = mapped_column(String(50), primary_key=True)
    profile_id: Mapped[int] = mapped_column(primary_key=True)


class CallRow(Base):
    """One call, from invitation to end."""

    __tablename__ = "call_logs"
    __table_args__ = (
        CheckConstraint("call_type IN ('voice', 'video')", name="call_type"),
        CheckConstraint("status IN ('initiated', 'answered', 'missed', 'ended')", name="status"),
        Index(None, "conversation_id", "started_at"),
        Index(None, "caller_profile_type", "caller_profile_id", "started_at"),
        # Only open calls, and no column that a heartbeat changes: the index stays tiny and heartbeats leave it alone.
        Index(
            "ix_call_logs_open",
            "node",
            sqlite_where=text("status IN ('initiated', 'answered')"),
            postgresql_where=text("status IN ('initiated', 'answered')"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    conversation_id: Mapped[int | None] = mapped_column(ForeignKey("conversations.id", ondelete="SET NULL"))
    """None if there is no such conversation: the refused call is logged all the same."""
    caller_profile_id: Mapped[int]
    caller_profile_type: Mapped[str] = mapped_column(String(50))
    caller_user_id: Mapped[int | None]
    call_type: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20))
    started_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    duration_seconds: Mapped[int | None]
    participants: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON().with_variant(JSONB(), "postgresql"))
    """`[{profile_type, profile_id, name, role: "caller" | "callee"}, ...]`"""
    created_at: Mapped[datetime] = mapped_column(server_default=UtcNow())

    call_id: Mapped[str | None] = mapped_column(String(32), unique=True)
    end_reason: Mapped[str | None] = mapped_column(String(MAX_END_REASON_LENGTH))
    node: Mapped[str | None] = mapped_column(String(MAX_NODE_LENGTH))
    """Name of the server that carries the call."""
    heartbeat_at: Mapped[datetime | None]
    """When that server last said that the call is alive."""
