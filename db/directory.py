"""Who exists, and who shares a conversation with whom."""

from collections.abc import Collection, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import and_, insert, select, tuple_, union
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.orm import aliased

from db.models import Base, ConversationRow, MemberRow, ProfileRow
from relay.ids import Profile
from relay.signaling.ports import ConversationCard, ProfileCard

_CARD = (ProfileRow.profile_type, ProfileRow.profile_id, ProfileRow.name, ProfileRow.avatar, ProfileRow.user_id)


class SqlDirectory:
    """`relay.signaling.ports.Directory`, and the writing side that the platform, the demo and tests use."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def profile(self, profile: Profile) -> ProfileCard | None:
        """The profile's card, or None if there is no such profile."""
        async with self._engine.connect() as connection:
            return await _profile(connection, profile)

    async def members(self, conversation_id: int) -> frozenset[Profile]:
        """The members of a conversation; empty if there is no such conversation."""
        query = select(MemberRow.profile_type, MemberRow.profile_id).where(MemberRow.conversation_id == conversation_id)
        async with self._engine.connect() as connection:
            return frozenset(Profile(*row) for row in await connection.execute(query))

    async def visible_profiles(self, profile: Profile) -> Sequence[ProfileCard]:
        """The profile itself and everyone who shares a conversation with it, by name."""
        mine, theirs = aliased(MemberRow), aliased(MemberRow)
        itself = select(*_CARD).where(_names(ProfileRow, profile))
        others = (
            select(*_CARD)
            .join(theirs, _same_profile(ProfileRow, theirs))
            .join(mine, mine.conversation_id == theirs.conversation_id)
            .where(_names(mine, profile))
        )
        async with self._engine.connect() as connection:
            cards = [_card(*row) for row in await connection.execute(union(itself, others))]
        return sorted(cards, key=_by_name)

    async def conversations(self, profile: Profile) -> Sequence[ConversationCard]:
        """The conversations that the profile is a member of, by id, each with its members by name."""
        mine, theirs = aliased(MemberRow), aliased(MemberRow)
        query = (
            select(theirs.conversation_id, *_CARD)
            .join(ProfileRow, _same_profile(ProfileRow, theirs))
            .join(mine, mine.conversation_id == theirs.conversation_id)
            .where(_names(mine, profile))
            .order_by(theirs.conversation_id)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [
            ConversationCard(conversation_id, tuple(sorted((_card(*row[1:]) for row in members), key=_by_name)))
            for conversation_id, members in groupby(rows, key=lambda row: row[0])
        ]

    async def add_profile(self, card: ProfileCard) -> ProfileCard:
        """Add a profile, unless it is there; then leave it as it is.

        Returns:
            The card that is stored.
        """
        async with self._engine.begin() as connection:
            await insert_profile(connection, card)
            stored = await _profile(connection, card.profile)
        assert stored is not None, "nobody deletes profiles while the relay adds them"
        return stored

    async def add_conversation(self, members: Collection[Profile]) -> int:
        """Add a conversation between profiles.

        Returns:
            Its id.

        Raises:
            ValueError: there are no members, or one of them does not exist.
        """
        wanted = frozenset(members)
        if not wanted:
            raise ValueError("a conversation needs members")
        async with self._engine.begin() as connection:
            key = tuple_(ProfileRow.profile_type, ProfileRow.profile_id)
            query = select(ProfileRow.profile_type, ProfileRow.profile_id).where(key.in_(wanted))
            known = {Profile(*row) for row in await connection.execute(query)}
            if unknown := wanted - known:
                raise ValueError(f"no such profile: {', '.join(sorted(profile.key for profile in unknown))}")
            inserted = await connection.execute(insert(ConversationRow).returning(ConversationRow.id))
            conversation_id = inserted.scalar_one()
            await insert_members(connection, conversation_id, wanted)
        return conversation_id


async def insert_profile(connection: AsyncConnection, card: ProfileCard) -> None:
    """Insert a profile, unless it is there."""
    profile_type, profile_id = card.profile
    await insert_new(
        connection,
        ProfileRow,
        profile_type=profile_type,
        profile_id=profile_id,
        name=card.name,
        avatar=card.avatar,
        user_id=card.user_id,
    )


async def insert_members(connection: AsyncConnection, conversation_id: int, members: Collection[Profile]) -> None:
    """Insert the members of a new conversation."""
    await connection.execute(
        insert(MemberRow), [{"conversation_id": conversation_id, **profile._asdict()} for profile in members]
    )


async def insert_new(connection: AsyncConnection, table: type[Base], **values: object) -> bool:
    """Insert a row, unless one with the same key is there; safe against others that insert it at the same time.

    Returns:
        Whether it was inserted.
    """
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    result = await connection.execute(dialect.insert(table).values(**values).on_conflict_do_nothing())
    return result.rowcount == 1


async def _profile(connection: AsyncConnection, profile: Profile) -> ProfileCard | None:
    row = (await connection.execute(select(*_CARD).where(_names(ProfileRow, profile)))).one_or_none()
    return None if row is None else _card(*row)


def _names(table: Any, profile: Profile) -> Any:
    return and_(table.profile_type == profile.profile_type, table.profile_id == profile.profile_id)


def _same_profile(one: Any, other: Any) -> Any:
    return and_(one.profile_type == other.profile_type, one.profile_id == other.profile_id)


def _card(profile_type: str, profile_id: int, name: str, avatar: str, user_id: int | None) -> ProfileCard:
    return ProfileCard(Profile(profile_type, profile_id), name, avatar, user_id)


def _by_name(card: ProfileCard) -> tuple[str, Profile]:
    # Here rather than in SQL, where the order of accented letters is the database's own.
    return card.name.casefold(), card.profile
