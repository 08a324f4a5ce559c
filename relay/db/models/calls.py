"""Calls and their chat messages.

The columns of `call_logs` up to `created_at` are a contract with other software that reads the table; rows of the
backend that the relay replaces may stand in it too. So what the relay added may be left out, and what moves a call on
changes only rows with a `call_id`.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, Double, ForeignKey, Index, String, false, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, declared_attr, mapped_column
from sqlalchemy.schema import SchemaItem

from relay.db.models.base import Base, FreeText, UtcNow

INITIATED = "initiated"
ANSWERED = "answered"
MISSED = "missed"
ENDED = "ended"

MAX_NODE_LENGTH = 100
"""Characters of `node`."""

MAX_END_REASON_LENGTH = 64
"""Characters of `end_reason`: as many as `reason` of `call_declined` may have."""

MAX_MESSAGE_ID_LENGTH = 64
"""Characters of `call_chat_messages.message_id`: as many as that of `call_chat` may have."""

# Conditions in the words of the indexes. Only if a query has the very same do planners see that the index applies.
IS_OPEN = "status IN ('initiated', 'answered')"
IS_MISSED = "status = 'missed' AND coalesce(end_reason, '') NOT IN ('blocked', 'rejected')"
"""By the callee, who learns of it."""
IS_UNSEEN = f"{IS_MISSED} AND callee_seen_at IS NULL AND callee_deleted_at IS NULL"
IS_NAMED = "participants IS NOT NULL"
"""The names have not been removed yet."""
IS_WORDED = "decline_message IS NOT NULL"
"""The callee has said something by declining."""


class _Call:
    """One call, from invitation to end."""

    __tablename__: str

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[SchemaItem, ...]:
        def partial(name: str, *columns: str, where: str) -> Index:
            return Index(f"ix_{cls.__tablename__}_{name}", *columns, sqlite_where=text(where), postgresql_where=text(where))

        return (
            CheckConstraint("call_type IN ('voice', 'video')", name="call_type"),
            CheckConstraint("status IN ('initiated', 'answered', 'missed', 'ended')", name="status"),
            Index(f"ix_{cls.__tablename__}_caller", "caller_profile_type", "caller_profile_id", "started_at", "id"),
            Index(f"ix_{cls.__tablename__}_callee", "callee_profile_type", "callee_profile_id", "started_at", "id"),
            Index(None, "started_at"),
            Index(None, "ended_at"),
            Index(f"ix_{cls.__tablename__}_caller_user_id", "caller_user_id", "started_at"),
            # Only open calls, and no column that a heartbeat changes: the index stays tiny and heartbeats leave it alone.
            partial("open", "node", "owner_epoch", where=IS_OPEN),
            partial("unseen", "callee_profile_type", "callee_profile_id", "started_at", "id", where=IS_UNSEEN),
            partial("named", "started_at", where=IS_NAMED),
            partial("worded", "started_at", where=IS_WORDED),
        )

    id: Mapped[int] = mapped_column(primary_key=True, sort_order=-2)
    caller_profile_id: Mapped[int]
    caller_profile_type: Mapped[str] = mapped_column(String(50))
    caller_user_id: Mapped[int | None]
    call_type: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20))
    started_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    duration_seconds: Mapped[int | None]
    participants: Mapped[list[dict[str, Any]] | None] = mapped_column(
        JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
    )
    """`[{profile_type, profile_id, name, role: "caller" | "callee"}, ...]`"""
    # Said by the relay itself as well: a table that it adopted may have another default, or none.
    created_at: Mapped[datetime] = mapped_column(default=UtcNow(), server_default=UtcNow())

    call_id: Mapped[str | None] = mapped_column(String(32), unique=True)
    end_reason: Mapped[str | None] = mapped_column(String(MAX_END_REASON_LENGTH))
    node: Mapped[str | None] = mapped_column(String(MAX_NODE_LENGTH))
    """Name of the server that carries the call."""
    owner_epoch: Mapped[int | None] = mapped_column(BigInteger)
    """The incarnation of that server (`relay.cluster.api.NodeRef`): who has another one cannot change the row. None: an earlier
    version of the relay wrote it."""
    heartbeat_at: Mapped[datetime | None]
    """When that server last said that the call is alive."""
    callee_profile_id: Mapped[int | None]
    callee_profile_type: Mapped[str | None] = mapped_column(String(50))
    callee_seen_at: Mapped[datetime | None]
    caller_deleted_at: Mapped[datetime | None]
    """When the caller's profile was erased: it sees the call no more, and its name is gone."""
    callee_deleted_at: Mapped[datetime | None]
    transferred_from: Mapped[str | None] = mapped_column(String(32))
    """`call_id` of the call whose transfer led to this one."""
    hidden_from_callee: Mapped[bool] = mapped_column(server_default=false())
    """The caller might not call it: the callee never sees the call."""
    keep: Mapped[bool] = mapped_column(server_default=false())
    """The row never becomes too old to be kept."""
    caller_route: Mapped[str | None] = mapped_column(String(16))
    """The network path of the caller's media, when it was last known: `udp`, `tcp`, `turn-udp`, `turn-tcp` or `turn-tls`."""
    caller_family: Mapped[str | None] = mapped_column(String(4))
    """`ipv4` or `ipv6`: the addresses it came from."""
    caller_rtt_ms: Mapped[float | None] = mapped_column(Double)
    """Milliseconds from the relay to the caller and back, smoothed, when it was last known."""
    caller_score: Mapped[float | None] = mapped_column(Double)
    """The mean opinion score of the caller's connection over the call, 1 to 4.5 (ITU-T G.107); None if media never came."""
    callee_route: Mapped[str | None] = mapped_column(String(16))
    callee_family: Mapped[str | None] = mapped_column(String(4))
    callee_rtt_ms: Mapped[float | None] = mapped_column(Double)
    callee_score: Mapped[float | None] = mapped_column(Double)
    decline_message: Mapped[str | None] = mapped_column(FreeText)
    """What the callee said to the caller by declining."""


class CallRow(_Call, Base):
    """A call in a conversation."""

    __tablename__ = "call_logs"

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[SchemaItem, ...]:
        return (*super().__table_args__, Index(None, "conversation_id", "started_at"))

    conversation_id: Mapped[int | None] = mapped_column(ForeignKey("conversations.id", ondelete="SET NULL"), sort_order=-1)
    """None if there is no such conversation: the refused call is logged all the same."""


class WhiteboardCallRow(_Call, Base):
    """A call in a whiteboard session."""

    __tablename__ = "whiteboard_call_history"

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[SchemaItem, ...]:
        return (*super().__table_args__, Index(None, "session_id", "started_at"))

    session_id: Mapped[int | None] = mapped_column(ForeignKey("whiteboard_sessions.id", ondelete="SET NULL"), sort_order=-1)
    """None if there is no such session."""
    caller_name: Mapped[str | None] = mapped_column(FreeText)
    caller_avatar: Mapped[str | None] = mapped_column(FreeText)
    callee_user_id: Mapped[int | None]
    callee_name: Mapped[str | None] = mapped_column(FreeText)
    callee_avatar: Mapped[str | None] = mapped_column(FreeText)
    caller_seen_at: Mapped[datetime | None]
    recording_id: Mapped[str | None] = mapped_column(String(32))


class ChatRow(Base):
    """A chat message within a call of either kind, where chat is kept."""

    __tablename__ = "call_chat_messages"
    __table_args__ = (Index("ix_call_chat_messages_author", "author_profile_type", "author_profile_id"),)

    call_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    author_profile_type: Mapped[str] = mapped_column(String(50), primary_key=True)
    author_profile_id: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[str] = mapped_column(FreeText, primary_key=True)
    text: Mapped[str] = mapped_column(FreeText)
    sent_at: Mapped[datetime] = mapped_column(index=True)
