"""The statements that every call runs, built once: to build one takes longer than to run it."""

from typing import Any, Final

from sqlalchemy import Insert, Select, String, Update, and_, bindparam, insert, not_, or_, select, text, update

from relay.db.models import KindTables
from relay.db.models.base import UtcDateTime
from relay.db.models.calls import ANSWERED, INITIATED, IS_OPEN

EXPIRED = "expired"
"""`end_reason` of a call whose server died."""

OPEN: Final = text(IS_OPEN)

TAKEN_FOR_DEAD: Final = text(f"end_reason = '{EXPIRED}'")
"""Another server took the call for abandoned: the server that has it knows better."""

NOT_ENDED: Final = {"ended_at": None, "duration_seconds": None, "end_reason": None}


class CallStatements:
    """Of one table of calls.

    Attributes:
        columns: names of the table's columns.
        opened: inserts a row with the columns that it is given, and the scope `the_scope`, null if there is no such scope.
        opened_nowhere: the same without a scope.
        answered: `the_call` of `the_owner` → answered at `at`, if it waits for an answer, or was answered just then.
        updated: `the_call` of `the_owner` is of `new_type` from now on.
        seen: how far `the_call` has come.
        open: all calls that are open, and what their last sign of life is made of.
        unheard: the same without those of `the_owner` whose heartbeat is one of `beats`.
        ended: ends `the_call` of `the_owner` with the columns that it is given, if its status still is `the_status`.
    """

    def __init__(self, tables: KindTables) -> None:
        # The tables, as the mapped classes would have each execution look for what is to be refreshed in sessions.
        row: Any = tables.calls
        table, scopes = row.__table__, tables.known_scopes
        call, at = bindparam("the_call", type_=String), bindparam("at", type_=UtcDateTime)
        mine = and_(row.call_id == call, row.owner_epoch == bindparam("the_owner"))
        scope = select(scopes.id).where(scopes.id == bindparam("the_scope")).scalar_subquery()
        waiting = or_(row.status == INITIATED, and_(TAKEN_FOR_DEAD, row.answered_at.is_(None)))
        # An earlier attempt may have been made although its answer did not come.
        made = and_(row.status == ANSWERED, row.answered_at == at)

        self.columns = frozenset(table.columns.keys())
        self.opened: Insert = insert(table).values({tables.key: scope})
        self.opened_nowhere: Insert = insert(table).values({tables.key: None})
        self.answered: Update = update(table).where(mine, or_(waiting, made)).values(status=ANSWERED, answered_at=at, **NOT_ENDED)
        self.updated: Update = update(table).where(mine, or_(OPEN, TAKEN_FOR_DEAD)).values(call_type=bindparam("new_type"))
        self.seen: Select[Any] = select(row.status, row.answered_at, row.ended_at, row.end_reason, row.owner_epoch).where(
            row.call_id == call
        )
        columns: Any = (row.call_id, row.status, row.started_at, row.answered_at, row.heartbeat_at, row.owner_epoch)
        # Rows that no relay wrote have no node. (Asked for their call_id, SQLite would prefer the index of all calls.)
        self.open: Select[Any] = select(*columns).where(OPEN, row.node.is_not(None))
        beats = bindparam("beats", type_=UtcDateTime, expanding=True)
        beating = and_(row.owner_epoch == bindparam("the_owner"), row.heartbeat_at.in_(beats))
        self.unheard = self.open.where(or_(not_(beating), row.heartbeat_at.is_(None)))
        self.ended: Update = update(table).where(mine, row.status == bindparam("the_status"), or_(OPEN, TAKEN_FOR_DEAD))
