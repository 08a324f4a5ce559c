"""Conversations and whiteboard sessions as rows."""

from collections.abc import Collection

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.db.models import OF_KIND
from relay.db.naming import sql_name
from relay.db.profiles import values
from relay.ids import Profile, Scope, ScopeKind


async def insert_members(connection: AsyncConnection, scope: Scope, members: Collection[Profile]) -> None:
    """Insert the missing members. The scope and the profiles exist."""
    tables = OF_KIND[scope.kind]
    if members:
        # Sorted: two transactions that insert the same rows in different orders would deadlock.
        rows = [{tables.key: scope.scope_id, **values(profile)} for profile in sorted(members)]
        await connection.execute(insert(tables.members), rows)


async def advance_sequence(connection: AsyncConnection, kind: ScopeKind) -> None:
    """After an explicit id: it does not advance PostgreSQL's sequence, which would run into it one day."""
    if connection.dialect.name == "postgresql":
        table = sql_name(connection, OF_KIND[kind].scopes.__tablename__)
        highest = f"GREATEST(last_value, (SELECT max(id) FROM {table}))"  # noqa: S608 - the name of a table of ours
        await connection.execute(text(f"SELECT setval('{table}_id_seq', {highest}) FROM {table}_id_seq"))  # noqa: S608
