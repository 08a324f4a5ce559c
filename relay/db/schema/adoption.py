"""Taking over the platform's own tables of calls, where the backend that the relay replaces left them.

Only columns and indexes are added. What was added is written down in a ledger, so that going down drops that and nothing else:
the platform may have had columns and indexes of the same names before.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Connection

from relay.db.models import OF_KIND
from relay.db.models.calls import ANSWERED, ENDED, INITIATED, MISSED
from relay.db.naming import CALL_TABLES, LEDGER, OWN_TABLES, VERSION_TABLE, Layout, layout_of, sql_name
from relay.db.schema.columns import FoundColumn, columns_of, fits, words
from relay.errors import ConfigurationError

CONTRACT: Final = frozenset(
    {
        *("id", "conversation_id", "session_id"),
        *("caller_profile_id", "caller_profile_type", "caller_user_id", "call_type", "status"),
        *("started_at", "answered_at", "ended_at", "duration_seconds", "participants", "created_at"),
    }
)
"""Columns that other software reads. Each table has one of the two in the first line that name a scope."""

ADDED: Final = frozenset({"call_id", "end_reason", "node", "heartbeat_at"})
"""Columns that no other backend has all of: these tables were adopted before, by a relay with other settings."""

REQUIRED_NULL: Final = ("answered_at", "ended_at", "duration_seconds", "participants")
"""Columns of the contract that a call that has just begun, or whose parties were erased, has no value for."""

_ABANDONED: Final = "expired"
"""`end_reason` of a call that its backend left open."""

_COLUMN, _INDEX, _TABLE = "column", "index", "table"

_ledger: Final = sa.Table(
    LEDGER,
    sa.MetaData(),
    sa.Column("table_name", sa.String(63), primary_key=True),
    sa.Column("kind", sa.String(10), primary_key=True),
    sa.Column("name", sa.String(63), primary_key=True),
)
"""A row of kind `table` for each table that was adopted, and one for each column and index that was added to it."""


class Ledger:
    """What the relay added to tables of the platform."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._entries: set[tuple[str, str, str]] = set()
        if self.exists:
            self._entries = {(one.table_name, one.kind, one.name) for one in connection.execute(sa.select(_ledger))}

    @property
    def exists(self) -> bool:
        layout = layout_of(self._connection)
        return sa.inspect(self._connection).has_table(layout.prefix + LEDGER, schema=layout.schema or None)

    def adopted(self, table: str) -> bool:
        return (table, _TABLE, table) in self._entries

    def added(self, table: str, kind: str) -> int:
        """How many columns or indexes the table got."""
        return sum(entry[:2] == (table, kind) for entry in self._entries)

    def has(self, table: str, kind: str, name: str) -> bool:
        return (table, kind, name) in self._entries

    def add(self, table: str, kind: str, name: str) -> None:
        self._entries.add((table, kind, name))
        self._connection.execute(sa.insert(_ledger).values(table_name=table, kind=kind, name=name))

    def remove(self, table: str, kind: str, name: str) -> None:
        self._entries.remove((table, kind, name))
        self._connection.execute(
            sa.delete(_ledger).where(_ledger.c.table_name == table, _ledger.c.kind == kind, _ledger.c.name == name)
        )

    def open(self, tables: Collection[str]) -> None:
        """Begin: these tables are the platform's."""
        _ledger.create(self._connection)
        for table in tables:
            self.add(table, _TABLE, table)

    def close(self) -> None:
        """Forget all, at the end of the way down."""
        if self.exists:
            _ledger.drop(self._connection)


class CallTable:
    """One of the two tables of calls, as migrations change it. What the platform had there already is left alone, up and down."""

    def __init__(self, name: str) -> None:
        self.name = name
        config = op.get_context().config
        assert config is not None, "relay.db.schema.migrate runs the migrations"
        self._ledger: Ledger = config.attributes["ledger"]

    @property
    def adopted(self) -> bool:
        return self._ledger.adopted(self.name)

    def owns_column(self, name: str) -> bool:
        """The column is the relay's."""
        return not self.adopted or self._ledger.has(self.name, _COLUMN, name)

    def add_column(self, column: sa.Column[Any]) -> None:
        if not self.adopted:
            op.add_column(self.name, column)
        elif column.name not in {one["name"] for one in self._inspect().get_columns(self.name)}:
            op.add_column(self.name, column)
            self._ledger.add(self.name, _COLUMN, column.name)

    def drop_column(self, name: str) -> None:
        if not self.owns_column(name):
            return
        op.drop_column(self.name, name)
        if self.adopted:
            self._ledger.remove(self.name, _COLUMN, name)

    def create_index(self, name: str, columns: Sequence[str], *, where: str | None = None, unique: bool = False) -> None:
        if self.adopted and name in {one["name"] for one in self._inspect().get_indexes(self.name)}:
            return
        condition = None if where is None else sa.text(where)
        op.create_index(name, self.name, list(columns), unique=unique, sqlite_where=condition, postgresql_where=condition)
        if self.adopted:
            self._ledger.add(self.name, _INDEX, name)

    def drop_index(self, name: str) -> None:
        if self.adopted and not self._ledger.has(self.name, _INDEX, name):
            return
        op.drop_index(name, self.name)
        if self.adopted:
            self._ledger.remove(self.name, _INDEX, name)

    @staticmethod
    def _inspect() -> sa.Inspector:
        return sa.inspect(op.get_bind())


@dataclass(frozen=True, slots=True)
class Present:
    """What a database without a schema of the relay has of the same names."""

    calls: tuple[str, ...]
    own: tuple[str, ...]
    """As the database calls them."""
    plain_relay: bool
    """A relay is there under other names than the layout's."""


def look(connection: Connection) -> Present:
    """Find what would collide."""
    layout = layout_of(connection)
    inspector = sa.inspect(connection)
    here = {*inspector.get_table_names(), *inspector.get_view_names()}
    there = here
    if layout.schema:
        there = {*inspector.get_table_names(schema=layout.schema), *inspector.get_view_names(schema=layout.schema)}
    return Present(
        calls=tuple(name for name in CALL_TABLES if name in here),
        own=tuple(sorted(layout.prefix + name for name in OWN_TABLES if layout.prefix + name in there)),
        plain_relay=layout != Layout() and VERSION_TABLE in here,
    )


def require_free(connection: Connection, present: Present, *, adopt: bool) -> None:
    """Make sure that the migrations can create what they create.

    Raises:
        ConfigurationError: something is there already.
    """
    if present.plain_relay:
        raise ConfigurationError(
            "this database has the relay's tables already, in no schema of their own and with no prefix; "
            "leave RELAY_DATABASE_SCHEMA and RELAY_DATABASE_PREFIX out"
        )
    by_schema = "RELAY_DATABASE_SCHEMA or " if connection.dialect.name == "postgresql" else ""
    elsewhere = f"set {by_schema}RELAY_DATABASE_PREFIX to give the relay's own tables other names"
    if present.calls and not adopt:
        also = f"; {', '.join(present.own)} would collide as well: {elsewhere}" if present.own else ""
        raise ConfigurationError(
            f"{_exist(present.calls)} in this database; to take over what is there, run: python -m relay migrate --adopt{also}"
        )
    if present.own:
        raise ConfigurationError(f"{_exist(present.own)} in this database: {elsewhere}")


def require_contract(connection: Connection, tables: Collection[str]) -> None:
    """Make sure that the relay can use the tables as they are.

    Raises:
        ConfigurationError: it cannot; a line for each column that is missing, or of another type.
    """
    if any(columns_of(connection, table).keys() >= ADDED for table in tables):
        raise ConfigurationError(
            f"{_exist(tuple(tables))} in this database and has the relay's columns: "
            "set RELAY_DATABASE_SCHEMA and RELAY_DATABASE_PREFIX as they were when it was adopted"
        )
    problems = [problem for table in tables for problem in _problems(connection, table)]
    if problems:
        raise ConfigurationError("\n".join([*problems, "nothing has been changed"]))


def close_unfinished(connection: Connection) -> dict[str, int]:
    """Close the calls that another backend left open, as those of a relay that died are closed: at their last sign of life.

    Returns:
        How many in each table.
    """
    closed = {}
    for tables in OF_KIND.values():
        row: Any = tables.calls.__table__.c
        foreign = row.call_id.is_(None)
        missing = (
            sa.update(tables.calls)
            .where(foreign, row.status == INITIATED)
            .values(
                status=MISSED,
                ended_at=row.started_at,
                duration_seconds=None,
                end_reason=_ABANDONED,
                callee_seen_at=row.started_at,
            )
        )
        ending = (
            sa.update(tables.calls)
            .where(foreign, row.status == ANSWERED)
            .values(
                status=ENDED,
                ended_at=sa.func.coalesce(row.answered_at, row.started_at),
                duration_seconds=0,
                end_reason=_ABANDONED,
            )
        )
        closed[tables.calls.__tablename__] = sum(connection.execute(one).rowcount for one in (missing, ending))
    return closed


def report(connection: Connection, ledger: Ledger, closed: dict[str, int] | None) -> list[str]:
    """A line per table: what there is of the platform's, and what was added to it."""
    lines = []
    for tables in OF_KIND.values():
        name, row = tables.calls.__tablename__, tables.calls.__table__.c
        rows = connection.execute(sa.select(sa.func.count()).select_from(tables.calls)).scalar_one()
        if ledger.adopted(name):
            columns, indexes = ledger.added(name, _COLUMN), ledger.added(name, _INDEX)
            line = f"{name}: adopted, {columns} columns and {indexes} indexes added, all {rows} rows kept"
        else:
            line = f"{name}: the relay's own, {rows} rows"
        left = sa.select(sa.func.count()).where(row.call_id.is_(None), row.status.in_([INITIATED, ANSWERED]))
        if closed is not None:
            line += f", {closed[name]} unfinished ones closed"
        elif unfinished := connection.execute(left).scalar_one():
            line += f", {unfinished} of them unfinished (--close-unfinished closes them)"
        lines.append(line)
    return lines


def _problems(connection: Connection, table: str) -> list[str]:
    [tables] = [one for one in OF_KIND.values() if one.calls.__tablename__ == table]
    wanted = tables.calls.__table__.columns
    found = columns_of(connection, table)
    if not found:
        return [f"{table} is a view; the relay writes into it, so it must be a table"]
    problems = []
    for column in wanted:
        there = found.get(column.name)
        expected = words(column.type, connection.dialect)
        if there is None:
            if column.name in CONTRACT:
                problems.append(f"{table}.{column.name}: missing, expected {expected}")
        elif not fits(column.type, there, connection.dialect):
            problems.append(f"{table}.{column.name}: found {there.type or 'no type'}, expected {expected}")
        else:
            problems += _unusable(table, there)
    # Rows of the relay have no value for columns that it does not know.
    problems += [
        f"{table}.{name}: needs a default or must allow NULL, as the relay writes rows without it"
        for name, one in found.items()
        if name not in wanted and one.required
    ]
    if not problems and connection.dialect.name == "sqlite":
        problems += _no_json(connection, table)
    return problems


def _unusable(table: str, column: FoundColumn) -> list[str]:
    if column.name == "id" and not column.numbered:
        return [f"{table}.id: has no default that numbers new rows"]
    if column.name in REQUIRED_NULL and column.not_null:
        return [f"{table}.{column.name}: must allow NULL"]
    return []


def _no_json(connection: Connection, table: str) -> list[str]:
    """SQLite takes any text for JSON."""
    name = sql_name(connection, table)
    query = f"SELECT count(*) FROM {name} WHERE participants IS NOT NULL AND NOT json_valid(participants)"  # noqa: S608 - the name of a table of ours
    wrong = connection.exec_driver_sql(query).scalar_one()
    return [f"{table}.participants: {wrong} rows have text that is not JSON"] if wrong else []


def _exist(names: Sequence[str]) -> str:
    return f"{', '.join(names)} already exist{'s' if len(names) == 1 else ''}"
