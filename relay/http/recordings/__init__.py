"""Recordings over HTTP: lists, files by range, reports, and the log of their use."""
