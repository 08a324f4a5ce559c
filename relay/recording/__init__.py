"""Recordings: read, assembled and verified from the files that the media plane has written."""
