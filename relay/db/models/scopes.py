"""Where calls belong: conversations and whiteboard sessions, and who is in them."""

from datetime import datetime

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, String, false
from sqlalchemy.orm import Mapped, declared_attr, mapped_column
from sqlalchemy.schema import SchemaItem

from relay.db.models.base import Base, UtcNow


class _Scope:
    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=UtcNow())
    keep_chat: Mapped[bool] = mapped_column(server_default=false())
    """Chat messages of calls are kept with the call."""


class _Member:
    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[SchemaItem, ...]:
        return (
            ForeignKeyConstraint(
                ["profile_type", "profile_id"], ["profiles.profile_type", "profiles.profile_id"], ondelete="CASCADE"
            ),
            Index(None, "profile_type", "profile_id"),
        )

    profile_type: Mapped[str] = mapped_column(String(50), primary_key=True)
    profile_id: Mapped[int] = mapped_column(primary_key=True)


class ConversationRow(_Scope, Base):
    """Profiles that may call each other."""

    __tablename__ = "conversations"


class MemberRow(_Member, Base):
    """One profile in one conversation."""

    __tablename__ = "conversation_members"

    conversation_id: Mapped[int] = mapped_column(
        ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True, sort_order=-1
    )


class WhiteboardSessionRow(_Scope, Base):
    """Profiles that may call each other from a whiteboard that they share."""

    __tablename__ = "whiteboard_sessions"


class WhiteboardMemberRow(_Member, Base):
    """One profile in one whiteboard session."""

    __tablename__ = "whiteboard_session_members"

    session_id: Mapped[int] = mapped_column(
        ForeignKey("whiteboard_sessions.id", ondelete="CASCADE"), primary_key=True, sort_order=-1
    )
