"""Has the kernel drop what given sources send to a UDP socket, and counts what it drops."""

import logging
import socket
import struct
import sys
from collections.abc import Collection
from typing import Final, NamedTuple

from relay.media.net.exclusion import INSTRUCTION, Source, packed, program
from relay.media.net.mmsg import ffi

logger = logging.getLogger(__name__)

_SO_ATTACH_FILTER: Final = 26
_SO_DETACH_FILTER: Final = 27
_SO_MEMINFO: Final = 55
_SK_MEMINFO_DROPS: Final = 8

_SOCK_FPROG: Final = struct.Struct("HP")
"""Number of instructions, and where they are."""


class KernelDrops(NamedTuple):
    """Datagrams for a socket that the kernel dropped, since the start."""

    overflowed: int
    """They did not fit into the receive buffer."""
    filtered: int
    """While a filter was attached: the kernel has one figure for both kinds, so that some of these may have overflowed too."""

    def plus(self, other: "KernelDrops") -> "KernelDrops":
        return KernelDrops(self.overflowed + other.overflowed, self.filtered + other.filtered)


class SourceFilter:
    """The filter of one socket. While there is no source to drop, none is attached."""

    _warned = False

    def __init__(self, own: socket.socket) -> None:
        self._socket = own
        self._dropped: tuple[Source, ...] = ()
        self._refused = False
        self._filtered = 0
        """Up to the last time that the filter was detached."""
        self._begun_at = 0
        """The kernel's figure when the filter was attached."""

    def drop(self, sources: Collection[Source]) -> None:
        """Drop what these send, and only these, from now on. Where the system refuses that, all is received as before."""
        wanted = tuple(sources)
        if wanted == self._dropped or self._refused:
            return
        try:
            if not wanted:
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
                self._filtered += self._figure() - self._begun_at
            else:
                figure = self._figure()
                self._attach(packed(program(wanted)))
                self._begun_at = self._begun_at if self._dropped else figure
            self._dropped = wanted
        except OSError as error:
            self._refused = not self._dropped
            if not SourceFilter._warned:
                SourceFilter._warned = True
                logger.warning("floods cannot be dropped in the kernel, only after they are received: %s", error.strerror)

    def drops(self) -> KernelDrops:
        figure = self._figure()
        filtered = self._filtered + (figure - self._begun_at if self._dropped else 0)
        return KernelDrops(figure - filtered, filtered)

    def _attach(self, instructions: bytes) -> None:
        """A filter that was there before is replaced at once."""
        memory = ffi.new("unsigned char[]", instructions)
        fprog = _SOCK_FPROG.pack(len(instructions) // INSTRUCTION.size, int(ffi.cast("uintptr_t", memory)))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)

    def _figure(self) -> int:
        """sock_diag(7), SK_MEMINFO_DROPS: what overflowed and what a filter dropped. 0 if unknown."""
        try:
            figures = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * (_SK_MEMINFO_DROPS + 1))
        except OSError:
            return 0
        return int.from_bytes(figures[4 * _SK_MEMINFO_DROPS :], sys.byteorder)
