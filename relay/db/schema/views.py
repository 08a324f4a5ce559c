"""Checks at start that the views which the platform defines exist and have the columns that the directory reads."""

from sqlalchemy import false, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.directory import SqlDirectory
from relay.db.models import OF_KIND
from relay.db.models.known import KNOWN, Known
from relay.db.naming import VIEW, VIEWS, layout_of
from relay.db.outage import reason_of
from relay.errors import ConfigurationError
from relay.ids import Profile, Scope

_CALLER, _CALLEE = Profile("student", 1), Profile("tutor", 1)


async def require_views(engine: AsyncEngine) -> None:
    """Select no rows from each view of the layout, then run the queries of an invitation.

    Raises:
        ConfigurationError: a view is missing, lacks a column, or has a column of the wrong type.
    """
    views = layout_of(engine).views
    for table in (table for part in sorted(views) for table in VIEWS[part]):
        known = Known.metadata.tables[KNOWN + table]
        columns = ", ".join(known.columns.keys())
        try:
            async with engine.connect() as connection:
                await connection.execute(select(known).where(false()))
        except DBAPIError as error:
            raise ConfigurationError(f"{VIEW}{table}: {reason_of(error)}; its columns are to be {columns}") from error
    directory = SqlDirectory(engine)
    try:
        await directory.visible_profiles(_CALLER)
        for kind, tables in OF_KIND.items():
            await directory.eligibility(Scope(kind, 1), _CALLER, _CALLEE)
            async with engine.connect() as connection:
                keeping = select(func.count()).where(tables.known_scopes.id == 1, tables.known_scopes.keep_chat)
                await connection.execute(keeping)
    except DBAPIError as error:
        raise ConfigurationError(f"a column of the views has a type that does not fit: {reason_of(error)}") from error
