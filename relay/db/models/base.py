"""What every table is made with: instants in UTC, text that every database takes, and names for constraints."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, MetaData, Text, TypeDecorator
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: timezone-aware UTC in Python, `timestamp without time zone` in UTC in the database."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        assert value.tzinfo is not None, "a naive datetime does not say which instant it means"
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class FreeText(TypeDecorator[str]):
    """Text that people write. PostgreSQL has no place for U+0000, which JSON may carry: U+FFFD stands for it everywhere."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else value.replace("\0", "\ufffd")


class UtcNow(FunctionElement[datetime]):
    """The server's clock, in UTC whatever the session's time zone is."""

    inherit_cache = True


@compiles(UtcNow, "sqlite")
def _utc_now_on_sqlite(element: UtcNow, compiler: SQLCompiler, **_: Any) -> str:
    return "CURRENT_TIMESTAMP"


@compiles(UtcNow, "postgresql")
def _utc_now_on_postgresql(element: UtcNow, compiler: SQLCompiler, **_: Any) -> str:
    return "timezone('utc', CURRENT_TIMESTAMP)"


class Base(DeclarativeBase):
    # Without names of our own, a later migration could not name the constraint that it drops.
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime}  # noqa: RUF012 - read by the declarative machinery
