"""What a profile settles about being called: privacy, do-not-disturb, and which profiles it has blocked."""

from collections.abc import Awaitable, Sequence

from sqlalchemy import ColumnElement, and_, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from relay.db.models import BlockRow, KnownBlockRow, KnownProfileRow, KnownSettingsRow, SettingsRow
from relay.db.naming import require_own
from relay.db.profiles import acquainted, columns, insert_new, locked, names, privacy_of, unknown, upsert, values
from relay.ids import Profile
from relay.records.calls import BlockRecord, ProfileSettingsChange, SettingsRecord
from relay.records.profiles import Privacy, ProfileCard


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
        async with self._engine.begin() as connection:
            await _change(connection, ProfileSettingsChange(profile, privacy, do_not_disturb))
            return await _settings(connection, profile)

    async def change_all(self, changes: Sequence[ProfileSettingsChange]) -> Sequence[str | None]:
        """Change the settings of several profiles, in one transaction.

        Returns:
            For each, what is wrong with it (there is no such profile); None if it is done.
        """
        require_own(self._engine, "settings")
        faults: dict[int, str | None] = {}
        async with self._engine.begin() as connection:
            # By profile: two that lock the same rows in different orders would wait for each other.
            for index, change in sorted(enumerate(changes), key=lambda one: one[1].profile):
                faults[index] = await _fault(_change(connection, change))
        return [faults[index] for index in range(len(changes))]

    async def blocks(self, profile: Profile) -> Sequence[BlockRecord]:
        """The profiles that it has blocked, latest first."""
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
        """Block a profile that it can know: one that shares a conversation or a whiteboard session with it, or is connected
        with it. (If it could block anybody, its list of blocks would tell the names of all.)

        Returns:
            Whether this is new. If it was blocked already, it stays so.

        Raises:
            ValueError: the profile knows no such profile.
            ReadOnly: the platform's views say who has blocked whom.
        """
        require_own(self._engine, "blocks")
        async with self._engine.begin() as connection:
            return await _block(connection, profile, blocked)

    async def block_all(self, pairs: Sequence[tuple[Profile, Profile]]) -> Sequence[str | None]:
        """Let the first of each pair block the second, in one transaction; as `block` does.

        Returns:
            For each, what is wrong with it; None if it is done.
        """
        require_own(self._engine, "blocks")
        faults: dict[int, str | None] = {}
        async with self._engine.begin() as connection:
            for index, pair in sorted(enumerate(pairs), key=lambda one: one[1][0]):
                faults[index] = await _fault(_block(connection, *pair))
        return [faults[index] for index in range(len(pairs))]

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


async def _fault(change: Awaitable[object]) -> str | None:
    """What is wrong with a change that writes nothing if it is refused."""
    try:
        await change
    except ValueError as error:
        return str(error)
    return None


async def _change(connection: AsyncConnection, change: ProfileSettingsChange) -> None:
    if not await locked(connection, change.profile):
        raise unknown([change.profile])
    changes: dict[str, object] = {}
    if change.privacy is not None:
        changes["privacy"] = change.privacy.value
    if change.do_not_disturb is not None:
        changes["do_not_disturb"] = change.do_not_disturb
    if changes:
        insert = upsert(connection, SettingsRow).values(**values(change.profile), **changes)
        key = ["profile_type", "profile_id"]
        await connection.execute(insert.on_conflict_do_update(index_elements=key, set_=changes))


async def _block(connection: AsyncConnection, profile: Profile, blocked: Profile) -> bool:
    if profile == blocked:
        raise ValueError("a profile cannot block itself")
    if not await locked(connection, profile):
        raise unknown([profile])
    # Who is blocked already may be blocked again, though the two may share nothing any more.
    there = select(BlockRow.created_at).where(_is_block(profile, blocked))
    if (await connection.execute(there)).one_or_none() is not None:
        return False
    known = select(KnownProfileRow.profile_id).where(names(KnownProfileRow, blocked), acquainted(profile, blocked))
    if (await connection.execute(known)).one_or_none() is None:
        raise unknown([blocked])
    return await insert_new(connection, BlockRow, **values(profile, "blocker_"), **values(blocked, "blocked_"))


def _is_block(blocker: Profile, blocked: Profile) -> ColumnElement[bool]:
    return and_(names(BlockRow, blocker, "blocker_"), names(BlockRow, blocked, "blocked_"))


async def _settings(connection: AsyncConnection, profile: Profile) -> SettingsRecord:
    row = KnownSettingsRow
    query = select(row.privacy, row.do_not_disturb).where(names(row, profile))
    found = (await connection.execute(query)).one_or_none()
    return SettingsRecord() if found is None else SettingsRecord(privacy_of(found.privacy), bool(found.do_not_disturb))
