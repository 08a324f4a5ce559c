"""Removal of recordings past their retention period, and of what is known about their use."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.recordings.accesses import SqlRecordingAccesses
from relay.db.recordings.people import SqlRecordingPeople
from relay.db.recordings.rows import SqlRecordings
from relay.db.retention import in_batches
from relay.records.calls import Purged
from relay.settings.retention import RecordingRetentionSettings


class SqlRecordingRetention:
    """Marks old recordings as `deleting`: the server that has their files removes these next, and then the row.

    Args:
        expired: called when there are any.
    """

    def __init__(self, engine: AsyncEngine, recordings: SqlRecordings, expired: Callable[[], None]) -> None:
        self._recordings = recordings
        self._accesses = SqlRecordingAccesses(engine)
        self._people = SqlRecordingPeople(engine)
        self._expired = expired

    async def apply(self, settings: RecordingRetentionSettings, now: datetime) -> Purged:
        """Remove what is too old. The next run completes an interrupted one; concurrent runs are safe."""

        async def purge(days: int, step: Callable[[datetime], Awaitable[int]]) -> int:
            return await in_batches(step, now - timedelta(days=days)) if days else 0

        recordings = await purge(settings.retain_recordings_days, self._recordings.expire)
        if recordings:
            self._expired()
        return Purged(
            recordings=recordings,
            recording_accesses=await purge(settings.retain_recording_accesses_days, self._accesses.forget)
            + await purge(settings.retain_recording_accesses_days, self._people.forget_consents),
        )
