"""`recording_accesses`: who has used which recording, and when."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import delete, exists, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import aliased

from relay.db.engine import execute
from relay.db.models import RecordingAccessRow, RecordingRow
from relay.db.profiles import values
from relay.ids import Profile, new_id
from relay.records.recordings import AccessAction, RecordingAccess

BATCH: Final = 200
"""Rows at a time."""


class SqlRecordingAccesses:
    """Uses of recordings, which are only added, and removed when they are old."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, used: RecordingAccess) -> None:
        """Write a use down. To be done before the first byte is sent: without the row there is no access."""
        who = {"profile_type": None, "profile_id": None} if used.profile is None else values(used.profile)
        adding = insert(RecordingAccessRow).values(
            id=new_id(),
            recording_id=used.recording_id,
            **who,
            action=used.action.value,
            detail=used.detail,
            first_byte=used.first_byte,
            last_byte=used.last_byte,
            accessed_at=used.at,
            address_hash=used.address_hash,
        )
        await execute(self._engine, adding)

    async def of(self, recording_id: str, *, limit: int = BATCH) -> Sequence[RecordingAccess]:
        """The uses of a recording, latest first."""
        row = RecordingAccessRow
        query = select(row).where(row.recording_id == recording_id).order_by(row.accessed_at.desc(), row.id).limit(limit)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [
            RecordingAccess(
                recording_id=one.recording_id,
                profile=None if one.profile_type is None else Profile(one.profile_type, one.profile_id),
                action=AccessAction(one.action),
                at=one.accessed_at,
                detail=one.detail,
                first_byte=one.first_byte,
                last_byte=one.last_byte,
                address_hash=one.address_hash,
            )
            for one in rows
        ]

    async def forget(self, before: datetime) -> int:
        """Remove the oldest uses before a time, without those of recordings under legal hold; how many: `BATCH` at most."""
        row, old = RecordingAccessRow, aliased(RecordingAccessRow)
        held = exists().where(RecordingRow.id == old.recording_id, RecordingRow.legal_hold)
        some = select(old.id).where(old.accessed_at < before, ~held).order_by(old.accessed_at).limit(BATCH)
        return await execute(self._engine, delete(row).where(row.id.in_(some)))
