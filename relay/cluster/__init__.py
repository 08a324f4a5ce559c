"""The servers that share a database, as the calls of one of them see it."""
