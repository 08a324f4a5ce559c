"""DTLS-SRTP (RFC 5764) by aiortc and libsrtp.

The one module that touches private names of aiortc and pylibsrtp, which are therefore pinned exactly; a test fails when a name
disappears. aiortc does the handshake over whatever has `_recv`, `_send`, `role` and `state`; the keys that come out of it are
handed to the forwarding path as raw libsrtp sessions, which work in place in the receive buffer.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from socket import htonl
from typing import Any, Final, cast

from aiortc.rtcdtlstransport import (
    SRTP_AEAD_AES_128_GCM,
    SRTP_AES128_CM_SHA1_80,
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    SRTPProtectionProfile,
    State,
)
from aiortc.rtcicetransport import RTCIceTransport
from cffi import FFI
from OpenSSL import SSL
from pylibsrtp import Session
from pylibsrtp._binding import __file__ as pylibsrtp_library
from pylibsrtp._binding import ffi, lib

from relay.media.api import DtlsRole, Fingerprint, TransportParameters

# One length cell serves every call: libsrtp reads it and writes it back before it returns, and there is one thread.
length_cell: Final[Any] = ffi.new("int *")
srtp_protect: Final[Callable[[Any, Any, Any], int]] = lib.srtp_protect
srtp_unprotect: Final[Callable[[Any, Any, Any], int]] = lib.srtp_unprotect
srtcp_protect: Final[Callable[[Any, Any, Any], int]] = lib.srtp_protect_rtcp
srtcp_unprotect: Final[Callable[[Any, Any, Any], int]] = lib.srtp_unprotect_rtcp

# pylibsrtp does not declare these two, which its library exports (srtp.h, since libsrtp 2.1).
_counters: Final = FFI()
_counters.cdef("""
    int srtp_set_stream_roc(void *session, uint32_t ssrc, uint32_t roc);
    int srtp_get_stream_roc(void *session, uint32_t ssrc, uint32_t *roc);
""")
_counters_lib: Final[Any] = _counters.dlopen(pylibsrtp_library)
_counter_cell: Final[Any] = _counters.new("uint32_t *")

REPLAY_STATUSES: Final = frozenset({9, 10})
"""srtp_err_status_replay_fail and srtp_err_status_replay_old (srtp.h)."""

SRTCP_TRAILER: Final = 148
"""Bytes that libsrtp may write behind a compound RTCP packet: SRTP_MAX_TRAILER_LEN and the SRTCP index."""

QUEUE_LENGTH: Final = 256
"""DTLS datagrams that wait for the handshake, for the peer's fingerprint, or for the event loop's next turn: as many as one can
bring. Overflow drops the newest: DTLS sends its handshake again, and SCTP the data."""

MAX_RECORD: Final = 2048
"""Bytes of a datagram with one record. SCTP over DTLS keeps below the path MTU, about 1,200."""

# GCM first: with AES instructions it costs two thirds of AES-CM with SHA-1. 256-bit keys were not measurably dearer.
_PROFILES: Final = [SRTP_AEAD_AES_128_GCM, SRTP_AES128_CM_SHA1_80]

_scratch: Final[Any] = ffi.new("unsigned char[]", 4096)
_scratch_buffer: Final = ffi.buffer(_scratch)


def protect(session: Any, packet: bytes, *, rtcp: bool) -> bytes | None:
    """Encrypt one packet outside the forwarding path.

    Returns:
        The SRTP or SRTCP packet, or None if libsrtp does not take it.
    """
    if len(packet) > len(_scratch_buffer) - SRTCP_TRAILER:
        return None
    _scratch_buffer[0 : len(packet)] = packet
    length_cell[0] = len(packet)
    if (srtcp_protect if rtcp else srtp_protect)(session, _scratch, length_cell):
        return None
    return bytes(_scratch_buffer[0 : length_cell[0]])


def unprotect(session: Any, packet: bytes, *, rtcp: bool) -> bytes | int:
    """Authenticate and decrypt one packet, of no more bytes than a receive buffer has, outside the forwarding path.

    Returns:
        The RTP or RTCP packet, or libsrtp's status if it does not take it.
    """
    _scratch_buffer[0 : len(packet)] = packet
    length_cell[0] = len(packet)
    status = (srtcp_unprotect if rtcp else srtp_unprotect)(session, _scratch, length_cell)
    return status or bytes(_scratch_buffer[0 : length_cell[0]])


def unprotect_after(session: Any, packet: bytes, ssrc: int, guesses: Callable[[int], Iterable[int]]) -> tuple[bytes, int] | None:
    """Authenticate and decrypt an RTP packet whose sender's rollover counter is not the one that libsrtp expects.

    Args:
        ssrc: of the packet, which the session knows.
        guesses: which counters to try, given the one that the session is at. One that is behind is never taken.

    Returns:
        The RTP packet and the rollover counter that it came with, which the session goes on with; None if it is none of them.
    """
    handle = _counters.cast("void *", int(ffi.cast("uintptr_t", session)))
    if _counters_lib.srtp_get_stream_roc(handle, ssrc, _counter_cell):
        return None
    found = None
    for counter in guesses(_counter_cell[0]):
        _counters_lib.srtp_set_stream_roc(handle, ssrc, counter)
        plain = unprotect(session, packet, rtcp=False)
        if isinstance(plain, bytes):
            found = plain, counter
            break
    # What libsrtp has been told, it would go by until it has advanced: 0 means nothing.
    _counters_lib.srtp_set_stream_roc(handle, ssrc, 0)
    return found


def forget_stream(session: Any, ssrc: int) -> None:
    """Free what a libsrtp session keeps of an SSRC. No packet index of it must be used again with the same keys."""
    # srtp_remove_stream takes the SSRC as it lies in the packet.
    lib.srtp_remove_stream(session, htonl(ssrc))


_CIPHERS: Final = ":".join(
    f"ECDHE-{key}-{cipher}"
    for key in ("ECDSA", "RSA")
    for cipher in ("AES128-GCM-SHA256", "CHACHA20-POLY1305", "AES128-SHA", "AES256-SHA")
)
"""RFC 8827 section 6.5, with RSA beside it: a peer whose certificate has an RSA key (GStreamer's, or a page's that asked for one)
shares no cipher suite with a client that knows ECDSA alone."""


class _Certificate(RTCCertificate):
    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(_CIPHERS.encode())
        return context


class Certificate:
    """The certificate that the transports of this process show. Renewed well before it expires, for new transports."""

    _RENEW_BEFORE: Final = timedelta(days=7)

    def __init__(self) -> None:
        self._certificate = _Certificate.generateCertificate()

    def current(self) -> RTCCertificate:
        if self._certificate.expires - datetime.now(UTC) < self._RENEW_BEFORE:
            self._certificate = _Certificate.generateCertificate()
        return self._certificate


@lru_cache(maxsize=2)
def fingerprints(certificate: RTCCertificate) -> tuple[Fingerprint, ...]:
    """The SHA-256 fingerprint, which every browser understands. Remembered: transports share a certificate for weeks."""
    return tuple(Fingerprint(one.algorithm, one.value) for one in certificate.getFingerprints() if one.algorithm == "sha-256")


class _Wire:
    """What `RTCDtlsTransport` needs of an ICE transport."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUE_LENGTH)
        self.closed = False
        """Nothing more is received: the next `_recv` raises `ConnectionError`."""
        self.transmit = send
        self.role = "controlled"
        self.state = "completed"

    def feed(self, datagram: bytes) -> bool:
        """Queue a datagram of the peer; False if the queue is full."""
        try:
            self._queue.put_nowait(datagram)
        except asyncio.QueueFull:
            return False
        return True

    async def _recv(self) -> bytes:
        if self.closed:
            raise ConnectionError
        return await self._queue.get()

    async def _send(self, datagram: bytes) -> None:
        self.transmit(datagram)


class _DataReceiver:
    """What `RTCDtlsTransport` hands application data to: the first record of each datagram. The others are fetched here."""

    def __init__(self, on_data: Callable[[bytes], None]) -> None:
        self._on_data = on_data
        self.ssl: SSL.Connection | None = None

    async def _handle_data(self, data: bytes) -> None:
        assert self.ssl is not None, "data comes after the handshake"
        while data:
            self._on_data(data)
            try:
                data = self.ssl.recv(MAX_RECORD)
            except SSL.Error:
                return


class DtlsSrtp:
    """The relay's end of one transport's DTLS.

    Args:
        certificate: ours.
        send: takes a DTLS datagram to the peer.
        on_keys: called once with the libsrtp sessions (receiving, sending) when the handshake is done and the peer's
            certificate is the one in the SDP.
        on_closed: called at most once with `closed` (close_notify) or `dtls_failed`; never after `close`.
        on_data: takes what the peer sends over DTLS itself: the SCTP packets of data channels (RFC 8261).
    """

    def __init__(
        self,
        certificate: RTCCertificate,
        send: Callable[[bytes], None],
        on_keys: Callable[[Any, Any], None],
        on_closed: Callable[[str], None],
        on_data: Callable[[bytes], None],
    ) -> None:
        self._certificate = certificate
        self._wire = _Wire(send)
        self._on_keys = on_keys
        self._on_closed = on_closed
        self._data = _DataReceiver(on_data)
        self._dtls: RTCDtlsTransport | None = None
        self._handshake: asyncio.Task[None] | None = None
        self._sessions: tuple[Session, Session] | None = None

    @property
    def shaking_hands(self) -> bool:
        """The handshake has begun and is not done."""
        return self._dtls is not None and self._sessions is None

    def receive(self, datagram: bytes) -> bool:
        """Take a DTLS datagram, also before `start`; False if it was dropped because too many wait."""
        return self._wire.feed(datagram)

    def start(self, remote: TransportParameters) -> None:
        """Begin the handshake with a peer whose certificate must have one of these fingerprints."""
        assert self._dtls is None, "a transport is connected once"
        dtls = RTCDtlsTransport(cast(RTCIceTransport, self._wire), [self._certificate])
        dtls._srtp_profiles = _PROFILES
        dtls._set_role("client" if remote.role is DtlsRole.PASSIVE else "server")
        dtls._register_data_receiver(self._data)
        dtls.on("statechange", self._changed)
        self._dtls = dtls
        parameters = RTCDtlsParameters([RTCDtlsFingerprint(one.algorithm, one.value) for one in remote.fingerprints])
        self._handshake = asyncio.get_running_loop().create_task(self._shake_hands(dtls, parameters))

    async def _shake_hands(self, dtls: RTCDtlsTransport, parameters: RTCDtlsParameters) -> None:
        try:
            await dtls.start(parameters)
        except Exception:
            # aiortc lets some of what a peer can cause through: no usable fingerprint, a certificate that cannot be parsed, a
            # flight that OpenSSL gives up on sending again.
            dtls._set_state(State.FAILED)

    def send(self, record: bytes) -> bool:
        """Send application data, one DTLS record; False if the handshake is not done, or OpenSSL does not take it."""
        dtls = self._dtls
        if dtls is None or dtls._state is not State.CONNECTED or dtls._ssl is None:
            return False
        try:
            dtls._ssl.send(record)
            datagram = dtls._ssl.bio_read(MAX_RECORD)
        except SSL.Error:
            return False
        self._wire.transmit(datagram)
        return True

    def _changed(self) -> None:
        dtls = self._dtls
        if dtls is None:
            return
        if dtls._state is State.CONNECTED:
            # The Session objects own what the raw handles point to, so they are kept as long as the handles are in use.
            self._data.ssl = dtls._ssl
            self._sessions = (dtls._rx_srtp, dtls._tx_srtp)
            self._on_keys(dtls._rx_srtp._srtp[0], dtls._tx_srtp._srtp[0])
        elif dtls._state in (State.CLOSED, State.FAILED):
            self._dtls = None
            self._on_closed("closed" if dtls._state is State.CLOSED else "dtls_failed")

    async def close(self) -> None:
        """Say close_notify and free everything. The handles given to `on_keys` are invalid afterwards."""
        dtls, self._dtls = self._dtls, None
        # `asyncio.wait_for` can swallow a cancellation when a datagram has just come: the handshake would then go on, so it also
        # finds its wire closed. It may have started aiortc's pump by then.
        self._wire.closed = True
        await _ended(self._handshake)
        if dtls is not None:
            dtls.remove_all_listeners()
            pump = dtls._task
            await dtls.stop()
            await _ended(pump)
        self._sessions = None


async def _ended(task: "asyncio.Future[None] | None") -> None:
    """Cancel a task and wait until it is gone, so that no transport leaves one behind."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
