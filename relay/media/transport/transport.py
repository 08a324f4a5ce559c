"""A transport: the relay's end of one device's ICE + DTLS + SRTP path, whose parts each have a module of their own.

Where the peer is: `path`. Its handshake: `dtls`. What it sends: `received`. What the forwarding path reads: `forwarding`. What
waits: `buffers`. What it was not sent: `gap`. Here is how they act together, when something changes.
"""

import time
import weakref
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, ParamSpec

from aioice import stun
from aiortc import RTCCertificate

from relay.media.api import MediaDescription, TransportEvent, TransportParameters
from relay.media.net.dtls_srtp import fingerprints, protect
from relay.media.quality.counters import MediaCounters
from relay.media.transport.buffers import EarlyPackets
from relay.media.transport.dtls import DtlsAssociation
from relay.media.transport.events import TransportEvents
from relay.media.transport.forwarding import ForwardingState
from relay.media.transport.gap import SendingGap
from relay.media.transport.ice import IceAgent, IceCredentials
from relay.media.transport.keyframe_requests import KeyframeRequests
from relay.media.transport.path import Move, Path, RemoteAddress
from relay.media.transport.policing import Budget
from relay.media.transport.received import ReceivedStreams
from relay.media.transport.timing import USUAL, Timing
from relay.rtp import rtcp
from relay.settings.media import UNLIMITED, MediaLimits

VIDEO_LOST_AFTER: Final = 1.0
"""Seconds of silence on the selected address after which key frames are requested when the peer is somewhere else: the relay's
history mends shorter ones."""

RELAY_SSRC: Final = 1
"""Sender SSRC of the RTCP packets that the relay makes itself; what receive-only browsers use too."""


Arguments = ParamSpec("Arguments")


class Transport(ForwardingState["Transport"]):
    """One path to one device.

    Args:
        certificate: the relay's, which it shows on this transport.
        emit: takes the transport's events for the signaling plane.
        limits: what the peer may send.

    Attributes:
        fingerprints: of the certificate.
        received: what the peer sends.
        gap: what the other party sent and this peer was not sent.
        loses_many: of what it is sent, the peer loses so much that some packets are sent twice (`relay.media.repair`).
        budget: what the peer may still send.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_dtls",
        "_early",
        "_events",
        "_keyframe_requests",
        "_policed",
        "budget",
        "counters",
        "fingerprints",
        "gap",
        "ice",
        "loses_many",
        "on_tap_failed",
        "path",
        "received",
        "router",
        "ssrcs",
        "statistics",
        "timing",
        "transport_id",
    )

    def __init__(
        self,
        transport_id: str,
        certificate: RTCCertificate,
        emit: Callable[[TransportEvent], None],
        counters: MediaCounters,
        now: float,
        limits: MediaLimits = UNLIMITED,
        timing: Timing = USUAL,
    ) -> None:
        # Its parts must not keep it: in reference cycles, two transports for each call would wait for the garbage collector.
        self.received = ReceivedStreams((RELAY_SSRC,), _weakly(self._note_retransmission), now)
        super().__init__(self.received.live, self.received.read_payload)
        self.statistics = self.received.statistics
        self.ssrcs = self.received.ssrcs
        self.transport_id = transport_id
        self.timing = timing
        self.counters = counters
        self.fingerprints = fingerprints(certificate)
        self.ice = IceAgent()
        self.path = Path(self, counters, timing)
        self.router: Any = None
        """That it belongs to (`relay.media.routing.router`)."""
        self.budget = Budget(limits, now, timing.first_exclusion)
        self.gap = SendingGap(weakref.proxy(self))
        self.loses_many = False
        self.on_tap_failed: Callable[[str], None] | None = None
        """Is told why the tap was taken off. Called for the packet that the tap failed with, so it is to return at once."""
        self._dtls = DtlsAssociation(
            *(certificate, self.path, self.budget, counters),
            on_keys=_weakly(self._keys),
            on_closed=_weakly(self._lost),
            on_record=_weakly(self._forward_record),
        )
        self._early = EarlyPackets(counters)
        self._keyframe_requests = KeyframeRequests(
            self.statistics.streams, self.budget, _weakly(self.send_rtcp), RELAY_SSRC, counters
        )
        self._events = TransportEvents(transport_id, emit, timing.report_interval, now)
        self._policed: Any = None
        """What `rx` was before the peer had sent too much, until it is heard again."""
        self._closed = False

    def silence(self, now: float) -> float:
        """Seconds since something authentic arrived from the selected address."""
        return self.path.silence(now)

    # -- ICE ----------------------------------------------------------------------------------------------------------

    def checked(self, address: RemoteAddress, credit: int, now: float, *, nominates: bool) -> None:
        """An authentic check came from the selected address, or before DTLS from any: arguments as of `Path.checked`."""
        self._moved(self.path.checked(address, credit, now, nominates=nominates))
        # RFC 8445 section 7.3.1.4: a check triggers one in the other direction.
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

    def lose_address(self, address: RemoteAddress) -> None:
        """The address is another transport's."""
        self.path.lose(address)
        self.destination = self.path.destination

    def _heard_at(self, address: RemoteAddress) -> None:
        if address is self.path.destination:
            self.gap.path_is_back()

    def _moved(self, move: Move | None) -> None:
        self.destination = self.path.destination
        if move is None:
            return
        if move.first:
            self._dtls.path_found()
        elif move.silence > VIDEO_LOST_AFTER:
            self._request_keyframes_of_both()

    # -- description and DTLS -----------------------------------------------------------------------------------------

    def connect(self, remote: TransportParameters, media: tuple[MediaDescription, ...], now: float) -> None:
        """Start DTLS with a peer that is now known, on checks already validated."""
        self.describe(remote, media)
        self._dtls.connect(remote)
        self.path.ask(self.ice, now)

    def describe(self, remote: TransportParameters, media: tuple[MediaDescription, ...]) -> None:
        """The peer's ICE credentials, and what it sends, from now on."""
        self.ice.peer = IceCredentials(remote.ufrag, remote.pwd)
        self.received.describe(media)

    def receive_dtls(self, datagram: bytes, now: float, address: RemoteAddress | None = None) -> None:
        """Take a DTLS datagram; `address` is where it came from, if that is this transport's."""
        self._dtls.receive(datagram, now, address)

    def _keys(self, rx: Any, tx: Any) -> None:
        self.counters["dtls_handshakes"] += 1
        self.rx, self.tx = rx, tx
        # Every flight went to the selected address: a peer that could finish the handshake has received there.
        self.path.confirmed(self.path.selected.last_seen)
        if self.peer is not None:
            self.peer.send_buffered()
        self._events.tell(True, self.path.selected.host_port)

    def _lost(self, reason: str) -> None:
        if reason == "dtls_failed":
            self.counters["dtls_failed"] += 1
        self.rx = self.tx = self._policed = None
        self.gap.close()
        self._events.closed(reason)

    # -- what arrives too early ---------------------------------------------------------------------------------------

    def receive_early(self, datagram: bytes) -> None:
        """Keep SRTP that comes before the keys.

        A DTLS server sends media right behind its last flight (RFC 6347 section 4.2.4), and the handshake is read a moment later.
        """
        if self._policed is not None:
            self.counters["dropped_policed"] += 1
        elif not self._dtls.shaking_hands or not self._early.add_datagram(datagram):
            self.counters["srtp_early"] += 1

    def take_early(self) -> list[bytes]:
        """What was kept until the keys were there, once."""
        return self._early.take_datagrams()

    def buffer(self, packet: bytes, *, is_rtcp: bool) -> None:
        """Keep a decrypted packet until the other party's transport is up; drop it if that was, and its path is dead."""
        if self.peer is not None and self.peer.gap.waits:
            self.counters["dropped_unreachable"] += 1
        else:
            self._early.add_packet(packet, is_rtcp=is_rtcp)

    @property
    def has_buffered(self) -> bool:
        """Whether packets wait for the other party, or were too many."""
        return self._early.has_packets

    def send_buffered(self) -> None:
        """Send on what was buffered, if the other party's transport is up. If it was too much, request key frames."""
        peer = self.peer
        if peer is None or peer.tx is None:
            return
        for record in self._early.take_records():
            self._forward_record(record)
        packets, overflowed = self._early.take_packets()
        for is_rtcp, packet in packets:
            peer.send(packet, is_rtcp=is_rtcp)
        if overflowed:
            self.request_keyframes()

    def _forward_record(self, record: bytes) -> None:
        """Take one data channel record across. SCTP sends again what is dropped here, the first of all after a second."""
        peer = self.peer
        if peer is not None and peer._dtls.send_record(record):
            self.counters["data_messages"] += 1
        elif peer is None or peer.tx is not None or not self._early.add_record(record):
            self.counters["data_dropped"] += 1

    # -- what the relay sends the peer --------------------------------------------------------------------------------

    def send(self, packet: bytes, *, is_rtcp: bool) -> None:
        """Encrypt an RTP or RTCP packet for the peer and send it. Only when the transport is up."""
        protected = protect(self.tx, packet, rtcp=is_rtcp)
        if protected is None:
            self.counters["dropped_unprotectable"] += 1
        else:
            self.counters["packets_sent"] += 1
            self.destination.send(protected)

    def send_rtcp(self, compound: bytes) -> None:
        """The same, of a compound RTCP packet."""
        self.send(compound, is_rtcp=True)

    def send_rtp(self, packet: bytes) -> None:
        """The same, of an RTP packet."""
        self.send(packet, is_rtcp=False)

    def request_packets(self, ssrc: int, sequences: Sequence[int]) -> None:
        """Ask the peer to send these again (NACK, RFC 4585 section 6.2.1). Only when the transport is up."""
        self.counters["packets_requested"] += len(sequences)
        self.send_rtcp(rtcp.nack(RELAY_SSRC, ssrc, sequences))

    def request_keyframes(self) -> None:
        """Ask the peer for a key frame of each of its video streams, at once or as soon as that may be."""
        if self.tx is not None:
            self._keyframe_requests.send(time.monotonic())
        else:
            self._keyframe_requests.due = False

    def request_keyframe(self, ssrc: int, now: float) -> None:
        """Ask the peer for a key frame of one stream, unless that was done a moment ago. Only when the transport is up."""
        self._keyframe_requests.send_one(ssrc, now)

    def _request_keyframes_of_both(self) -> None:
        """The path was dead for a while: video is lost, and so is what the parties have asked for since."""
        self.request_keyframes()
        if self.peer is not None:
            self.peer.request_keyframes()

    # -- what the peer sends ------------------------------------------------------------------------------------------

    def forget_stream(self, ssrc: int) -> None:
        """The peer has not used this SSRC for long, and will not be heard under it again."""
        self.received.forget(ssrc)
        if self.gap.other is not None:
            self.gap.other.gap.forget(ssrc)

    def retransmissions_of(self, ssrc: int) -> int | None:
        """The SSRC by which the peer sends again what was lost of a stream (RFC 4588); None while unknown."""
        return self.received.retransmissions_of(ssrc)

    def _note_retransmission(self, ssrc: int, original: int, sequence: int) -> None:
        if self.peer is not None:
            self.peer.history.retransmitted(ssrc, original, sequence)

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

    # -- life ---------------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Say when the peer has fallen silent and when it is back, and how good the path is. Called every second."""
        if self.rx is None and self._policed is None:
            return
        if self._keyframe_requests.due:
            self.request_keyframes()
        alive = self.path.tick(self.ice, now)
        self.destination = self.path.destination
        remote = self.path.selected.host_port
        if self._events.is_news(alive):
            if alive:
                self.gap.path_is_back()
                self._request_keyframes_of_both()
            self._events.tell(alive, remote)
        self.gap.tick(alive=alive)
        self.received.tick(self.timing.stream_silence, now)
        if alive:
            self._events.report(self.statistics, remote, now)

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
        self._early.clear()
        await self._dtls.close()
        self.path.close()
        self.destination = None


def _weakly(method: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """The method as a function that does not keep what it is of."""
    weak = weakref.WeakMethod(method)

    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        found = weak()
        if found is not None:
            found(*args, **kwargs)

    return call
