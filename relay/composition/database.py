"""The database: its engine, and what is read and written there."""

import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from relay.cluster.alone import Alone
from relay.cluster.incarnation_file import IncarnationFile
from relay.db import demo
from relay.db.call_log import SqlCallLog
from relay.db.directory import SqlDirectory
from relay.db.engine import answers, check, create_engine, file_of, folder_of
from relay.db.figures import DatabaseMetrics
from relay.db.incarnations import SqlIncarnations
from relay.db.naming import Layout
from relay.db.outage import WatchedEngine
from relay.db.push import SqlPushSubscriptions
from relay.db.schema import revision
from relay.db.schema.views import require_views
from relay.ids import ScopeKind
from relay.settings.database import DatabaseSettings, TableSettings
from relay.signaling.log.journal import FileJournal


@dataclass
class DatabasePlane:
    """What the other planes have of the database.

    Attributes:
        journal: what waits for the database outlives this process there; None: it does not.
        cluster: this server among those that share the database; it starts once the database is open.
    """

    settings: DatabaseSettings
    engine: WatchedEngine
    figures: DatabaseMetrics = field(init=False)
    directory: SqlDirectory = field(init=False)
    subscriptions: SqlPushSubscriptions = field(init=False)
    call_logs: Mapping[ScopeKind, SqlCallLog] = field(init=False)
    journal: FileJournal | None = field(init=False)
    cluster: Alone = field(init=False)

    def __post_init__(self) -> None:
        self.figures = DatabaseMetrics(self.engine)
        self.directory = SqlDirectory(self.engine)
        self.subscriptions = SqlPushSubscriptions(self.engine)
        journal = journal_path(self.settings, folder_of(self.engine))
        beside = None if journal is None else journal.with_name(f"{journal.name}.incarnation")
        self.journal = None if journal is None else FileJournal(journal)
        file = None if beside is None else IncarnationFile(beside)
        self.cluster = Alone(self.settings.node_name, SqlIncarnations(self.engine), file)
        self.call_logs = {kind: SqlCallLog(self.engine, self.cluster, kind) for kind in ScopeKind}

    async def answers(self) -> bool:
        """Whether the database can be asked now."""
        return await answers(self.engine)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """While the relay runs.

        Raises:
            ConfigurationError: it cannot be opened, or its schema is not this version's.
        """
        try:
            await check(self.engine)
            if self.settings.dev:
                if await revision.current(self.engine) != revision.head():
                    from relay.db.schema import migrate  # noqa: PLC0415 - Alembic is loaded for it

                    await migrate.upgrade(self.engine)
                await demo.load_demo(self.engine)
            else:
                await revision.require_current(self.engine)
            await require_views(self.engine)
            yield
        finally:
            await self.engine.dispose()


def database_plane(settings: DatabaseSettings) -> DatabasePlane:
    """The database, still closed.

    Raises:
        ConfigurationError: the URL makes no sense, or its driver is not installed.
    """
    return DatabasePlane(settings, open_database(settings))


def open_database(settings: DatabaseSettings) -> WatchedEngine:
    """An engine for the database that the settings name.

    Raises:
        ConfigurationError: the URL makes no sense, or its driver is not installed.
    """
    return create_engine(settings.database_url, layout=Layout(settings.only(TableSettings)))


async def look_at_database(settings: DatabaseSettings) -> str:
    """Open the database and close it again; what was found, in a line. None is made.

    Raises:
        ConfigurationError: it cannot be opened, or a newer relay made its schema.
    """
    database = open_database(settings)
    how = "serve does that in development mode" if settings.dev else "run: python -m relay migrate"
    try:
        file = file_of(database)
        if file is not None and not file.exists() and os.access(file.parent, os.W_OK):
            return f"The database {file} is still to be made; {how}."
        await check(database)
        if await revision.current(database) == revision.head():
            return "The database opens, and its schema is up to date."
        await revision.require_known(database)
        return f"The database opens. Its schema is still to be brought up to date; {how}."
    finally:
        await database.dispose()


def journal_path(settings: DatabaseSettings, folder: Path | None) -> Path | None:
    """Where what waits for the database outlives this process; None: it does not.

    Without a name in the settings, the file's name is the same whatever the host is called: a container that is made anew has
    another host name, and finds the file all the same.

    Args:
        folder: of the database; None: that is in memory.
    """
    if settings.journal == "off" or (folder is None and not settings.journal):
        return None
    name = re.sub(r"[^A-Za-z0-9._-]", "_", settings.node or "relay")
    return Path(settings.journal) if settings.journal else (folder or Path()) / f"calls-{name}.journal"
