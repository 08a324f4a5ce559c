"""Statements that SQLAlchemy has compiled, for all engines of a process together.

It keeps them per engine, as a server has one. Most tests have a database of their own, and would compile the same statements
again, for a quarter of the time that the tests of the HTTP API take.
"""

from collections.abc import Hashable
from typing import Final

from sqlalchemy import Connection, event
from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.sql.compiler import Compiled
from sqlalchemy.util import LRUCache

STATEMENTS: Final = 2000
"""Kept. All tests together have more, by tables that they make up themselves."""

_Key = tuple[Dialect, *tuple[Hashable, ...]]


def share_compiled_statements() -> None:
    """From here on, for every engine that connects."""
    event.listen(Engine, "engine_connect", _share)


def _share(connection: Connection) -> None:
    vars(connection.engine)["_compiled_cache"] = _SHARED


class _SharedStatements:
    """What an engine asks for, and puts, statements by its dialect: here by all that tells two dialects apart."""

    def __init__(self) -> None:
        self._compiled: LRUCache[Hashable, Compiled] = LRUCache(STATEMENTS)

    def get(self, key: _Key) -> Compiled | None:
        return self._compiled.get(_common(key))

    def __setitem__(self, key: _Key, compiled: Compiled) -> None:
        self._compiled[_common(key)] = compiled


def _common(key: _Key) -> Hashable:
    dialect, *statement = key
    # The layout of the relay's tables decides which names a statement has (`relay.db.naming`).
    layout = getattr(dialect.identifier_preparer, "layout", None)
    return type(dialect), dialect.server_version_info, dialect.default_schema_name, layout, *statement


_SHARED: Final = _SharedStatements()
