"""How statements speak of profiles: by their two columns, and by what two of them have in common."""

from collections.abc import Collection, Iterable
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, exists, func, literal, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from relay.db.models import OF_KIND, Base, KnownBlockRow, KnownConnectionRow, KnownProfileRow, ProfileRow
from relay.db.naming import layout_of
from relay.ids import Profile
from relay.records.profiles import Privacy, ProfileCard

Named = tuple[Any, Any]
"""A profile's type and id: a `Profile`, or two columns or parameters of the statement."""

CARD: Final = (
    KnownProfileRow.profile_type,
    KnownProfileRow.profile_id,
    KnownProfileRow.name,
    KnownProfileRow.avatar,
    KnownProfileRow.user_id,
)


def columns(row: Any, prefix: str = "") -> Named:
    """The two columns of a table, or of an alias of it, that name a profile."""
    return getattr(row, f"{prefix}profile_type"), getattr(row, f"{prefix}profile_id")


def same(one: Named, other: Named) -> ColumnElement[bool]:
    """Both are the same profile."""
    return and_(one[0] == other[0], one[1] == other[1])


def names(row: Any, profile: Named, prefix: str = "") -> ColumnElement[bool]:
    """The row's two columns name that profile."""
    return same(columns(row, prefix), profile)


def values(profile: Profile, prefix: str = "") -> dict[str, Any]:
    """What to write into those two columns."""
    return {f"{prefix}profile_type": profile.profile_type, f"{prefix}profile_id": profile.profile_id}


def blocked(one: Named, other: Named) -> ColumnElement[bool]:
    """One of the two has blocked the other."""
    return _in_either_order(KnownBlockRow, "blocker_", "blocked_", one, other)


def connected(one: Named, other: Named) -> ColumnElement[bool]:
    """They are connections of each other."""
    return _in_either_order(KnownConnectionRow, "first_", "second_", one, other)


def acquainted(one: Named, other: Named) -> ColumnElement[bool]:
    """They share a conversation or a whiteboard session, or are connected: each may know the other's name."""
    shared = []
    for tables in OF_KIND.values():
        mine, theirs = aliased(tables.known_members), aliased(tables.known_members)
        query = select(tables.scope_id(mine)).join(theirs, tables.scope_id(theirs) == tables.scope_id(mine))
        shared.append(query.where(names(mine, one), names(theirs, other)).exists())
    return or_(*shared, connected(one, other))


def card_of(profile_type: str, profile_id: int, name: str | None, avatar: str | None, user_id: int | None) -> ProfileCard:
    """What a row of `CARD` says."""
    return ProfileCard(Profile(profile_type, profile_id), name or "", avatar or "", user_id)


def card_values(card: ProfileCard) -> dict[str, Any]:
    """What to write into `profiles`."""
    return {**values(card.profile), "name": card.name, "avatar": card.avatar, "user_id": card.user_id}


def privacy_of(value: str | None) -> Privacy:
    """What a row of `profile_settings` says. A view may say anything: an unknown value is read as the strictest."""
    if value is None:
        return Privacy.EVERYONE
    try:
        return Privacy(value)
    except ValueError:
        return Privacy.NOBODY


def by_name(card: ProfileCard) -> tuple[str, Profile]:
    """Sorting key. Here rather than in SQL, where the order of accented letters is the database's own."""
    return card.name.casefold(), card.profile


def unknown(profiles: Iterable[Profile]) -> ValueError:
    """The error that names profiles which do not exist."""
    return ValueError(f"no such profile: {', '.join(sorted(profile.key for profile in profiles))}")


def upsert(connection: AsyncConnection, table: type[Base]) -> Any:
    """An insert that can say what happens on a conflict; both databases have it, in the same words."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


async def locked(connection: AsyncConnection, profile: Profile) -> bool:
    """Whether the profile exists; if so, no other transaction deletes it, or locks it like this, until the transaction ends."""
    if "profiles" in layout_of(connection).views and not await mirror(connection, [profile]):
        return False
    # An update, though of nothing: SQLite has no other way to begin with a lock.
    touched = update(ProfileRow).where(names(ProfileRow, profile)).values(user_id=ProfileRow.user_id)
    return (await connection.execute(touched)).rowcount == 1


async def mirror(connection: AsyncConnection, profiles: Collection[Profile]) -> int:
    """Give profiles that a view shows a row of their own, which others can refer to.

    Returns:
        How many of them the view has.
    """
    there = tuple_(*columns(KnownProfileRow)).in_(sorted(profiles))
    # Its name is in the view, where it may change.
    nameless = select(*columns(KnownProfileRow), literal("")).where(there)
    inserting = upsert(connection, ProfileRow).from_select(["profile_type", "profile_id", "name"], nameless)
    await connection.execute(inserting.on_conflict_do_nothing())
    return (await connection.execute(select(func.count()).select_from(KnownProfileRow).where(there))).scalar_one()


async def insert_new(connection: AsyncConnection, table: type[Base], **row: object) -> bool:
    """Insert a row, unless one with the same key is there; safe against others that insert it at the same time.

    Returns:
        Whether it was inserted.
    """
    result = await connection.execute(upsert(connection, table).values(**row).on_conflict_do_nothing())
    return bool(result.rowcount == 1)


def _in_either_order(table: type[Base], first: str, second: str, one: Named, other: Named) -> ColumnElement[bool]:
    row = aliased(table)
    return or_(
        *(
            exists().where(names(row, before, first), names(row, after, second)).correlate_except(row)
            for before, after in ((one, other), (other, one))
        )
    )
