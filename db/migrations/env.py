"""Alembic executes this file for every command. The connection comes from `db.migrate`, already in a transaction."""

from alembic import context

from db.migrate import VERSION_TABLE
from db.models import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata, version_table=VERSION_TABLE)
context.run_migrations()
