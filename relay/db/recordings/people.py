"""What the tables of recordings have about one profile, to be exported and to be erased; and about files that are found."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import aliased

from relay.db.engine import execute
from relay.db.models import RecordingConsentRow, RecordingRow
from relay.db.profiles import names
from relay.ids import Profile
from relay.records.recordings import RecordingPolicy, RecordingState

BATCH: Final = 200
"""Rows per transaction, or per page."""

_FACTS: Final = (
    *("call_id", "scope_kind", "scope_id", "caller_profile_type", "caller_profile_id", "callee_profile_type"),
    *("callee_profile_id", "state", "end_reason", "started_at", "ended_at", "bytes", "files", "verdict", "policy"),
    *("policy_version", "consented", "legal_hold"),
)
"""Columns that are about the call or its parties."""


class SqlRecordingPeople:
    """Recordings and consents by profile."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def recordings(self, profile: Profile) -> list[dict[str, Any]]:
        """The recordings that a profile is heard in and may see, oldest first, as rows."""
        row: Any = RecordingRow
        columns = [row.id.label("recording_id"), *(getattr(row, name) for name in _FACTS)]
        shown = (row.policy == RecordingPolicy.CONSENT.value, row.state != RecordingState.DELETING.value)
        query = select(*columns).where(_of_party(row, profile), *shown).order_by(row.started_at, row.id)
        return await self._rows(query)

    async def known(self, recording_ids: Collection[str]) -> frozenset[str]:
        """Those that have a row."""
        query = select(RecordingRow.id).where(RecordingRow.id.in_(sorted(recording_ids)))
        async with self._engine.connect() as connection:
            return frozenset((await connection.execute(query)).scalars())

    async def consents(self, profile: Profile) -> list[dict[str, Any]]:
        """What a profile has said about recordings, oldest first, as rows."""
        row: Any = RecordingConsentRow
        said = ("recording_id", "call_id", "answer", "answered_at", "policy_version", "text_hash")
        query = select(*(getattr(row, name) for name in said)).where(names(row, profile)).order_by(row.answered_at, row.id)
        return await self._rows(query)

    async def _rows(self, query: Any) -> list[dict[str, Any]]:
        async with self._engine.connect() as connection:
            return [one._asdict() for one in await connection.execute(query)]

    async def erase(self, profile: Profile) -> bool:
        """Have all recordings of a profile deleted, and remove what it has consented to; whether there was anything.

        Not what is under legal hold. The log of accesses stays.
        """
        erased = await self._delete_recordings(profile) > 0
        while await self._erase_consents(profile):
            erased = True
        return erased

    async def erase_own(self, profile: Profile) -> bool:
        """Have the recordings deleted that a profile may delete itself; whether there were any."""
        row = RecordingRow
        over = row.state.in_([RecordingState.CAPTURED.value, RecordingState.READY.value, RecordingState.FAILED.value])
        return await self._delete_recordings(profile, row.policy == RecordingPolicy.CONSENT.value, over) > 0

    async def forget_consents(self, before: datetime) -> int:
        """Remove the oldest consents before a time to recordings that are gone; how many: `BATCH` at most."""
        row, old = RecordingConsentRow, aliased(RecordingConsentRow)
        there = exists().where(RecordingRow.id == old.recording_id)
        some = select(old.id).where(old.answered_at < before, ~there).order_by(old.answered_at).limit(BATCH)
        return await execute(self._engine, delete(row).where(row.id.in_(some)))

    async def _delete_recordings(self, profile: Profile, *which: ColumnElement[bool]) -> int:
        row = RecordingRow
        deletable = (row.legal_hold.is_(False), row.state != RecordingState.DELETING.value)
        deleting = update(row).where(_of_party(row, profile), *deletable, *which)
        return await execute(self._engine, deleting.values(state=RecordingState.DELETING.value))

    async def _erase_consents(self, profile: Profile) -> int:
        row, mine = RecordingConsentRow, aliased(RecordingConsentRow)
        held = exists().where(RecordingRow.id == mine.recording_id, RecordingRow.legal_hold)
        some = select(mine.id).where(names(mine, profile), ~held).limit(BATCH)
        return await execute(self._engine, delete(row).where(row.id.in_(some)))


def _of_party(row: Any, profile: Profile) -> ColumnElement[bool]:
    return or_(names(row, profile, "caller_"), names(row, profile, "callee_"))
