"""A terminal that a program writes to, without a screen."""

import contextlib
import fcntl
import os
import pty
import struct
import termios
import threading
from collections.abc import Iterator
from typing import TextIO


class Terminal:
    """
    Attributes:
        stream: what the program writes to.
    """

    def __init__(self, descriptor: int, stream: TextIO) -> None:
        self.stream = stream
        self._descriptor = descriptor
        self._written = b""
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while octets := os.read(self._descriptor, 4096):
                self._written += octets

    def close(self) -> str:
        """Returns all that was written, escape sequences included."""
        self.stream.close()
        self._reading.join()
        return self._written.decode()


@contextlib.contextmanager
def terminal() -> Iterator[Terminal]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))  # lines and columns: else it has none
    opened = Terminal(master, os.fdopen(slave, "w"))
    try:
        yield opened
    finally:
        opened.close()
        os.close(master)
