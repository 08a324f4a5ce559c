"""What lies below a peer of the media plane: its UDP sockets, the wire of its DTLS, its SRTP."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

from pylibsrtp._binding import ffi, lib

Address = tuple[str, int]


class Path:
    """One UDP socket of a peer, and what came to it, as it came."""

    def __init__(self, host: str, relay: Address, deliver: Callable[[bytes], None] = lambda _: None) -> None:
        self.relay = relay
        self.received: list[bytes] = []
        self._deliver = deliver
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.setblocking(False)
        self._socket.bind((host, 0))
        self.address: Address = self._socket.getsockname()[:2]
        asyncio.get_running_loop().add_reader(self._socket, self._readable)

    def send(self, datagram: bytes) -> None:
        if self._socket.fileno() != -1:
            self._socket.sendto(datagram, self.relay)

    def close(self) -> None:
        if self._socket.fileno() != -1:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._socket.fileno() != -1:
                datagram = self._socket.recv(65_536)
                self.received.append(datagram)
                self._deliver(datagram)


class Wire:
    """What `RTCDtlsTransport` needs of an ICE transport."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self.role = "controlling"
        self.state = "completed"
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.closed = False
        self._transmit = send

    async def _recv(self) -> bytes:
        if self.closed:
            raise ConnectionError
        return await self.queue.get()

    async def _send(self, datagram: bytes) -> None:
        self._transmit(datagram)


class Cipher:
    """One direction of SRTP, through libsrtp; takes packets longer than `pylibsrtp.Session` does."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._buffer = ffi.new("unsigned char[]", 4096)

    def protect(self, packet: bytes, *, rtcp: bool = False) -> bytes:
        return self._run(lib.srtp_protect_rtcp if rtcp else lib.srtp_protect, packet)

    def unprotect(self, packet: bytes) -> bytes:
        return self._run(lib.srtp_unprotect_rtcp if 191 < packet[1] < 224 else lib.srtp_unprotect, packet)

    def _run(self, function: Callable[[Any, Any, Any], int], packet: bytes) -> bytes:
        length = ffi.new("int *", len(packet))
        ffi.buffer(self._buffer)[0 : len(packet)] = packet
        status = function(self._session._srtp[0], self._buffer, length)
        if status:
            raise ValueError(f"libsrtp status {status}")
        return bytes(ffi.buffer(self._buffer, length[0]))
