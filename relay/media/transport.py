"""A transport: the relay's end of one device's ICE + DTLS + SRTP path, and what the forwarding path must know of it."""

from collections.abc import Callable
from typing import Any, Final, Protocol

from aiortc import RTCCertificate

from relay.media import rtcp
from relay.media.api import (
    DtlsRole,
    MediaDescription,
    MediaEvent,
    TransportClosed,
    TransportDown,
    TransportParameters,
    TransportUp,
)
from relay.media.counters import Counters
from relay.media.ice import IceAgent, moves
from relay.media.io.dtls_srtp import DtlsSrtp, protect

CONSENT_SILENCE: Final = 5.0
"""Seconds without anything valid from the peer until it counts as down. Browsers check at least that often (RFC 7675)."""

MAX_STREAMS: Final = 64
"""SSRCs that a peer may use: libsrtp keeps a replay window for each. A call with simulcast, RTX and FEC has about 20."""

MAX_ADDRESSES: Final = 8
"""Addresses that a peer may have validated at a time; the oldest is forgotten first."""

MAX_HELD: Final = 256
"""Packets kept while the other party's transport comes up, about half a second of HD video. When more come, all are dropped and a
keyframe is requested instead: late pictures help nobody."""

_RELAY_SSRC: Final = 1
"""Sender SSRC of the RTCP packets that the relay makes itself; what receive-only browsers use too."""


class RemoteAddress(Protocol):
    """Where a peer is, and the socket that reaches it."""

    @property
    def host_port(self) -> tuple[str, int]: ...

    def send(self, datagram: bytes) -> None: ...

    def forget(self) -> None:
        """Take the address out of the socket's routing table."""
        ...


class Transport:
    """One path to one device.

    `rx`, `tx`, `peer`, `destination`, `streams` and `last_seen` are what `relay.media.io.udp` uses for every packet; everything
    else is for when something changes.
    """

    __slots__ = (
        "_addresses",
        "_announced",
        "_certificate",
        "_closed",
        "_counters",
        "_dtls",
        "_emit",
        "_held",
        "_overflowed",
        "_remote",
        "_video_payload_types",
        "_video_ssrcs",
        "destination",
        "ice",
        "last_seen",
        "peer",
        "rx",
        "streams",
        "transport_id",
        "tx",
    )

    def __init__(
        self, transport_id: str, certificate: RTCCertificate, emit: Callable[[MediaEvent], None], counters: Counters
    ) -> None:
        self.transport_id = transport_id
        self.ice = IceAgent()
        self.rx: Any = None
        """libsrtp session for what the peer sends; None before the handshake is done."""
        self.tx: Any = None
        """libsrtp session for what the peer receives."""
        self.peer: Transport | None = None
        """The other transport of the call."""
        self.destination: Any = None
        """The selected remote address (`relay.media.io.udp.Remote`); set before `tx` is."""
        self.streams: set[int] = set()
        """SSRCs that the peer has used, in the byte order of this machine."""
        self.last_seen = 0.0
        """When something authentic last arrived; seconds, monotonic."""
        self._certificate = certificate
        self._emit = emit
        self._counters = counters
        self._dtls = DtlsSrtp(certificate, self._send_dtls, self._keys, self._lost)
        self._remote: TransportParameters | None = None
        self._addresses: list[RemoteAddress] = []
        self._announced: bool | None = None
        self._closed = False
        self._held: list[tuple[bool, bytes]] = []
        self._overflowed = False
        self._video_payload_types: frozenset[int] = frozenset()
        self._video_ssrcs: set[int] = set()

    # -- ICE ----------------------------------------------------------------------------------------------------------

    def validated(self, address: RemoteAddress, now: float, *, nominates: bool) -> None:
        """An authentic check came from `address`, which may be new."""
        if address not in self._addresses:
            self._addresses.append(address)
            if len(self._addresses) > MAX_ADDRESSES:
                oldest = next(one for one in self._addresses if one != self.destination)
                self._addresses.remove(oldest)
                oldest.forget()
        if address != self.destination and moves(nominates, selected=self.destination is not None, silence=now - self.last_seen):
            first = self.destination is None
            self.destination = address
            if first and self._remote is not None and self._remote.role is DtlsRole.PASSIVE:
                self._dtls.start(self._remote)
        self.last_seen = now

    def lose_address(self, address: RemoteAddress) -> None:
        """Another transport has proved that it is at this address now."""
        if address in self._addresses:
            self._addresses.remove(address)

    # -- DTLS ---------------------------------------------------------------------------------------------------------

    def connect(self, remote: TransportParameters, media: tuple[MediaDescription, ...]) -> None:
        """Start DTLS with a peer that is now known, on checks already validated."""
        assert self._remote is None, "a transport is connected once"
        self._remote = remote
        video = [section for section in media if section.kind == "video"]
        self._video_payload_types = frozenset(
            codec.payload_type for section in video for codec in section.codecs if codec.name not in _NOT_PICTURES
        )
        # A DTLS server waits for the peer's first flight; a client needs to know where to send its own.
        if remote.role is not DtlsRole.PASSIVE or self.destination is not None:
            self._dtls.start(remote)

    def receive_dtls(self, datagram: bytes) -> None:
        """Take a DTLS datagram from a validated address."""
        if not self._dtls.receive(datagram):
            self._counters["dtls_overflow"] += 1

    def _send_dtls(self, datagram: bytes) -> None:
        if self.destination is not None:
            self.destination.send(datagram)

    def _keys(self, rx: Any, tx: Any) -> None:
        self._counters["dtls_handshakes"] += 1
        self.rx, self.tx = rx, tx
        self._announced = True
        if self.peer is not None:
            self.peer.release_held()
        self._emit(TransportUp(self.transport_id))

    def _lost(self, reason: str) -> None:
        if reason == "dtls_failed":
            self._counters["dtls_failed"] += 1
        self.rx = self.tx = None
        self._emit(TransportClosed(self.transport_id, reason))

    # -- forwarding, when it is not the plain case --------------------------------------------------------------------

    def admit(self, ssrc: int, native: int, payload_type: int | None) -> None:
        """Note an SSRC that authentic packets carry: `native` is it in this machine's byte order; None: it came by RTCP."""
        self.streams.add(native)
        if payload_type in self._video_payload_types:
            self._video_ssrcs.add(ssrc)

    def hold(self, packet: bytes, *, rtcp: bool) -> None:
        """Keep a decrypted packet until the other party's transport is up."""
        if self._overflowed:
            self._counters["dropped_overflow"] += 1
        elif len(self._held) < MAX_HELD:
            self._held.append((rtcp, packet))
        else:
            self._overflowed = True
            self._counters["dropped_overflow"] += len(self._held) + 1
            self._held.clear()

    def release_held(self) -> None:
        """Send on what was held: the other party's transport is up. If it took too long, ask for a fresh picture."""
        held, self._held = self._held, []
        peer = self.peer
        assert peer is not None, "only a joined transport is released"
        for is_rtcp, packet in held:
            protected = protect(peer.tx, packet, rtcp=is_rtcp)
            if protected is None:
                self._counters["dropped_unprotectable"] += 1
            else:
                self._counters["packets_held"] += 1
                self._counters["packets_sent"] += 1
                peer.destination.send(protected)
        if self._overflowed:
            self._overflowed = False
            self.request_keyframes()

    def request_keyframes(self) -> None:
        """Ask the peer for a fresh picture of each of its video streams (PLI, RFC 4585 section 6.3.1)."""
        if self.tx is None:
            return
        for ssrc in self._video_ssrcs:
            request = protect(self.tx, rtcp.pli(_RELAY_SSRC, ssrc), rtcp=True)
            if request is not None:
                self._counters["keyframes_requested"] += 1
                self.destination.send(request)

    # -- life ---------------------------------------------------------------------------------------------------------

    def check_consent(self, now: float) -> None:
        """Say when the peer has fallen silent, and when it is back. Called every second."""
        if self.rx is None:
            return
        alive = now - self.last_seen <= CONSENT_SILENCE
        if alive is not self._announced:
            self._announced = alive
            self._emit(TransportUp(self.transport_id) if alive else TransportDown(self.transport_id))

    async def close(self) -> None:
        """Free everything at once. The peer is told by close_notify, if there ever was one."""
        if self._closed:
            return
        self._closed = True
        self.rx = self.tx = None
        if self.peer is not None:
            self.peer.peer = None
            self.peer = None
        self._held.clear()
        await self._dtls.close()
        for address in self._addresses:
            address.forget()
        self._addresses.clear()
        self.destination = None


_NOT_PICTURES: Final = frozenset({"rtx", "red", "ulpfec", "flexfec-03"})
"""Video payload formats whose streams cannot be asked for a keyframe."""
