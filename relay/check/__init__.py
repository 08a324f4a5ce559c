"""The connection test: over which paths media reaches a relay from here (`python -m relay check`)."""
