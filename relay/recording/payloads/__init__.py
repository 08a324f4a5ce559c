"""Payload formats of RTP, unpacked: packets of one timestamp in, a frame out. A peer's bytes raise nothing but ValueError."""
