"""Bringing the schema up to date, and checking what others have defined."""
