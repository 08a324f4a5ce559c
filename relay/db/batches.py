"""Many changes of one kind in one transaction, with a few statements for all of them: for the platform's bulk synchronization.

An item that fails is reported, and does not fail the others.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Final, TypeVar

from sqlalchemy import bindparam, delete, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.db.models import OF_KIND, ConnectionRow, ProfileRow
from relay.db.naming import layout_of
from relay.db.profiles import columns, mirror, unknown, upsert, values
from relay.db.scopes import advance_sequence
from relay.ids import Profile, ScopeKind
from relay.records.calls import ScopeRecord

CHUNK: Final = 400
"""Profiles or scopes per statement. SQLite before 3.32 takes 999 parameters."""

_One = TypeVar("_One")


async def existing(connection: AsyncConnection, profiles: Collection[Profile]) -> set[Profile]:
    """The profiles that exist, locked until the transaction ends.

    It has changed something already: SQLite then admits no other writer.
    """
    key, found = columns(ProfileRow), set[Profile]()
    # Sorted: two transactions that lock the same rows in different orders would deadlock.
    for chunk in _chunks(sorted(profiles)):
        if "profiles" in layout_of(connection).views:
            await mirror(connection, chunk)
        query = select(*key).where(tuple_(*key).in_(chunk)).with_for_update(read=True, key_share=True)
        found |= {Profile(*row) for row in await connection.execute(query)}
    return found


async def put_scopes(connection: AsyncConnection, kind: ScopeKind, wanted: Sequence[ScopeRecord]) -> list[str | None]:
    """Add scopes of one kind, or bring them up to date. If one is there twice, the last counts.

    Returns:
        For each, what is wrong with it; None if it is done.
    """
    scopes = OF_KIND[kind].scopes
    # An update, though of nothing: see `relay.db.profiles.locked`.
    touched = update(scopes).where(scopes.id == wanted[0].scope.scope_id)
    await connection.execute(touched.values(keep_chat=scopes.keep_chat))
    known = await existing(connection, {member for one in wanted for member in one.members})
    faults = [str(unknown(missing)) if (missing := {*one.members} - known) else None for one in wanted]
    good = {one.scope.scope_id: one for one, fault in zip(wanted, faults, strict=True) if fault is None}
    if good:
        insert = upsert(connection, scopes)
        statement = insert.on_conflict_do_update(index_elements=["id"], set_={"keep_chat": insert.excluded.keep_chat})
        await connection.execute(statement, [{"id": one, "keep_chat": good[one].keep_chat} for one in sorted(good)])
        await advance_sequence(connection, kind)
        await _set_members(connection, kind, {scope_id: {*one.members} for scope_id, one in good.items()})
    return faults


async def connect_all(connection: AsyncConnection, pairs: Sequence[tuple[Profile, Profile]]) -> list[str | None]:
    """Make pairs connections of each other.

    Returns:
        For each, what is wrong with it; None if it is done.
    """
    touched = update(ProfileRow).where(ProfileRow.profile_id == 0)  # matches no row: it only takes SQLite's write lock
    await connection.execute(touched.values(user_id=ProfileRow.user_id))
    known = await existing(connection, {profile for pair in pairs for profile in pair})
    faults: list[str | None] = []
    good = set[tuple[Profile, Profile]]()
    for one, other in pairs:
        first, second = sorted((one, other))
        if first == second:
            faults.append(f"{one.key} cannot be connected with itself")
        elif missing := {first, second} - known:
            faults.append(str(unknown(missing)))
        else:
            faults.append(None)
            good.add((first, second))
    if good:
        rows = [{**values(first, "first_"), **values(second, "second_")} for first, second in sorted(good)]
        await connection.execute(upsert(connection, ConnectionRow).on_conflict_do_nothing(), rows)
    return faults


async def _set_members(connection: AsyncConnection, kind: ScopeKind, wanted: dict[int, set[Profile]]) -> None:
    tables = OF_KIND[kind]
    row, scope_id = tables.members, tables.scope_id(tables.members)
    present: dict[int, set[Profile]] = {one: set() for one in wanted}
    for chunk in _chunks(sorted(wanted)):
        for found, *profile in await connection.execute(select(scope_id, *columns(row)).where(scope_id.in_(chunk))):
            present[found].add(Profile(*profile))
    gone = [
        {"of": one, "type": who.profile_type, "number": who.profile_id} for one in present for who in present[one] - wanted[one]
    ]
    if gone:
        here = (scope_id == bindparam("of"), row.profile_type == bindparam("type"), row.profile_id == bindparam("number"))
        await connection.execute(delete(row).where(*here), gone)
    new = [{tables.key: one, **values(who)} for one in sorted(wanted) for who in sorted(wanted[one] - present[one])]
    if new:
        await connection.execute(upsert(connection, row).on_conflict_do_nothing(), new)


def _chunks(items: Sequence[_One]) -> Iterator[Sequence[_One]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]
