from tests.kit.databases import database_url, empty_engine, engine, postgresql

__all__ = ["database_url", "empty_engine", "engine", "postgresql"]
