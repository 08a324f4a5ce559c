"""A UDP socket that says which of this machine's addresses a datagram came to, and is told which one to send from (ip(7))."""

import contextlib
import socket
import struct
from typing import Final

SOCKET_BUFFER: Final = 4 * 1024 * 1024
"""Bytes that the kernel may keep for us each way (it grants what net.core.rmem_max allows)."""

MAX_DATAGRAM: Final = 2048

# Not in Python's socket module before 3.14; both are the same on every Linux.
_IP_PKTINFO: Final = 8
_IPV6_RECVPKTINFO: Final = 49
_IPV6_PKTINFO: Final = 50

_CONTROL_ROOM: Final = 64
"""Bytes of control messages: one of either kind fits."""

Local = bytes
"""An address of this machine, packed: 4 or 16 bytes."""

Control = list[tuple[int, int, bytes]]
"""Control messages, as `sendmsg` takes them."""


class PacketInfoSocket:
    """One UDP socket for every address of a family.

    Args:
        host: address to listen on; `0.0.0.0` or `::`: every one.
        interface: where there is one, only what comes in by it is heard.

    Raises:
        OSError: the address cannot be bound.
    """

    def __init__(self, host: str, port: int, interface: str | None = None) -> None:
        self.is_ipv6 = ":" in host
        self._socket = socket.socket(socket.AF_INET6 if self.is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
            if self.is_ipv6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                self._socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
            else:
                self._socket.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            if interface is not None:
                with contextlib.suppress(OSError):  # before Linux 5.7 only root may
                    self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def receive(self) -> tuple[bytes, tuple[str, int], Local] | None:
        """The next datagram, where it came from and which address of ours it came to; None if there is none."""
        try:
            data, control, _, source = self._socket.recvmsg(MAX_DATAGRAM, _CONTROL_ROOM)
        except OSError:  # nothing there, or the news that something sent before was refused
            return None
        for level, kind, value in control:
            if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
                return data, source[:2], value[8:12]  # ip(7): interface, local address, address in the header
            if level == socket.IPPROTO_IPV6 and kind == _IPV6_PKTINFO:
                return data, source[:2], value[:16]  # ipv6(7): address, interface
        return data, source[:2], b""

    def leaving_from(self, local: Local) -> Control:
        """What `send` wants to be told, to send from that address."""
        if not local:
            return []
        if self.is_ipv6:
            return [(socket.IPPROTO_IPV6, _IPV6_PKTINFO, struct.pack("=16sI", local, 0))]
        return [(socket.IPPROTO_IP, _IP_PKTINFO, struct.pack("=I4s4x", 0, local))]

    def send(self, data: bytes, control: Control, destination: tuple[str, int]) -> bool:
        """Send a datagram from the address that `control` names; whether the kernel took it."""
        try:
            self._socket.sendmsg([data], control, 0, destination)
        except OSError:
            return False
        return True
