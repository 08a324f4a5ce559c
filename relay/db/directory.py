"""The profiles, and the conversations that they share."""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Executable, and_, bindparam, insert, literal, select, tuple_, union
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.orm import aliased

from relay.db.models import OF_KIND, ConversationRow, KindTables, KnownMemberRow, KnownProfileRow, KnownSettingsRow, ProfileRow
from relay.db.profiles import (
    CARD,
    Named,
    blocked,
    by_name,
    card_of,
    card_values,
    columns,
    connected,
    insert_new,
    names,
    privacy_of,
    same,
    unknown,
)
from relay.db.scopes import insert_members
from relay.ids import Profile, Scope, ScopeKind
from relay.records.calls import SessionCard
from relay.records.profiles import ProfileCard
from relay.signaling.ports import ConversationCard, Eligibility


class SqlDirectory:
    """`relay.signaling.ports.Directory`, and the writing side that the demo and development mode use."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def profile(self, profile: Profile) -> ProfileCard | None:
        """The profile's card, or None if there is no such profile."""
        async with self._engine.connect() as connection:
            return await _profile(connection, profile)

    async def cards(self, profiles: Collection[Profile]) -> Mapping[Profile, ProfileCard]:
        """The cards of those profiles that exist."""
        if not profiles:
            return {}
        query = select(*CARD).where(tuple_(*columns(KnownProfileRow)).in_(sorted(profiles)))
        async with self._engine.connect() as connection:
            found = [card_of(*row) for row in await connection.execute(query)]
        return {card.profile: card for card in found}

    async def eligibility(self, scope: Scope, caller: Profile, callee: Profile) -> Eligibility:
        """What decides whether `caller` may call `callee` at `scope`; any of the three may not exist. One query."""
        parameters = {
            "scope_id": scope.scope_id,
            "caller_type": caller.profile_type,
            "caller_id": caller.profile_id,
            "callee_type": callee.profile_type,
            "callee_id": callee.profile_id,
        }
        async with self._engine.connect() as connection:
            row = (await connection.execute(_ELIGIBILITY[scope.kind], parameters)).one()
        return Eligibility(
            caller=ProfileCard(caller, row.caller_name or "", row.caller_avatar or "", row.caller_user_id),
            callee=ProfileCard(callee, row.callee_name or "", row.callee_avatar or "", row.callee_user_id),
            members=row.members,
            blocked=row.blocked,
            connected=row.connected,
            privacy=privacy_of(row.privacy),
            do_not_disturb=bool(row.do_not_disturb),
            keeps_chat=bool(row.keeps_chat),
        )

    async def shared_conversation(self, first: Profile, second: Profile) -> int | None:
        """The conversation with the lowest id that both are members of."""
        one, other = aliased(KnownMemberRow), aliased(KnownMemberRow)
        query = (
            select(one.conversation_id)
            .join(other, other.conversation_id == one.conversation_id)
            .where(names(one, first), names(other, second))
            .order_by(one.conversation_id)
            .limit(1)
        )
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    async def visible_profiles(self, profile: Profile) -> Sequence[ProfileCard]:
        """The profile itself and everyone who shares a conversation with it, by name."""
        mine, theirs = aliased(KnownMemberRow), aliased(KnownMemberRow)
        itself = select(*CARD).where(names(KnownProfileRow, profile))
        others = (
            select(*CARD)
            .join(theirs, same(columns(KnownProfileRow), columns(theirs)))
            .join(mine, mine.conversation_id == theirs.conversation_id)
            .where(names(mine, profile))
        )
        async with self._engine.connect() as connection:
            cards = [card_of(*row) for row in await connection.execute(union(itself, others))]
        return sorted(cards, key=by_name)

    async def conversations(self, profile: Profile) -> Sequence[ConversationCard]:
        """The conversations that the profile is a member of, by id, each with its members by name."""
        return [ConversationCard(*found) for found in await self._scopes(profile, ScopeKind.CONVERSATION)]

    async def whiteboard_sessions(self, profile: Profile) -> Sequence[SessionCard]:
        """The whiteboard sessions that the profile is a member of, by id, each with its members by name."""
        return [SessionCard(*found) for found in await self._scopes(profile, ScopeKind.WHITEBOARD_SESSION)]

    async def _scopes(self, profile: Profile, kind: ScopeKind) -> list[tuple[int, tuple[ProfileCard, ...]]]:
        tables = OF_KIND[kind]
        mine, theirs = aliased(tables.known_members), aliased(tables.known_members)
        scope_id = tables.scope_id(theirs)
        query = (
            select(scope_id, *CARD)
            .join(KnownProfileRow, same(columns(KnownProfileRow), columns(theirs)))
            .join(mine, tables.scope_id(mine) == scope_id)
            .where(names(mine, profile))
            .order_by(scope_id)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [
            (found, tuple(sorted((card_of(*row[1:]) for row in members), key=by_name)))
            for found, members in groupby(rows, key=lambda row: row[0])
        ]

    async def add_profile(self, card: ProfileCard) -> ProfileCard:
        """Add a profile, unless it is there; then leave it as it is.

        Returns:
            The card that is stored.
        """
        async with self._engine.begin() as connection:
            await insert_profile(connection, card)
            return await _profile(connection, card.profile) or card

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
            if missing := wanted - known:
                raise unknown(missing)
            inserted = await connection.execute(insert(ConversationRow).returning(ConversationRow.id))
            conversation_id = inserted.scalar_one()
            await insert_members(connection, Scope(ScopeKind.CONVERSATION, conversation_id), wanted)
        return conversation_id


async def insert_profile(connection: AsyncConnection, card: ProfileCard) -> None:
    """Insert a profile, unless it is there."""
    await insert_new(connection, ProfileRow, **card_values(card))


async def _profile(connection: AsyncConnection, profile: Profile) -> ProfileCard | None:
    row = (await connection.execute(_PROFILE, profile._asdict())).one_or_none()
    return None if row is None else card_of(*row)


_PROFILE: Final = select(*CARD).where(names(KnownProfileRow, (bindparam("profile_type"), bindparam("profile_id"))))
"""Built once, since every connection runs it."""


def _standing(tables: KindTables) -> Executable:
    """Built once per kind of scope, since every invitation runs it."""
    caller, callee = aliased(KnownProfileRow), aliased(KnownProfileRow)
    the_caller: Named = (bindparam("caller_type"), bindparam("caller_id"))
    the_callee: Named = (bindparam("callee_type"), bindparam("callee_id"))

    def is_member(profile: Named) -> Any:
        member = aliased(tables.known_members)
        here = tables.scope_id(member) == bindparam("scope_id")
        return select(tables.scope_id(member)).where(here, names(member, profile)).exists()

    scopes = tables.known_scopes
    keeps_chat = select(scopes.keep_chat).where(scopes.id == bindparam("scope_id")).scalar_subquery()
    one_row = select(literal(1).label("one")).subquery()
    return (
        select(
            caller.name.label("caller_name"),
            caller.avatar.label("caller_avatar"),
            caller.user_id.label("caller_user_id"),
            callee.name.label("callee_name"),
            callee.avatar.label("callee_avatar"),
            callee.user_id.label("callee_user_id"),
            and_(is_member(the_caller), is_member(the_callee)).label("members"),
            blocked(the_caller, the_callee).label("blocked"),
            connected(the_caller, the_callee).label("connected"),
            KnownSettingsRow.privacy,
            KnownSettingsRow.do_not_disturb,
            keeps_chat.label("keeps_chat"),
        )
        .select_from(one_row)
        .outerjoin(caller, names(caller, the_caller))
        .outerjoin(callee, names(callee, the_callee))
        .outerjoin(KnownSettingsRow, names(KnownSettingsRow, the_callee))
    )


_ELIGIBILITY: Final[Mapping[ScopeKind, Executable]] = {kind: _standing(tables) for kind, tables in OF_KIND.items()}
