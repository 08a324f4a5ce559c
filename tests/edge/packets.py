"""Packets with real headers, whose encrypted part is zeros."""


def rtp(ssrc: int, timestamp: int, sequence: int = 0, size: int = 1000) -> bytes:
    """An RTP packet of that many bytes."""
    header = b"\x80\x60" + sequence.to_bytes(2) + timestamp.to_bytes(4) + ssrc.to_bytes(4)
    return header.ljust(size, b"\xaa")


def rtcp(ssrc: int, size: int = 60) -> bytes:
    """A receiver report of that many bytes."""
    return (b"\x81\xc9\x00\x07" + ssrc.to_bytes(4)).ljust(size, b"\xbb")


def dtls(size: int = 1000) -> bytes:
    """A record of application data."""
    return b"\x17\xfe\xfd".ljust(size, b"\xcc")
