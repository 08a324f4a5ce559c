"""A transport: the relay's end of one device's ICE + DTLS + SRTP path, and what the forwarding path must know of it."""

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from aioice import stun
from aiortc import RTCCertificate

from relay.media.api import (
    DtlsRole,
    MediaDescription,
    MediaEvent,
    TransportClosed,
    TransportDown,
    TransportParameters,
    TransportReport,
    TransportUp,
)
from relay.media.net.dtls_srtp import DtlsSrtp, fingerprints, protect
from relay.media.quality.counters import MediaCounters
from relay.media.quality.statistics import SNAPSHOT_INTERVAL, LegStatistics, RetransmissionStatistics, StreamStatistics
from relay.media.repair.history import PacketHistory
from relay.media.transport.gap import SendingGap
from relay.media.transport.ice import Credentials, IceAgent
from relay.media.transport.path import Move, Path, RemoteAddress
from relay.media.transport.payloads import PayloadFormats, repeated_sequence
from relay.media.transport.policing import Budget
from relay.media.transport.ssrcs import SsrcTable
from relay.rtp import rtcp
from relay.rtp.packet import PAYLOAD_TYPE
from relay.settings.media import UNLIMITED, MediaLimits

PICTURES_LOST_AFTER: Final = 1.0
"""Seconds of silence on the selected address after which pictures are started afresh when the peer is somewhere else: the relay's
history mends shorter ones."""

MAX_HELD: Final = 256
"""Packets kept while the other party's transport comes up, about half a second of HD video. When more come, all are dropped and a
keyframe is requested instead: late pictures help nobody."""

MAX_EARLY: Final = 64
"""SRTP datagrams kept until their keys are there: a peer may send its first key frame in the last round trip of the handshake."""

MAX_HELD_DATA: Final = 16
"""Data channel records kept while the other party's transport comes up: an SCTP association begins with a single one."""

SILENT_AFTER: Final = 10.0
"""Seconds without a packet of a stream, after which its next one is looked at closely: its sender may have sent on unheard, up to
2^15 packets within that time at any rate that there is."""

RELAY_SSRC: Final = 1
"""Sender SSRC of the RTCP packets that the relay makes itself; what receive-only browsers use too."""


class Transport:
    """One path to one device.

    `rx`, `tx`, `peer`, `tap`, `destination`, `streams` and `sent` are what `routing.direct` uses for every packet; everything
    else is for when something changes.
    """

    __slots__ = (
        "_announced",
        "_closed",
        "_dtls",
        "_early",
        "_emit",
        "_held",
        "_held_data",
        "_keyframes_due",
        "_overflowed",
        "_policed",
        "_remote",
        "_reported_at",
        "budget",
        "counters",
        "destination",
        "fingerprints",
        "formats",
        "gap",
        "history",
        "ice",
        "loses_many",
        "path",
        "peer",
        "router",
        "rx",
        "searches",
        "sent",
        "ssrcs",
        "statistics",
        "streams",
        "tap",
        "transport_id",
        "tx",
    )

    def __init__(
        self,
        transport_id: str,
        certificate: RTCCertificate,
        emit: Callable[[MediaEvent], None],
        counters: MediaCounters,
        now: float,
        limits: MediaLimits = UNLIMITED,
    ) -> None:
        self.transport_id = transport_id
        self.fingerprints = fingerprints(certificate)
        """Of the certificate that the relay shows on this transport."""
        self.ice = IceAgent()
        self.rx: Any = None
        """libsrtp session for what the peer sends; None before the handshake is done."""
        self.tx: Any = None
        """libsrtp session for what the peer receives."""
        self.peer: Transport | None = None
        """The other transport of the call."""
        self.router: Any = None
        """That it belongs to (`relay.media.routing.router`)."""
        self.tap: Callable[[bytes, float], None] | None = None
        """Is handed each packet that arrives, decrypted, and the time (seconds, monotonic): once, in order of arrival. It must
        not block. None: packets are not copied."""
        self.destination: Any = None
        """Where `path` sends to (`relay.media.net.udp.Remote`, or what takes its place); set before `tx` is."""
        self.statistics = LegStatistics(now)
        self.streams: dict[int, StreamStatistics] = {}
        """What the peer sends, by SSRC, as far as it was heard in the last `SILENT_AFTER` seconds; `statistics` has them all."""
        self.ssrcs = SsrcTable(self.statistics.streams, own=(RELAY_SSRC,))
        """SSRCs that authentic packets of the peer have carried, RTCP senders that send no media included."""
        self.history = PacketHistory()
        """What was sent to the peer a moment ago."""
        self.sent = self.history.streams
        self.loses_many = False
        """Of what it is sent, the peer loses so much that some packets are sent twice (`relay.media.repair.retransmission`)."""
        self.searches = 0
        """For rollover counters, since the last tick."""
        self.counters = counters
        self.path = Path(self, counters)
        self._emit = emit
        self._dtls = DtlsSrtp(certificate, self.path.send_dtls, self._keys, self._lost, self._forward_data)
        self._remote: TransportParameters | None = None
        self.formats = PayloadFormats()
        """What the payload types of the peer's packets mean."""
        self._announced: bool | None = None
        self._reported_at = now
        self._closed = False
        self._held: list[tuple[bool, bytes]] = []
        self._held_data: list[bytes] = []
        self._early: list[bytes] = []
        self._overflowed = False
        self._keyframes_due = False
        """A key frame is to be requested as soon as it may be."""
        self._policed: Any = None
        """What `rx` was before the peer had sent too much, until it is heard again."""
        self.budget = Budget(limits, now)
        """What the peer may send."""
        self.gap = SendingGap(self)
        """What the other party sent and this peer was not sent."""

    def silence(self, now: float) -> float:
        """Seconds since something authentic arrived from the selected address."""
        return self.path.silence(now)

    # -- ICE ----------------------------------------------------------------------------------------------------------

    def checked(self, address: RemoteAddress, credit: int, now: float, *, nominates: bool) -> None:
        """An authentic check came from the selected address, or before DTLS from any: arguments as of `Path.checked`."""
        self._moved(self.path.checked(address, credit, now, nominates=nominates))
        if address is self.path.selected and self.path.consent.stale(now):
            self.path.ask(self.ice, now)
        self._heard_at(address)

    def answered(self, address: RemoteAddress, now: float, *, nomination: int, by_media: bool) -> None:
        """The peer has answered a check at another address than the selected one: arguments as of `Path.answered`."""
        self._moved(self.path.answered(address, now, nomination=nomination, by_media=by_media))
        self._heard_at(address)

    def consented(self, answer: stun.Message, address: RemoteAddress, now: float) -> bool | None:
        """Take an answer to a check of the selected address: arguments and result as of `Path.consented`."""
        authentic = self.path.consented(answer, address, now)
        self.destination = self.path.destination
        if authentic:
            self._heard_at(address)
        return authentic

    def _heard_at(self, address: RemoteAddress) -> None:
        if address is self.path.destination:
            self.gap.path_is_back()

    def lose_address(self, address: RemoteAddress) -> None:
        """The address is another transport's."""
        self.path.lose(address)
        self.destination = self.path.destination

    def _moved(self, move: Move | None) -> None:
        self.destination = self.path.destination
        if move is None:
            return
        if move.first:
            if self._remote is not None and self._remote.role is DtlsRole.PASSIVE:
                self._dtls.start(self._remote)
        elif move.silence > PICTURES_LOST_AFTER:
            self._refresh_pictures()

    # -- DTLS ---------------------------------------------------------------------------------------------------------

    def connect(self, remote: TransportParameters, media: tuple[MediaDescription, ...], now: float) -> None:
        """Start DTLS with a peer that is now known, on checks already validated."""
        assert self._remote is None, "a transport is connected once"
        self._remote = remote
        self.describe(remote, media)
        # A DTLS server waits for the peer's first flight; a client needs to know where to send its own.
        if remote.role is not DtlsRole.PASSIVE or self.destination is not None:
            self._dtls.start(remote)
        self.path.ask(self.ice, now)

    def describe(self, remote: TransportParameters, media: tuple[MediaDescription, ...]) -> None:
        """The peer's ICE credentials, and what it sends, from now on."""
        self.ice.peer = Credentials(remote.ufrag, remote.pwd)
        self.formats = PayloadFormats(media)
        self.ssrcs.describe(ssrc for section in media for ssrc in section.ssrcs)
        # A stream may have begun before the description that explains it arrived.
        for stream in self.statistics.streams.values():
            self._classify(stream)

    def receive_dtls(self, datagram: bytes, now: float, address: RemoteAddress | None = None) -> None:
        """Take a DTLS datagram; `address` is where it came from, if that is this transport's."""
        if not self.budget.admits_data(len(datagram), now):
            self.counters["dtls_limited"] += 1
            return
        if address is not None:
            self.path.received(address, len(datagram))
        if not self._dtls.receive(datagram):
            self.counters["dtls_overflow"] += 1

    def _keys(self, rx: Any, tx: Any) -> None:
        self.counters["dtls_handshakes"] += 1
        self.rx, self.tx = rx, tx
        self._announced = True
        # Every flight went to the selected address: who could finish the handshake has received there.
        self.path.confirmed(self.path.selected.last_seen)
        if self.peer is not None:
            self.peer.release_held()
        self._emit(TransportUp(self.transport_id, self.path.selected.host_port))

    def _lost(self, reason: str) -> None:
        if reason == "dtls_failed":
            self.counters["dtls_failed"] += 1
        self.rx = self.tx = self._policed = None
        self.gap.close()
        self._emit(TransportClosed(self.transport_id, reason))

    def receive_early(self, datagram: bytes) -> None:
        """Keep SRTP that comes before the keys.

        A DTLS server sends media right behind its last flight (RFC 6347 section 4.2.4), and the handshake is read a moment later.
        """
        if self._policed is not None:
            self.counters["dropped_policed"] += 1
        elif self._dtls.shaking_hands and len(self._early) < MAX_EARLY:
            self._early.append(datagram)
        else:
            self.counters["srtp_early"] += 1

    def take_early(self) -> list[bytes]:
        """What was kept, which is handed out once."""
        early, self._early = self._early, []
        return early

    def _forward_data(self, record: bytes) -> None:
        """Take one data channel record across. SCTP sends again what is dropped here, the first of all after a second."""
        peer = self.peer
        if peer is not None and peer._dtls.send(record):
            self.counters["data_messages"] += 1
        elif peer is not None and peer.tx is None and len(self._held_data) < MAX_HELD_DATA:
            self._held_data.append(record)
        else:
            self.counters["data_dropped"] += 1

    # -- forwarding, when it is not the plain case --------------------------------------------------------------------

    def open_stream(self, ssrc: int, payload_type: int, sequence: int, timestamp: int, now: float) -> StreamStatistics:
        """Begin to count a stream, with its first authentic packet."""
        kind = RetransmissionStatistics if self.formats.is_retransmission(payload_type) else StreamStatistics
        stream = self.statistics.open_stream(ssrc, self.formats.clock_rate(payload_type), sequence, timestamp, now, kind)
        stream.payload_type = payload_type
        self._classify(stream)
        return stream

    def forget_stream(self, ssrc: int) -> None:
        """The peer has not used this SSRC for long, and will not be heard under it again."""
        self.streams.pop(ssrc, None)
        self.statistics.forget(ssrc)
        if self.gap.other is not None:
            self.gap.other.gap.forget(ssrc)

    def _classify(self, stream: StreamStatistics) -> None:
        stream.is_video = self.formats.is_picture(stream.payload_type)
        shows = self.formats.may_show_pictures(stream.payload_type)
        stream.is_read = shows or self.formats.is_retransmission(stream.payload_type)

    def read_payload(self, stream: StreamStatistics, packet: memoryview, timestamp: int) -> None:
        """Count the keyframe that a decrypted packet may begin; note which packet it repeats."""
        payload_type = packet[1] & PAYLOAD_TYPE
        if not stream.is_read:
            return
        if self.formats.is_retransmission(payload_type):
            original = repeated_sequence(packet)
            if original is not None and self.peer is not None:
                self.peer.history.retransmitted(stream.ssrc, original, packet[2] << 8 | packet[3])
            return
        if payload_type != stream.payload_type:
            # The codec was changed in mid-call, or the first packet to arrive was one that repairs others.
            stream.payload_type = payload_type
            stream.is_video |= self.formats.is_picture(payload_type)
        if self.formats.begins_keyframe(packet):
            stream.keyframe(timestamp)

    def retransmissions_of(self, ssrc: int) -> int | None:
        """The SSRC by which the peer sends again what was lost of a stream (RFC 4588); None while unknown."""
        formats = self.formats
        found = [
            other
            for other, stream in self.statistics.streams.items()
            if formats.is_retransmission(stream.payload_type) and formats.together(ssrc, other)
        ]
        return found[0] if len(found) == 1 else None

    def send_rtcp(self, compound: bytes) -> None:
        """Encrypt a compound packet for the peer and send it. Only when the transport is up."""
        protected = protect(self.tx, compound, rtcp=True)
        if protected is None:
            self.counters["dropped_unprotectable"] += 1
        else:
            self.counters["packets_sent"] += 1
            self.destination.send(protected)

    def request_packets(self, ssrc: int, sequences: Sequence[int]) -> None:
        """Ask the peer to send these again (NACK, RFC 4585 section 6.2.1). Only when the transport is up."""
        self.counters["packets_requested"] += len(sequences)
        self.send_rtcp(rtcp.nack(RELAY_SSRC, ssrc, sequences))

    def hold(self, packet: bytes, *, is_rtcp: bool) -> None:
        """Keep a decrypted packet until the other party's transport is up; drop it if that was, and its path is dead."""
        if self.peer is not None and self.peer.gap.waits:
            self.counters["dropped_unreachable"] += 1
        elif self._overflowed:
            self.counters["dropped_overflow"] += 1
        elif len(self._held) < MAX_HELD:
            self._held.append((is_rtcp, packet))
        else:
            self._overflowed = True
            self.counters["dropped_overflow"] += len(self._held) + 1
            self._held.clear()

    @property
    def holds_packets(self) -> bool:
        return bool(self._held) or self._overflowed

    def release_held(self) -> None:
        """Send on what was held: the other party's transport is up. If it took too long, ask for a fresh picture."""
        peer = self.peer
        if peer is None or peer.tx is None:
            return
        records, self._held_data = self._held_data, []
        for record in records:
            self.counters["data_held"] += 1
            self._forward_data(record)
        held, self._held = self._held, []
        for is_rtcp, packet in held:
            self.counters["packets_held"] += 1
            if is_rtcp:
                peer.send_rtcp(packet)
            else:
                peer.send_rtp(packet)
        if self._overflowed:
            self._overflowed = False
            self.request_keyframes()

    def send_rtp(self, packet: bytes) -> None:
        """Encrypt an RTP packet for the peer and send it. Only when the transport is up."""
        protected = protect(self.tx, packet, rtcp=False)
        if protected is None:
            self.counters["dropped_unprotectable"] += 1
        else:
            self.counters["packets_sent"] += 1
            self.destination.send(protected)

    def request_keyframes(self) -> None:
        """Ask the peer for a fresh picture of each of its video streams (PLI, RFC 4585 section 6.3.1)."""
        self._keyframes_due = False
        if self.tx is None:
            return
        for ssrc, stream in self.statistics.streams.items():
            if not stream.is_video:
                continue
            if self.budget.requests_keyframe(ssrc, time.monotonic()):
                self.counters["keyframes_requested"] += 1
                self.send_rtcp(rtcp.pli(RELAY_SSRC, ssrc))
            else:
                # The one that was requested a moment ago may have been lost, with whatever this request is for.
                self._keyframes_due = True

    def _refresh_pictures(self) -> None:
        """The path was dead for a while: pictures are lost, and so is what the parties have asked for since."""
        self.request_keyframes()
        if self.peer is not None:
            self.peer.request_keyframes()

    # -- life ---------------------------------------------------------------------------------------------------------

    def police(self, now: float) -> bool:
        """Whether the peer has sent more than it may. Its packets are dropped then, before they are decrypted, and counted."""
        excluded = self.budget.excluded(now)
        over = self.budget.look(self.statistics.streams.values(), now)
        self.counters["floods_filtered"] += not excluded and self.budget.excluded(now)
        if over and self.rx is not None:
            self.rx, self._policed = None, self.rx
        elif not over and self._policed is not None:
            self.rx, self._policed = self._policed, None
        return over

    def flooding_from(self, now: float) -> Collection[RemoteAddress]:
        """The peer's addresses, while it is excluded because it has flooded the relay."""
        return self.path.addresses if self.budget.excluded(now) else ()

    def tick(self, now: float) -> None:
        """Say when the peer has fallen silent and when it is back, and how good the path is. Called every second."""
        if self.rx is None and self._policed is None:
            return
        if self._keyframes_due:
            self.request_keyframes()
        alive = self.path.tick(self.ice, now)
        self.destination = self.path.destination
        if alive is not self._announced:
            self._announced = alive
            if alive:
                self.gap.path_is_back()
                self._refresh_pictures()
            up = TransportUp(self.transport_id, self.path.selected.host_port)
            self._emit(up if alive else TransportDown(self.transport_id))
        self.gap.tick(alive=alive)
        self.searches = 0
        for ssrc in [ssrc for ssrc, stream in self.streams.items() if now - stream.heard_at > SILENT_AFTER]:
            del self.streams[ssrc]
        # Half a tick early rather than a whole one late: timers are never exact.
        if alive and now - self._reported_at >= SNAPSHOT_INTERVAL - 0.5:
            self._reported_at = now
            self._emit(TransportReport(self.transport_id, self.statistics.snapshot(now), self.path.selected.host_port))

    def unroute(self) -> None:
        """Forward nothing to the other transport, and nothing of it."""
        peer = self.peer
        for one in (self, peer):
            if one is not None:
                one.gap.begin()
        self.peer = None
        if peer is not None and peer.peer is self:
            peer.peer = None

    async def close(self) -> None:
        """Free everything at once. The peer is told by close_notify, if there ever was one."""
        if self._closed:
            return
        self._closed = True
        self.rx = self.tx = self._policed = None
        self.gap.close()
        self._held.clear()
        self._held_data.clear()
        self._early.clear()
        await self._dtls.close()
        self.path.close()
        self.destination = None
