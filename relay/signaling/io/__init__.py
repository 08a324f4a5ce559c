"""The thin edges of the signaling plane."""
