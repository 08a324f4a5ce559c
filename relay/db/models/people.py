"""Profiles, and what each has settled."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, String, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from relay.db.models.base import Base, FreeText, UtcNow
from relay.records.calls import MAX_ENDPOINT_LENGTH, MAX_PUSH_KEY_LENGTH


def _of_profile(prefix: str = "") -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        [f"{prefix}profile_type", f"{prefix}profile_id"],
        ["profiles.profile_type", "profiles.profile_id"],
        ondelete="CASCADE",
    )


class ProfileRow(Base):
    """A profile: it can call and be called."""

    __tablename__ = "profiles"
    __table_args__ = (UniqueConstraint("profile_type", "profile_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    profile_type: Mapped[str] = mapped_column(String(50))
    profile_id: Mapped[int]
    user_id: Mapped[int | None]
    name: Mapped[str] = mapped_column(FreeText)
    avatar: Mapped[str] = mapped_column(FreeText, server_default=text("''"))
    created_at: Mapped[datetime] = mapped_column(server_default=UtcNow())


class SettingsRow(Base):
    """What a profile has settled about being called. One that has settled nothing has no row."""

    __tablename__ = "profile_settings"
    __table_args__ = (
        _of_profile(),
        CheckConstraint("privacy IN ('everyone', 'connections', 'nobody')", name="privacy"),
    )

    profile_type: Mapped[str] = mapped_column(String(50), primary_key=True)
    profile_id: Mapped[int] = mapped_column(primary_key=True)
    privacy: Mapped[str] = mapped_column(String(20), server_default=text("'everyone'"))
    do_not_disturb: Mapped[bool] = mapped_column(server_default=false())


class BlockRow(Base):
    """One profile has blocked another. A block outlives the blocked profile: it may come back."""

    __tablename__ = "blocks"
    __table_args__ = (_of_profile("blocker_"),)

    blocker_profile_type: Mapped[str] = mapped_column(String(50), primary_key=True)
    blocker_profile_id: Mapped[int] = mapped_column(primary_key=True)
    blocked_profile_type: Mapped[str] = mapped_column(String(50), primary_key=True)
    blocked_profile_id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=UtcNow())


class ConnectionRow(Base):
    """Two profiles that the platform says are connected. One row for both: the first is the lower `Profile`."""

    __tablename__ = "profile_connections"
    __table_args__ = (
        _of_profile("first_"),
        _of_profile("second_"),
        Index(None, "second_profile_type", "second_profile_id"),
    )

    first_profile_type: Mapped[str] = mapped_column(String(50), primary_key=True)
    first_profile_id: Mapped[int] = mapped_column(primary_key=True)
    second_profile_type: Mapped[str] = mapped_column(String(50), primary_key=True)
    second_profile_id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=UtcNow())


class RevocationRow(Base):
    """Credentials issued before a time are not good any more. The row outlives the profile: that is what it is for."""

    __tablename__ = "credential_revocations"

    profile_type: Mapped[str] = mapped_column(String(50), primary_key=True)
    """Empty, with id 0: everybody's."""
    profile_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    cause: Mapped[str] = mapped_column(String(20), primary_key=True)
    """`revoked` or `deleted`."""
    issued_before: Mapped[datetime | None]
    """None: lifted."""
    changed_at: Mapped[datetime] = mapped_column(index=True)


class PushSubscriptionRow(Base):
    """A browser that a profile wants to be reached by."""

    __tablename__ = "push_subscriptions"
    __table_args__ = (_of_profile(), Index(None, "profile_type", "profile_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    endpoint: Mapped[str] = mapped_column(String(MAX_ENDPOINT_LENGTH), unique=True)
    p256dh: Mapped[str] = mapped_column(String(MAX_PUSH_KEY_LENGTH))
    auth: Mapped[str] = mapped_column(String(MAX_PUSH_KEY_LENGTH))
    profile_type: Mapped[str] = mapped_column(String(50))
    profile_id: Mapped[int]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime] = mapped_column(index=True)
    """When it was registered, or a message was last accepted for it."""
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    """Attempts since then, all of which failed."""
