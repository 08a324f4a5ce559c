"""The far ends of the paths through a server: where packets are sent from and where they arrive."""

import socket
from dataclasses import dataclass
from typing import Any, Final

from bench.namespace import ADDRESS

SOCKET_BUFFER: Final = 32 << 20
"""Bytes that a socket may hold for the generator: what it is too late to read would else count as lost by the server."""

_SO_RCVBUFFORCE: Final = 33
"""As SO_RCVBUF, past the system's limit, for who administers the network namespace (socket(7))."""


AUDIO_SSRC: Final = 1 << 20
"""What a flow's audio SSRC is above its video SSRC."""


def udp_socket() -> socket.socket:
    """A non-blocking UDP socket with a large receive buffer."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, SOCKET_BUFFER)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
    sock.bind((ADDRESS, 0))
    return sock


@dataclass(slots=True, eq=False)
class Leg:
    """One connected socket, and how RTP is dressed on it."""

    sock: socket.socket
    srtp: Any = None
    """The libsrtp session (`srtp_t`) that encrypts what is sent, or None for a server that takes plain RTP."""
    channel: int | None = None
    """The TURN channel (RFC 8656, section 12) whose four-byte header goes before each packet, both ways."""

    @property
    def rtp_offset(self) -> int:
        """Bytes before the RTP header in each datagram."""
        return 0 if self.channel is None else 4


@dataclass(slots=True, eq=False)
class Flow:
    """One direction of media: what `source` sends, `sink` should receive."""

    source: Leg
    sink: Leg
    ssrc: int
    next_sequence: int = 1
    """Unwrapped: its low 16 bits go into the packet. It only rises, or SRTP would take packets for replays."""
    next_timestamp: int = 0

    def audio(self) -> "Flow":
        """The audio flow of the same direction."""
        return Flow(self.source, self.sink, self.ssrc + AUDIO_SSRC)
