"""The columns that a table has, and whether they can hold what a column of the relay holds."""

import re
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection, Dialect
from sqlalchemy.types import TypeEngine


@dataclass(frozen=True, slots=True)
class FoundColumn:
    """A column as the database describes it."""

    name: str
    type: str
    """As the database writes it, with lengths: `character varying(50)`, or what SQLite was told, such as `VARCHAR(50)`."""
    not_null: bool
    has_default: bool
    numbered: bool
    """New rows get a number of their own."""

    @property
    def required(self) -> bool:
        """A row cannot be inserted without a value."""
        return self.not_null and not self.has_default and not self.numbered


_ON_POSTGRESQL: Final = sa.text("""
    SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull, atthasdef OR attidentity <> '' AS has_default
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE attrelid = to_regclass(:name) AND relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped
""")

_ON_SQLITE: Final = sa.text("""
    SELECT column.name, column.type, column."notnull", column.dflt_value, column.pk, column.hidden
    FROM sqlite_schema AS of, pragma_table_xinfo(of.name) AS column
    WHERE of.type = 'table' AND of.name = :name
""")


def columns_of(connection: Connection, table: str) -> dict[str, FoundColumn]:
    """The columns of a table by name; none if it is not a table."""
    if connection.dialect.name == "postgresql":
        rows = connection.execute(_ON_POSTGRESQL, {"name": table})
        found = [FoundColumn(one.attname, one.type, one.attnotnull, one.has_default, one.has_default) for one in rows]
    else:
        found = []
        for one in connection.execute(_ON_SQLITE, {"name": table}):
            # Only a column of exactly this type is an alias of the row's number.
            numbered = bool(one.pk) and one.type.upper() == "INTEGER"
            default = one.dflt_value is not None or bool(one.hidden)
            found.append(FoundColumn(one.name, one.type, bool(one.notnull), default, numbered))
    return {one.name: one for one in found}


def fits(wanted: TypeEngine[Any], found: FoundColumn, dialect: Dialect) -> bool:
    """Every value of the type can be kept in the column, and is read back as it was."""
    expected, text = words(wanted, dialect), found.type.lower()
    family, _, length = expected.rstrip(")").partition("(")
    if dialect.name == "sqlite":
        return any(word in text for word in _SQLITE_WORDS[family])
    match = re.fullmatch(_POSTGRESQL_NAMES[family], text)
    if match is None:
        return False
    room = match.groupdict().get("room")
    return room is None or (length != "" and int(room) >= int(length))


def words(wanted: TypeEngine[Any], dialect: Dialect) -> str:
    """The type as a database administrator writes it."""
    return wanted.compile(dialect).lower()


_SQLITE_WORDS: Final = {
    # Types are only words there: https://www.sqlite.org/datatype3.html, section 3.1
    "integer": ("int",),
    "varchar": ("char", "text", "clob"),
    "text": ("char", "text", "clob"),
    "datetime": ("datetime", "timestamp"),
    "json": ("json", "text"),
    "boolean": ("bool", "int"),
    "double": ("doub", "real", "floa"),
}

_POSTGRESQL_NAMES: Final = {
    "integer": r"integer",
    "varchar": r"text|character varying(?:\((?P<room>\d+)\))?",
    "text": r"text|character varying(?:\((?P<room>\d+)\))?",
    "timestamp without time zone": r"timestamp(?:\(\d\))? without time zone",
    "jsonb": r"jsonb",
    "boolean": r"boolean",
    "double precision": r"double precision",
}
