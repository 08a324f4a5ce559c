"""Where the relay's own tables are: in a schema of their own, with a prefix, or under their plain names.

The two tables of calls keep their names in every layout, because other software reads them. All statements, those of the
migrations included, use plain names; they become the names of the layout when SQLAlchemy compiles the statement. Nothing is set
per session, so that pgbouncer in transaction mode is no obstacle.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, Dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.compiler import IdentifierPreparer

from relay.db.models import OF_KIND, Base
from relay.db.models.known import KNOWN
from relay.errors import ReadOnly
from relay.ids import ScopeKind
from relay.settings.database import PlatformView, TableSettings

CALL_TABLES: Final = tuple(tables.calls.__tablename__ for tables in OF_KIND.values())
"""`call_logs` and `whiteboard_call_history`."""

VERSION_TABLE: Final = "relay_version"
"""Not Alembic's default: the relay may share a database with software that uses Alembic too."""

LEDGER: Final = "relay_adopted"
"""Name of the table that says what the relay added to tables of the platform."""

OWN_TABLES: Final = (*(name for name in Base.metadata.tables if name not in CALL_TABLES), LEDGER)

VIEWS: Final[Mapping[PlatformView, tuple[str, ...]]] = {
    "profiles": ("profiles",),
    "conversations": ("conversations", "conversation_members"),
    "whiteboard_sessions": ("whiteboard_sessions", "whiteboard_session_members"),
    "connections": ("profile_connections",),
    "settings": ("profile_settings",),
    "blocks": ("blocks",),
}
"""Parts of the directory that may come from views of the platform → the tables that these stand for."""

VIEW: Final = "relay_view_"
"""What the names of views begin with."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of the relay's own tables in the database."""

    settings: TableSettings = TableSettings()  # noqa: RUF009 - it is frozen
    _names: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        where = f'"{self.schema}".' if self.schema else ""
        names = {name: f"{where}{self.prefix}{name}" for name in OWN_TABLES}
        viewed = {table: VIEW + table for part in self.views for table in VIEWS[part]}
        names |= {KNOWN + table: viewed.get(table, names[table]) for tables in VIEWS.values() for table in tables}
        object.__setattr__(self, "_names", names)

    @property
    def schema(self) -> str:
        """PostgreSQL's schema; empty: the one that the role's search path begins with. A lower-case SQL identifier."""
        return self.settings.database_schema

    @property
    def prefix(self) -> str:
        """What each name begins with. Lower-case letters, digits and underscores."""
        return self.settings.database_prefix

    @property
    def views(self) -> tuple[PlatformView, ...]:
        """Keys of `VIEWS`: what is read from views of the platform instead of the relay's own tables."""
        return self.settings.database_views

    @property
    def version_table(self) -> str:
        return self.prefix + VERSION_TABLE

    def sql_name(self, identifier: str) -> str | None:
        """What statements call an own table, or a constraint or index of one; None: the identifier stays as it is."""
        name = self._names.get(identifier)
        if name is None and self.prefix and _OF_OWN_TABLE.match(identifier):
            # Names of indexes, and of what PostgreSQL makes an index for, are unique in a schema.
            return self.prefix + identifier
        return name


_OF_OWN_TABLE: Final = re.compile(rf"(?:pk|uq|ix|fk|ck)_(?:{'|'.join(OWN_TABLES)})(?:_|$)")

PLAIN: Final = Layout()


def lay_out(engine: AsyncEngine, layout: Layout) -> None:
    """Let all statements of the engine use the names of the layout. To be called before the first statement."""
    dialect = engine.sync_engine.dialect
    named = type("Named", (_Named, type(dialect.identifier_preparer)), {})
    preparer = named(dialect)
    preparer.layout = layout
    dialect.identifier_preparer = preparer


def layout_of(bind: AsyncEngine | AsyncConnection | Connection) -> Layout:
    """The layout that the engine was given."""
    return _layout(bind.dialect)


def require_own(bind: AsyncEngine, part: str) -> None:
    """Make sure that a part of the directory is the relay's own, before anything in it is changed.

    Raises:
        ReadOnly: the platform's views tell it.
    """
    if part in layout_of(bind).views:
        raise ReadOnly(f"{part.replace('_', ' ')} come from views of the platform and are changed there")


def part_of(kind: ScopeKind) -> str:
    """The part of the directory that such scopes belong to."""
    return OF_KIND[kind].scopes.__tablename__


def sql_name(bind: AsyncEngine | AsyncConnection | Connection, table: str) -> str:
    """The name of a table for a statement that is written as text."""
    return bind.dialect.identifier_preparer.quote(table)


def _layout(dialect: Dialect) -> Layout:
    return getattr(dialect.identifier_preparer, "layout", PLAIN)


class _Named(IdentifierPreparer):
    """Beside the preparer of a dialect, which quotes all other identifiers."""

    layout: Layout = PLAIN

    def quote(self, ident: str) -> str:
        return self.layout.sql_name(ident) or super().quote(ident)
