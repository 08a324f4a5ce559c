"""The constraint that a row violates, the same for both databases."""

import sqlite3
from enum import Enum, auto
from typing import Final

from sqlalchemy.exc import IntegrityError


class Constraint(Enum):
    NOT_NULL = auto()
    FOREIGN_KEY = auto()
    UNIQUE = auto()
    OTHER = auto()


_SQLSTATES: Final = {"23502": Constraint.NOT_NULL, "23503": Constraint.FOREIGN_KEY, "23505": Constraint.UNIQUE}
"""PostgreSQL, appendix A, class 23."""

_SQLITE_CODES: Final = {
    sqlite3.SQLITE_CONSTRAINT_NOTNULL: Constraint.NOT_NULL,
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: Constraint.FOREIGN_KEY,
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: Constraint.UNIQUE,
}


def violated(error: IntegrityError) -> Constraint:
    """The violated constraint."""
    state, code = getattr(error.orig, "sqlstate", ""), getattr(error.orig, "sqlite_errorcode", 0)
    return _SQLSTATES.get(state) or _SQLITE_CODES.get(code) or Constraint.OTHER
