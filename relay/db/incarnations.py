"""The number that each start of a server gets, by which the rows of its calls are its own (`relay.cluster.api.NodeRef`)."""

from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.models import IncarnationRow
from relay.db.profiles import upsert


class SqlIncarnations:
    """`relay.cluster.alone.Incarnations`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def next_incarnation(self) -> int:
        """Count on by one: in one statement, so that two servers that start at once get two numbers."""
        row = IncarnationRow
        async with self._engine.begin() as connection:
            first = upsert(connection, row).values(id=1, latest=1)
            counting = first.on_conflict_do_update(index_elements=["id"], set_={"latest": row.latest + 1})
            return int((await connection.execute(counting.returning(row.latest))).scalar_one())
