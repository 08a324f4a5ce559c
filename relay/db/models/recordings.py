"""Recordings of calls: what was captured, who has consented, who has looked at it, and where recording is restricted.

No foreign keys: a recording, its consents and its accesses outlive the conversation and the profiles that they are about.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, Index, String, false, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from relay.db.models.base import Base, FreeText
from relay.db.models.calls import MAX_NODE_LENGTH

MAX_POLICY_VERSION_LENGTH = 64
"""Characters of `policy_version`."""

# In the words of the index, or planners do not see that it applies.
IS_UNFINISHED = "state IN ('capturing', 'captured', 'assembling', 'deleting')"
"""Something is still to be done about the recording: each start of a server looks for these."""


class RecordingRow(Base):
    """One recording of one call. A call that is recorded twice has two."""

    __tablename__ = "recordings"
    __table_args__ = (
        CheckConstraint("state IN ('capturing', 'captured', 'assembling', 'ready', 'failed', 'deleting')", name="state"),
        CheckConstraint("verdict IN ('none', 'passed', 'failed', 'unreadable')", name="verdict"),
        CheckConstraint("policy IN ('consent', 'always')", name="policy"),
        Index(None, "call_id"),
        Index(None, "started_at", "id"),
        Index("ix_recordings_scope", "scope_kind", "scope_id", "started_at", "id"),
        Index("ix_recordings_caller", "caller_profile_type", "caller_profile_id", "started_at", "id"),
        Index("ix_recordings_callee", "callee_profile_type", "callee_profile_id", "started_at", "id"),
        Index(
            "ix_recordings_unfinished",
            *("node", "started_at"),
            sqlite_where=text(IS_UNFINISHED),
            postgresql_where=text(IS_UNFINISHED),
        ),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    """32 hexadecimal digits, which the names of its files are made of."""
    call_id: Mapped[str] = mapped_column(String(32))
    scope_kind: Mapped[str] = mapped_column(String(20))
    """`conversation` or `whiteboard_session`."""
    scope_id: Mapped[int]
    caller_profile_type: Mapped[str] = mapped_column(String(50))
    caller_profile_id: Mapped[int]
    callee_profile_type: Mapped[str] = mapped_column(String(50))
    callee_profile_id: Mapped[int]
    state: Mapped[str] = mapped_column(String(20))
    """`capturing`, `captured`, `assembling`, `ready`, `failed` or `deleting`."""
    end_reason: Mapped[str | None] = mapped_column(String(32))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    packets: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    bytes: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    dropped: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """Packets that the disk was too slow for."""
    files: Mapped[dict[str, Any] | None] = mapped_column(
        JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
    )
    """Size in bytes by name."""
    verdict: Mapped[str] = mapped_column(String(20), server_default=text("'none'"))
    policy: Mapped[str] = mapped_column(String(20))
    """Why the call was recorded: by `consent`, or `always`."""
    policy_version: Mapped[str] = mapped_column(String(MAX_POLICY_VERSION_LENGTH), server_default=text("''"))
    consented: Mapped[bool] = mapped_column(server_default=false())
    """Both parties have consented."""
    legal_hold: Mapped[bool] = mapped_column(server_default=false())
    """It is neither deleted nor does it become too old."""
    node: Mapped[str] = mapped_column(String(MAX_NODE_LENGTH))
    """Name of the server that has its files."""
    sealed: Mapped[bool] = mapped_column(server_default=false())
    """Its files are encrypted."""
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    """Times that its assembly has begun."""
    note: Mapped[str | None] = mapped_column(FreeText)
    """What people are to know of its assembly or verification."""


class RecordingConsentRow(Base):
    """What one party has said about a recording. Rows are only added."""

    __tablename__ = "recording_consents"
    __table_args__ = (
        Index(None, "recording_id", "answered_at"),
        Index(None, "call_id"),
        Index("ix_recording_consents_profile", "profile_type", "profile_id"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    recording_id: Mapped[str] = mapped_column(String(32))
    """The recording that was asked for. There is no such recording if it never began."""
    call_id: Mapped[str] = mapped_column(String(32))
    profile_type: Mapped[str] = mapped_column(String(50))
    profile_id: Mapped[int]
    answer: Mapped[str] = mapped_column(String(20))
    """`requested`, `accepted`, `declined`, `expired` or `withdrawn`."""
    answered_at: Mapped[datetime]
    policy_version: Mapped[str] = mapped_column(String(MAX_POLICY_VERSION_LENGTH))
    text_hash: Mapped[str | None] = mapped_column(String(64))
    """SHA-256 of the text that the party was shown, in hexadecimal digits, as its client says."""


class RecordingAccessRow(Base):
    """A use of a recording, written before the first byte is sent."""

    __tablename__ = "recording_accesses"
    __table_args__ = (Index(None, "recording_id", "accessed_at"), Index(None, "accessed_at"))

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    recording_id: Mapped[str | None] = mapped_column(String(32))
    """None: a list of recordings."""
    profile_type: Mapped[str | None] = mapped_column(String(50))
    """None: the holder of the service token."""
    profile_id: Mapped[int | None]
    action: Mapped[str] = mapped_column(String(20))
    """`list`, `view`, `download`, `export`, `assemble`, `verify`, `delete` or `hold`."""
    detail: Mapped[str | None] = mapped_column(FreeText)
    """The file's name, or the filter of a list."""
    first_byte: Mapped[int | None] = mapped_column(BigInteger)
    last_byte: Mapped[int | None] = mapped_column(BigInteger)
    """Of the range that was asked for, inclusive; None: everything."""
    accessed_at: Mapped[datetime]
    address_hash: Mapped[str | None] = mapped_column(String(64))


class RecordingPolicyRow(Base):
    """A scope in which recording is more restricted than elsewhere."""

    __tablename__ = "recording_policies"
    __table_args__ = (CheckConstraint("policy IN ('off', 'consent', 'always')", name="policy"),)

    scope_kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    scope_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    policy: Mapped[str] = mapped_column(String(20))
