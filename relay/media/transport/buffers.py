"""What arrives too early to cross, in bounded buffers: before the keys of its own transport, or of the other party's."""

from typing import Final

from relay.media.quality.counters import MediaCounters

MAX_BUFFERED: Final = 256
"""Packets kept while the other party's transport comes up, about half a second of HD video. When more come, all are dropped and a
key frame is requested instead: video that is late is of no use."""

MAX_EARLY: Final = 64
"""SRTP datagrams kept until their keys are there: a peer may send its first key frame in the last round trip of the handshake."""

MAX_BUFFERED_RECORDS: Final = 16
"""Data channel records kept while the other party's transport comes up: an SCTP association begins with a single one."""


class EarlyPackets:
    """Those of one transport, in order of arrival."""

    __slots__ = ("_counters", "_datagrams", "_overflowed", "_packets", "_records")

    def __init__(self, counters: MediaCounters) -> None:
        self._counters = counters
        self._datagrams: list[bytes] = []
        """Still encrypted: the keys are not there yet."""
        self._packets: list[tuple[bool, bytes]] = []
        """For the other party: whether each is RTCP, and the decrypted packet."""
        self._records: list[bytes] = []
        self._overflowed = False

    def add_datagram(self, datagram: bytes) -> bool:
        """Keep SRTP until its keys are there; False if too much of it waits."""
        if len(self._datagrams) >= MAX_EARLY:
            return False
        self._datagrams.append(datagram)
        return True

    def take_datagrams(self) -> list[bytes]:
        """What was kept until the keys were there, once."""
        taken, self._datagrams = self._datagrams, []
        return taken

    def add_packet(self, packet: bytes, *, is_rtcp: bool) -> None:
        """Keep a decrypted packet until the other party's transport is up."""
        if self._overflowed:
            self._counters["dropped_overflow"] += 1
        elif len(self._packets) < MAX_BUFFERED:
            self._packets.append((is_rtcp, packet))
        else:
            self._overflowed = True
            self._counters["dropped_overflow"] += len(self._packets) + 1
            self._packets.clear()

    @property
    def has_packets(self) -> bool:
        """Whether packets for the other party wait, or were too many."""
        return bool(self._packets) or self._overflowed

    def take_packets(self) -> tuple[list[tuple[bool, bytes]], bool]:
        """The packets for the other party, once: whether each is RTCP, and the packet. And whether there were too many."""
        taken, self._packets = self._packets, []
        overflowed, self._overflowed = self._overflowed, False
        self._counters["packets_held"] += len(taken)
        return taken, overflowed

    def add_record(self, record: bytes) -> bool:
        """Keep a data channel record until the other party's transport is up; False if too many wait."""
        if len(self._records) >= MAX_BUFFERED_RECORDS:
            return False
        self._records.append(record)
        return True

    def take_records(self) -> list[bytes]:
        """The data channel records, once."""
        taken, self._records = self._records, []
        self._counters["data_held"] += len(taken)
        return taken

    def clear(self) -> None:
        self._datagrams.clear()
        self._packets.clear()
        self._records.clear()
