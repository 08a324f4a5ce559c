"""The data that the platform synchronizes: profiles, connections, scopes and their members.

Everything may be said twice, and by several at the same time. What views of the platform tell instead cannot be said at all:
every method that changes something raises `ReadOnly` then.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Final, TypeVar

from sqlalchemy import Delete, and_, delete, literal, select, tuple_, union, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from relay.db import batches
from relay.db.engine import execute
from relay.db.models import OF_KIND, ConnectionRow, KnownConnectionRow, KnownProfileRow, ProfileRow, RecordingPolicyRow
from relay.db.naming import part_of, require_own
from relay.db.profiles import (
    CARD,
    by_name,
    card_of,
    card_values,
    columns,
    insert_new,
    locked,
    names,
    same,
    unknown,
    upsert,
    values,
)
from relay.db.scopes import advance_sequence, insert_members
from relay.ids import MAX_PROFILE_ID, Profile, Scope, ScopeKind
from relay.records.calls import Page, ScopeRecord
from relay.records.profiles import ProfileCard

MAX_DIGITS: Final = 10
"""Of an id of a scope, which has the same bound as that of a profile."""

_Entry = TypeVar("_Entry")


class SqlPlatform:
    """The writing side of the directory."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def put_profiles(self, cards: Collection[ProfileCard]) -> None:
        """Add profiles, or bring them up to date. Of several cards of one profile, the last counts."""
        require_own(self._engine, "profiles")
        latest = {card.profile: card_values(card) for card in cards}
        if not latest:
            return
        async with self._engine.begin() as connection:
            insert = upsert(connection, ProfileRow)
            changes = {name: insert.excluded[name] for name in ("name", "avatar", "user_id")}
            statement = insert.on_conflict_do_update(index_elements=["profile_type", "profile_id"], set_=changes)
            # Sorted: two transactions that write the same rows in different orders would deadlock.
            await connection.execute(statement, [latest[profile] for profile in sorted(latest)])

    async def delete_profile(self, profile: Profile) -> bool:
        """Delete a profile with its settings, blocks, connections, memberships and push subscriptions.

        Its calls stay as they are: `relay.db.personal_data` erases it from those too.

        Returns:
            Whether it was there.
        """
        require_own(self._engine, "profiles")
        return await self.forget_profile(profile)

    async def forget_profile(self, profile: Profile) -> bool:
        """Delete the relay's own data of a profile, which the platform's views may still list."""
        return await execute(self._engine, delete(ProfileRow).where(names(ProfileRow, profile))) == 1

    async def put_scope(self, scope: Scope, members: Collection[Profile], *, keep_chat: bool = False) -> bool:
        """Add a conversation or whiteboard session, or bring it up to date: these are its members now, and no others.

        Args:
            keep_chat: chat messages of calls there are kept with the call.

        Returns:
            Whether it is new.

        Raises:
            ValueError: a member does not exist; nothing has changed.
        """
        require_own(self._engine, part_of(scope.kind))
        wanted = frozenset(members)
        scopes = OF_KIND[scope.kind].scopes
        async with self._engine.begin() as connection:
            is_new = await insert_new(connection, scopes, id=scope.scope_id, keep_chat=keep_chat)
            if is_new:
                await advance_sequence(connection, scope.kind)
            else:
                # Not an update: it may have been deleted since. From here on the row is locked.
                insert = upsert(connection, scopes).values(id=scope.scope_id, keep_chat=keep_chat)
                await connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_={"keep_chat": keep_chat}))
            await _require(connection, wanted)
            present = await _members(connection, scope)
            for profile in present - wanted:
                await connection.execute(_without(scope, profile))
            await insert_members(connection, scope, wanted - present)
        return is_new

    async def put_scopes(self, kind: ScopeKind, scopes: Sequence[ScopeRecord]) -> Sequence[str | None]:
        """Add scopes of one kind, or bring them up to date, in one transaction.

        Returns:
            For each, what is wrong with it (a member does not exist); None if it is done.
        """
        require_own(self._engine, part_of(kind))
        if not scopes:
            return []
        async with self._engine.begin() as connection:
            return await batches.put_scopes(connection, kind, scopes)

    async def delete_scope(self, scope: Scope) -> bool:
        """Delete a conversation or whiteboard session with its policy on recording; its calls stay, without a scope.

        Returns:
            Whether it was there.
        """
        require_own(self._engine, part_of(scope.kind))
        scopes, policy = OF_KIND[scope.kind].scopes, RecordingPolicyRow
        async with self._engine.begin() as connection:
            deleted = (await connection.execute(delete(scopes).where(scopes.id == scope.scope_id))).rowcount == 1
            own = (policy.scope_kind == scope.kind.value, policy.scope_id == scope.scope_id)
            await connection.execute(delete(policy).where(*own))
        return deleted

    async def scope(self, scope: Scope) -> ScopeRecord | None:
        """A conversation or whiteboard session and its members; None if it does not exist."""
        scopes = OF_KIND[scope.kind].known_scopes
        async with self._engine.connect() as connection:
            query = select(scopes.keep_chat).where(scopes.id == scope.scope_id)
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                return None
            return ScopeRecord(scope, tuple(sorted(await _members(connection, scope))), row.keep_chat)

    async def add_member(self, scope: Scope, profile: Profile) -> bool:
        """Add a member.

        Returns:
            Whether it was none before.

        Raises:
            ValueError: there is no such profile, or no such scope.
        """
        require_own(self._engine, part_of(scope.kind))
        tables = OF_KIND[scope.kind]
        async with self._engine.begin() as connection:
            # An update, though of nothing: see `locked`.
            touched = update(tables.scopes).where(tables.scopes.id == scope.scope_id)
            if not (await connection.execute(touched.values(keep_chat=tables.scopes.keep_chat))).rowcount:
                raise ValueError(f"no such {scope.kind.replace('_', ' ')}: {scope.scope_id}")
            await _require(connection, {profile})
            return await insert_new(connection, tables.members, **{tables.key: scope.scope_id}, **values(profile))

    async def remove_member(self, scope: Scope, profile: Profile) -> bool:
        """Remove a member.

        Returns:
            Whether it was one.
        """
        require_own(self._engine, part_of(scope.kind))
        return await execute(self._engine, _without(scope, profile)) == 1

    async def connect(self, one: Profile, other: Profile) -> bool:
        """Connect two profiles.

        Returns:
            Whether that is new.

        Raises:
            ValueError: one of them does not exist, or both are the same.
        """
        require_own(self._engine, "connections")
        first, second = sorted((one, other))
        if first == second:
            raise ValueError(f"{one.key} cannot be connected with itself")
        async with self._engine.begin() as connection:
            if missing := [profile for profile in (first, second) if not await locked(connection, profile)]:
                raise unknown(missing)
            return await insert_new(connection, ConnectionRow, **values(first, "first_"), **values(second, "second_"))

    async def connect_all(self, pairs: Sequence[tuple[Profile, Profile]]) -> Sequence[str | None]:
        """Make pairs connections of each other, in one transaction.

        Returns:
            For each, what is wrong with it (a profile does not exist, or it is one with itself); None if it is done.
        """
        require_own(self._engine, "connections")
        if not pairs:
            return []
        async with self._engine.begin() as connection:
            return await batches.connect_all(connection, pairs)

    async def disconnect(self, one: Profile, other: Profile) -> bool:
        """The two are connections no longer.

        Returns:
            Whether they were.
        """
        require_own(self._engine, "connections")
        first, second = sorted((one, other))
        both = and_(names(ConnectionRow, first, "first_"), names(ConnectionRow, second, "second_"))
        return await execute(self._engine, delete(ConnectionRow).where(both)) == 1

    async def connections(self, profile: Profile) -> Sequence[ProfileCard]:
        """The profiles that it is connected with, by name."""
        ways = (("first_", "second_"), ("second_", "first_"))
        query = union(
            *(
                select(*CARD)
                .join(KnownConnectionRow, same(columns(KnownProfileRow), columns(KnownConnectionRow, theirs)))
                .where(names(KnownConnectionRow, profile, mine))
                for mine, theirs in ways
            )
        )
        async with self._engine.connect() as connection:
            return sorted((card_of(*row) for row in await connection.execute(query)), key=by_name)

    async def list_profiles(self, limit: int, cursor: str | None = None) -> Page[ProfileCard]:
        """All profiles, by type and id.

        Args:
            limit: how many at most; at least 1. Here and below.
            cursor: `next_cursor` of the page before; None: from the first on.

        Raises:
            ValueError: the cursor is none of ours.
        """
        key = columns(KnownProfileRow)
        query = select(*CARD).order_by(*key).limit(limit + 1)
        if cursor is not None:
            query = query.where(tuple_(*key) > tuple_(*map(literal, Profile.parse(cursor))))
        async with self._engine.connect() as connection:
            cards = [card_of(*row) for row in await connection.execute(query)]
        return _page(cards, limit, lambda card: card.profile.key)

    async def list_scopes(self, kind: ScopeKind, limit: int, cursor: str | None = None) -> Page[ScopeRecord]:
        """All scopes of a kind with their members, by id."""
        tables = OF_KIND[kind]
        scopes = tables.known_scopes
        query = select(scopes.id, scopes.keep_chat).order_by(scopes.id).limit(limit + 1)
        if cursor is not None:
            query = query.where(scopes.id > _number(cursor))
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
            members: dict[int, list[Profile]] = {row.id: [] for row in rows}
            of, who = tables.scope_id(tables.known_members), columns(tables.known_members)
            for scope_id, *profile in await connection.execute(select(of, *who).where(of.in_(members)).order_by(of, *who)):
                members[scope_id].append(Profile(*profile))
        records = [ScopeRecord(Scope(kind, row.id), tuple(sorted(members[row.id])), bool(row.keep_chat)) for row in rows]
        return _page(records, limit, lambda record: str(record.scope.scope_id))

    async def list_connections(self, limit: int, cursor: str | None = None) -> Page[tuple[Profile, Profile]]:
        """All connections, by the profiles."""
        row = KnownConnectionRow
        key = (*columns(row, "first_"), *columns(row, "second_"))
        query = select(*key).order_by(*key).limit(limit + 1)
        if cursor is not None:
            first, _, second = cursor.partition(".")
            query = query.where(tuple_(*key) > tuple_(*map(literal, (*Profile.parse(first), *Profile.parse(second)))))
        async with self._engine.connect() as connection:
            found = await connection.execute(query)
            pairs = [(Profile(*row[:2]), Profile(*row[2:])) for row in found]
        return _page(pairs, limit, lambda pair: f"{pair[0].key}.{pair[1].key}")


def _without(scope: Scope, profile: Profile) -> Delete:
    """Remove a member."""
    tables = OF_KIND[scope.kind]
    here = tables.scope_id(tables.members) == scope.scope_id
    return delete(tables.members).where(here, names(tables.members, profile))


async def _members(connection: AsyncConnection, scope: Scope) -> frozenset[Profile]:
    tables = OF_KIND[scope.kind]
    query = select(*columns(tables.known_members)).where(tables.scope_id(tables.known_members) == scope.scope_id)
    return frozenset(Profile(*row) for row in await connection.execute(query))


async def _require(connection: AsyncConnection, profiles: Collection[Profile]) -> None:
    """Make sure that the profiles exist, and go on to until the transaction ends (`batches.existing`).

    Raises:
        ValueError: some do not.
    """
    if missing := frozenset(profiles) - await batches.existing(connection, profiles):
        raise unknown(missing)


def _page(found: Sequence[_Entry], limit: int, name: Callable[[_Entry], str]) -> Page[_Entry]:
    """What was found, of which one more was asked for than the page has."""
    return Page(tuple(found[:limit]), name(found[limit - 1]) if len(found) > limit else None)


def _number(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= MAX_DIGITS and int(cursor) <= MAX_PROFILE_ID):
        raise ValueError("not a cursor that came with an earlier page")
    return int(cursor)
