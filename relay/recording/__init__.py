"""Recordings: a capture is read (`records`), becomes files that play (`assemble`) and is judged (`verify`).

`jobs` does that in processes of its own, beside the calls. Knows the media plane by its files only.
"""

from relay.recording.assemble import assemble as assemble
