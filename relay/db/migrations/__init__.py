"""The schema's history, run by `relay.db.schema.migrate`."""
