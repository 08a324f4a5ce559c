"""From packets of a capture to files that play, in two passes."""
