"""The commands of `python -m relay`."""
