"""The media seam over processes: a pool of worker processes, and the channel to each."""
