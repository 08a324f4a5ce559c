"""The database, the tables in it that are the relay's, and the journal of what waits while it is away."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from relay.settings.base import PREFIX, Development, Group, parsing_problem
from relay.settings.database_url import parse, shown

PlatformView = Literal["profiles", "conversations", "whiteboard_sessions", "connections", "settings", "blocks"]
"""A part of the directory that the platform may keep."""


@dataclass(frozen=True, kw_only=True)
class TableSettings(Group):
    database_schema: Annotated[str, Meta(pattern="^([a-z_][a-z0-9_]{0,62})?$")] = ""
    """PostgreSQL schema of the relay's own tables, all but those of calls; empty: the one where new tables go."""
    database_prefix: Annotated[str, Meta(pattern="^([a-z][a-z0-9_]{0,15})?$")] = ""
    """What the names of the relay's own tables begin with, all but those of calls."""
    database_views: tuple[PlatformView, ...] = ()
    """What is read from views of the platform instead of the relay's own tables, comma-separated."""


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings(TableSettings, Development):
    database_url: Annotated[str, Meta(extra={"shown": shown})] = "sqlite+aiosqlite:///relay.db"
    """SQLAlchemy URL with an async driver: `sqlite+aiosqlite:///FILE` or `postgresql+asyncpg://USER:PASSWORD@HOST/NAME`."""
    journal: str = ""
    """File of what waits for a database that is away; empty: `calls-NODE.journal` beside the SQLite file, or where the relay
    runs; `off`: none."""
    node: str = ""
    """Name of this server in `call_logs`; empty: the name of its host. Servers that share a database have different ones."""

    @property
    def node_name(self) -> str:
        """The name of this server."""
        return self.node or os.uname().nodename

    def _problems(self) -> Iterator[str]:
        yield from parsing_problem("database_url", lambda: parse(self.database_url))
        if self.database_schema and self.database_url.startswith("sqlite"):
            yield f"{PREFIX}DATABASE_SCHEMA: SQLite has no schemas; set {PREFIX}DATABASE_PREFIX instead"
        if self.database_schema.startswith("pg_"):
            yield f"{PREFIX}DATABASE_SCHEMA: PostgreSQL keeps names that begin with pg_ for itself"
