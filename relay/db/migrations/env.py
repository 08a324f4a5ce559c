"""Alembic executes this file for every command. The connection comes from `relay.db.schema.migrate`, already in a transaction."""

from alembic import context

from relay.db.models import Base
from relay.db.schema.migrate import version_options

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, **version_options(connection))
context.run_migrations()
