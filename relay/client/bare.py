"""A transport without a peer connection above it: ICE with one candidate pair, the DTLS handshake, and the SRTP keys.

For those that send and count packets themselves, by the ten thousand a second: the benchmarks, and tests with hundreds of calls.
It plays the browser's part: the controlling ICE agent, and the DTLS client unless it is told otherwise.
"""

import asyncio
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from aioice import stun
from aiortc import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport, RTCIceTransport
from aiortc.rtcdtlstransport import SRTP_AEAD_AES_128_GCM
from pylibsrtp import Error

CHECK_INTERVAL: Final = 0.05
"""Seconds between connectivity checks until one is answered (RFC 8445, section 14.2: no less than 5 ms)."""

CONNECT_TIMEOUT: Final = 20.0
"""Seconds for ICE and DTLS together. Generous: hundreds may be set up at once on one core."""

_PRIORITY: Final = 110 << 24 | 65535 << 8 | 255
"""Of a peer-reflexive candidate (RFC 8445, section 5.1.2)."""

_CERTIFICATE: Final = RTCCertificate.generateCertificate()
"""One for all peers: making it is no part of what is measured."""

_MTU: Final = 2048


@dataclass(frozen=True, slots=True)
class BareDescription:
    """One end of a transport."""

    ufrag: str
    pwd: str
    fingerprint: str
    """SHA-256, upper-case hexadecimal joined by colons."""
    address: tuple[str, int]


class _IcePath:
    """What `RTCDtlsTransport` uses of an ICE transport."""

    role = "controlling"
    state = "completed"

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.received: asyncio.Queue[bytes] = asyncio.Queue()

    async def _recv(self) -> bytes:
        return await self.received.get()

    async def _send(self, data: bytes) -> None:
        self._sock.send(data)


class BareTransport:
    """One end of a transport. Its event-loop callbacks serve ICE and DTLS, and media if there is `on_packet`.

    Args:
        sock: a UDP socket that is bound, and does not block. It is closed with the transport.
        on_packet: takes each RTP packet that comes, decrypted; None: what comes besides ICE and DTLS is left out, not decrypted.

    Attributes:
        local: this end.
    """

    def __init__(self, sock: socket.socket, on_packet: Callable[[bytes], None] | None = None) -> None:
        self.sock = sock
        self._on_packet = on_packet
        self._ice = _IcePath(self.sock)
        self._dtls = RTCDtlsTransport(cast(RTCIceTransport, self._ice), [_CERTIFICATE])
        # One cipher, so that no server under test is charged for a costlier one.
        self._dtls._srtp_profiles = [SRTP_AEAD_AES_128_GCM]
        self._remote: BareDescription | None = None
        self._checked = asyncio.Event()
        self._tie_breaker = secrets.randbits(64)
        address, port = self.sock.getsockname()
        self.local = BareDescription(
            ufrag=secrets.token_hex(4),
            pwd=secrets.token_hex(12),
            fingerprint=next(f.value for f in _CERTIFICATE.getFingerprints() if f.algorithm == "sha-256"),
            address=(address, port),
        )

    async def connect(
        self, remote: BareDescription, patience: float = 0.0, *, role: Literal["client", "server"] = "client"
    ) -> Any:
        """ICE, then `patience` seconds, then DTLS, as its client or its server.

        Returns:
            The libsrtp session (`srtp_t`) that encrypts what is sent.

        Raises:
            TimeoutError, ConnectionError: it does not come up.
        """
        self._remote = remote
        self.sock.connect(remote.address)
        asyncio.get_running_loop().add_reader(self.sock, self._readable)
        async with asyncio.timeout(CONNECT_TIMEOUT):
            while not self._checked.is_set():
                self.check()
                try:
                    await asyncio.wait_for(self._checked.wait(), CHECK_INTERVAL)
                except TimeoutError:
                    continue
            await asyncio.sleep(patience)
            self._dtls._set_role(role)
            fingerprint = RTCDtlsFingerprint("sha-256", remote.fingerprint)
            await self._dtls.start(RTCDtlsParameters([fingerprint], "server" if role == "client" else "client"))
        if self._dtls.state != "connected":
            raise ConnectionError(f"DTLS {self._dtls.state}")
        return self._dtls._tx_srtp._srtp[0]

    def send(self, packet: bytes) -> None:
        """Encrypt and send an RTP packet. To be called once it is connected."""
        try:
            self.sock.send(self._dtls._tx_srtp.protect(packet))
        except (ConnectionError, BlockingIOError):
            return  # As any packet of UDP, it may be lost.

    def check(self) -> None:
        """Send a connectivity check that nominates the pair (and, later, renews consent: RFC 7675)."""
        assert self._remote is not None
        request = stun.Message(
            stun.Method.BINDING,
            stun.Class.REQUEST,
            attributes={
                "USERNAME": f"{self._remote.ufrag}:{self.local.ufrag}",
                "PRIORITY": _PRIORITY,
                "ICE-CONTROLLING": self._tie_breaker,
                "USE-CANDIDATE": None,
            },
        )
        self._send_stun(request, self._remote.pwd)

    def close(self) -> None:
        """Free the socket. The server is not told: it is about to end anyway."""
        asyncio.get_running_loop().remove_reader(self.sock)
        task = self._dtls._task
        if task is not None:
            task.cancel()
        self.sock.close()

    def _readable(self) -> None:
        while True:
            try:
                data = self.sock.recv(_MTU)
            except BlockingIOError:
                return
            except ConnectionError:
                continue  # An ICMP error from an earlier send, while the server is not listening yet.
            if data[0] < 4:
                self._stun_received(data)
            elif 20 <= data[0] < 64:
                self._ice.received.put_nowait(data)
            elif self._on_packet is not None and 128 <= data[0] < 192:
                self._packet_received(data, self._on_packet)

    def _packet_received(self, data: bytes, take: Callable[[bytes], None]) -> None:
        srtp: Any = self._dtls._rx_srtp  # aiortc: set once the handshake is complete
        # RFC 5761, section 4: in the second byte, RTCP packet types look like payload types from 64 with a marker.
        if srtp is None or 192 <= data[1] < 224:
            return
        try:
            packet = srtp.unprotect(data)
        except Error:
            return
        take(packet)

    def _stun_received(self, data: bytes) -> None:
        message = stun.parse_message(data)
        assert self._remote is not None
        if message.message_class is stun.Class.RESPONSE:
            if message.check_message_integrity(self._remote.pwd.encode()):
                self._checked.set()
        elif message.message_class is stun.Class.REQUEST:
            attributes: dict[str, Any] = {"XOR-MAPPED-ADDRESS": self._remote.address}
            response = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, message.transaction_id, attributes)
            self._send_stun(response, self.local.pwd)

    def _send_stun(self, message: stun.Message, pwd: str) -> None:
        message.add_message_integrity(pwd.encode())
        try:
            self.sock.send(bytes(message))
        except ConnectionError:
            return  # As above; the next check follows.
