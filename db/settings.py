"""What a profile settles about being called: privacy, do-not-disturb, and whom it has blocked."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.models import BlockRow, KnownBlockRow, KnownProfileRow, KnownSettingsRow, SettingsRow
from db.naming import require_own
from db.profiles import acquainted, columns, insert_new, locked, names, privacy_of, unknown, upsert, values
from relay.ids import Profile
from relay.signaling.ports import Privacy, ProfileCard
from relay.signaling.records import BlockRecord, SettingsRecord


class SqlSettings:
    """Read and written by the profile itself, and by the platform on its behalf."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def settings(self, profile: Profile) -> SettingsRecord:
        """The profile's settings; the defaults if it has settled nothing, or does not exist."""
        async with self._engine.connect() as connection:
            return await _settings(connection, profile)

    async def change_settings(
        self, profile: Profile, *, privacy: Privacy | None = None, do_not_disturb: bool | None = None
    ) -> SettingsRecord:
        """Change what is given and leave the rest.

        Returns:
            The settings afterwards.

        Raises:
            ValueError: there is no such profile.
            ReadOnly: the platform's views say what profiles have settled.
        """
        require_own(self._engine, "settings")
        changes: dict[str, object] = {}
        if privacy is not None:
            changes["privacy"] = privacy.value
        if do_not_disturb is not None:
            changes["do_not_disturb"] = do_not_disturb
        async with self._engine.begin() as connection:
            if not await locked(connection, profile):
                raise unknown([profile])
            if changes:
                insert = upsert(connection, SettingsRow).values(**values(profile), **changes)
                key = ["profile_type", "profile_id"]
                await connection.execute(insert.on_conflict_do_update(index_elements=key, set_=changes))
            return await _settings(connection, profile)

    async def blocks(self, profile: Profile) -> Sequence[BlockRecord]:
        """Whom the profile has blocked, latest first."""
        blocked = columns(KnownBlockRow, "blocked_")
        query = (
            select(*blocked, KnownProfileRow.name, KnownProfileRow.avatar, KnownBlockRow.created_at)
            .outerjoin(KnownProfileRow, names(KnownProfileRow, blocked))
            .where(names(KnownBlockRow, profile, "blocker_"))
            .order_by(KnownBlockRow.created_at.desc(), *blocked)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [
            BlockRecord(ProfileCard(Profile(profile_type, profile_id), name or "", avatar or ""), since)
            for profile_type, profile_id, name, avatar, since in rows
        ]

    async def block(self, profile: Profile, blocked: Profile) -> bool:
        """Block somebody whom the profile can know of: who shares a conversation or a whiteboard session with it, or is connected
        with it. (If it could block anybody, its list of blocks would tell the names of all.)

        Returns:
            Whether this is new. If it was blocked already, it stays so.

        Raises:
            ValueError: the profile knows no such profile.
            ReadOnly: the platform's views say who has blocked whom.
        """
        require_own(self._engine, "blocks")
        # Who is blocked already may be blocked again, though the two may share nothing any more.
        known = select(KnownProfileRow.profile_id).where(names(KnownProfileRow, blocked), acquainted(profile, blocked))
        there = select(BlockRow.created_at).where(_is_block(profile, blocked))
        async with self._engine.begin() as connection:
            if not await locked(connection, profile):
                raise unknown([profile])
            if (await connection.execute(there)).one_or_none() is not None:
                return False
            if (await connection.execute(known)).one_or_none() is None:
                raise unknown([blocked])
            return await insert_new(connection, BlockRow, **values(profile, "blocker_"), **values(blocked, "blocked_"))

    async def unblock(self, profile: Profile, blocked: Profile) -> bool:
        """Lift a block.

        Returns:
            Whether there was one.

        Raises:
            ReadOnly: the platform's views say who has blocked whom.
        """
        require_own(self._engine, "blocks")
        async with self._engine.begin() as connection:
            result = await connection.execute(delete(BlockRow).where(_is_block(profile, blocked)))
        return result.rowcount == 1


def _is_block(blocker: Profile, blocked: Profile) -> ColumnElement[bool]:
    return and_(names(BlockRow, blocker, "blocker_"), names(BlockRow, blocked, "blocked_"))


async def _settings(connection: AsyncConnection, profile: Profile) -> SettingsRecord:
    row = KnownSettingsRow
    query = select(row.privacy, row.do_not_disturb).where(names(row, profile))
    found = (await connection.execute(query)).one_or_none()
    return SettingsRecord() if found is None else SettingsRecord(privacy_of(found.privacy), bool(found.do_not_disturb))
