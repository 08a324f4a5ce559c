"""Path validation: answers to the peers' connectivity checks, and the relay's own checks, which show where a peer receives.

A participant knows its password and can forge the source of a check; an observer can send a check again from elsewhere. So a
check by itself moves no transport once DTLS has begun, not even with USE-CANDIDATE: the relay asks the new address (a triggered
check, RFC 8445 section 7.3.1.4), and media goes on to the old one until the answer is there.
"""

import asyncio
import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Final

from aioice import stun

from relay.counting import HostCounts
from relay.media.net.udp import Remote, UdpSocket
from relay.media.quality.counters import MediaCounters
from relay.media.routing.direct import ForwardingSocket
from relay.media.routing.unvalidated import UnvalidatedPackets
from relay.media.transport.ice import FOLLOW_AFTER_SILENCE, ROAM_AFTER_SILENCE
from relay.media.transport.path import AMPLIFICATION
from relay.media.transport.peer_reflexive import CHECK_INTERVAL, AddressProbe, AddressProbes, CheckedAddresses
from relay.media.transport.transport import Transport
from relay.rtp.packet import ssrc_of
from relay.stun import is_check, local_ufrag, parse

MAX_FAILURES: Final = 1000
"""STUN messages of one host that may fail per tick before its next ones are not looked at: one that guesses passwords gets no
further, and an office behind one address, whose browsers still check calls that have ended, stays far below."""

MAX_FAILING_HOSTS: Final = 10_000
"""Hosts that are counted one by one; more than that are a flood with forged addresses, and share one count."""


class PathValidation:
    """Takes what comes from addresses, and lets transports follow their peers.

    Args:
        transports: those that are open, at any time, by id.
        by_ufrag: the same, by each ufrag that the relay has given them and that is still good.
        max_failures, max_failing_hosts: see the constants.
    """

    def __init__(
        self,
        transports: Mapping[str, Transport],
        by_ufrag: dict[str, Transport],
        counters: MediaCounters,
        *,
        max_failures: int = MAX_FAILURES,
        max_failing_hosts: int = MAX_FAILING_HOSTS,
    ) -> None:
        self._max_failures = max_failures
        self._transports = transports
        self._by_ufrag = by_ufrag
        self._counters = counters
        self._failures = HostCounts(max_failing_hosts)
        """STUN messages of each host that failed, since the last tick."""
        self._unvalidated = UnvalidatedPackets(transports, counters)
        self._probes = AddressProbes()
        self._checked = CheckedAddresses()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._loop = asyncio.get_running_loop()

    def tick(self, now: float) -> None:
        """Begin a new count. Called every second."""
        self._failures.clear()
        self._unvalidated.tick()
        self._probes.forget_silent(now)

    def forget(self, transport_id: str) -> None:
        """The transport is closed."""
        self._probes.forget_transport(transport_id)
        self._checked.forget_transport(transport_id)

    def described(self, transport: Transport) -> None:
        """The peer's credentials may have changed: addresses that were asked by old ones are asked at once by the new."""
        now = time.monotonic()
        for probe in self._probes.renew(transport.transport_id, transport.ice):
            self._send(probe, self._probes.due(probe, now))

    # -- STUN ---------------------------------------------------------------------------------------------------------

    def receive_stun(self, own: UdpSocket, datagram: bytes, raw: bytes, known: Remote | None, now: float) -> None:
        """Take a STUN message (`relay.media.routing.direct.StunSink`)."""
        counters = self._counters
        # A validated address is always heard: others could forge it to have it shut out.
        host = _host(own, raw)
        if known is None and self._failures.of(host) >= self._max_failures:
            counters["stun_limited"] += 1
            return
        problem = self._take_stun(datagram, _Arrival(own, raw, known, len(datagram), now))
        if problem is not None:
            counters[problem] += 1
            self._failures.add(host)

    def _take_stun(self, datagram: bytes, arrival: "_Arrival") -> str | None:
        """Do what a message asks for; the counter of what is wrong with it, else."""
        message = parse(datagram)
        if message is None:
            return "stun_malformed"
        if is_check(message):
            return self._take_check(message, arrival)
        if message.message_method is stun.Method.BINDING and message.message_class is stun.Class.RESPONSE:
            return self._take_answer(message, arrival)
        return "stun_ignored"

    def _take_check(self, message: stun.Message, arrival: "_Arrival") -> str | None:
        """Answer a connectivity check."""
        ufrag = local_ufrag(message) or ""
        transport = self._by_ufrag.get(ufrag)
        if transport is None:
            return "stun_unknown_ufrag"
        source = arrival.remote()
        answered = transport.ice.answer(message, ufrag, source.host_port)
        if answered is None:
            return "stun_unauthentic"
        if _is_taken(source, transport, arrival.now):
            return "stun_address_taken"
        if not transport.budget.admits_check(arrival.now):
            self._counters["stun_checks_limited"] += 1
            return None
        self._counters["stun_checks"] += 1
        source.send(answered.response)
        if answered.repeated:
            return None
        if ufrag == transport.ice.ufrag and transport.ice.previous_ufrag is not None:
            # The peer knows the new credentials. A late check with the old ones must not pull it back to where it was.
            self._by_ufrag.pop(transport.ice.previous_ufrag, None)
            transport.ice.forget_previous()
        credit = AMPLIFICATION * arrival.octets - len(answered.response)
        if transport.path.settled and source is not transport.path.selected:
            self._checked_elsewhere(transport, source, arrival, credit, nominates=answered.nominates)
        else:
            if source.transport is not transport:
                # A machine with many interfaces checks from all of them before it begins DTLS by one: that one is known to be the
                # peer's also if later ones have taken its place in the routes.
                self._checked.add(arrival.address, transport.transport_id)
            source = _claim(source, transport, arrival)
            transport.checked(source, credit, arrival.now, nominates=answered.nominates)
        return None

    def _checked_elsewhere(
        self, transport: Transport, source: Remote, arrival: "_Arrival", credit: int, *, nominates: bool
    ) -> None:
        """An authentic check came from another address than the selected one: ask there what the peer seems to want."""
        if source.transport is transport:
            source.last_seen = arrival.now
        else:
            # Such an address stays outside of the routes: its packets, not only its checks, may lead the way there.
            self._checked.add(arrival.address, transport.transport_id)
        nomination = transport.path.nominated() if nominates else 0
        if not nominates:
            if transport.silence(arrival.now) <= ROAM_AFTER_SILENCE:
                return
            # Firefox does not nominate again after its network changed. But the old address may only have had nothing to say.
            transport.path.probe(transport.ice, arrival.now)
        self._ask(transport, arrival, credit, nomination=nomination)

    # -- the relay's own checks ---------------------------------------------------------------------------------------

    def _ask(
        self, transport: Transport, arrival: "_Arrival", credit: int, *, nomination: int = 0, by_media: bool = False
    ) -> None:
        """Ask an address, if what came from there suffices, whether the peer is there."""
        probe = self._probes.heard(transport.transport_id, transport.ice, arrival.address, credit, arrival.now)
        probe.nomination = max(probe.nomination, nomination)
        probe.by_media = probe.by_media or by_media
        if probe.remote is None:
            probe.remote = Remote(arrival.own, arrival.raw)
        self._send(probe, self._probes.due(probe, arrival.now))

    def _send(self, probe: AddressProbe, check: bytes | None) -> None:
        if check is None:
            return
        self._counters["checks_sent"] += 1
        probe.remote.send(check)
        self._again_later(probe)

    def _again_later(self, probe: AddressProbe) -> None:
        if not probe.repeats and self._probes.waits(probe):
            probe.repeats = True
            assert self._loop is not None, "nothing arrives before the start"
            self._loop.call_later(CHECK_INTERVAL, self._repeat, probe)

    def _repeat(self, probe: AddressProbe) -> None:
        """A check or its answer may have been lost: ask again, for as long as what came from there allows."""
        probe.repeats = False
        if self._probes.waits(probe):
            self._send(probe, self._probes.due(probe, time.monotonic()))

    def _take_answer(self, answer: stun.Message, arrival: "_Arrival") -> str | None:
        """Follow a peer to where it has answered our own check; or know that it still receives where it is."""
        known, now = arrival.known, arrival.now
        probe = self._probes.asked(answer.transaction_id, arrival.address)
        if probe is None:
            authentic = known.transport.consented(answer, known, now) if known is not None else None
            if authentic:
                self._counters["consent_checks_answered"] += 1
                return None
            return "stun_ignored" if authentic is None else "stun_unauthentic"
        if not probe.signed(answer):
            return "stun_unauthentic"
        transport = self._transports[probe.transport_id]
        source = arrival.remote()
        if _is_taken(source, transport, now):
            return "stun_address_taken"
        source = _claim(source, transport, arrival)
        self._counters["checks_answered"] += 1
        transport.answered(source, now, nomination=probe.nomination, by_media=probe.by_media)
        if source is transport.path.selected or transport.silence(now) <= ROAM_AFTER_SILENCE:
            self._probes.forget(probe)
        else:
            # Whether the peer has left the selected address shows when that has had time to answer.
            probe.octets += AMPLIFICATION * arrival.octets
            self._again_later(probe)
        return None

    # -- what comes from addresses that are not the transport's yet -----------------------------------------------------

    def receive_unvalidated(self, own: ForwardingSocket, start: int, length: int, now: float) -> None:
        """Take SRTP or SRTCP (`relay.media.routing.direct.UnvalidatedSink`)."""
        arrival = _Arrival(own, own.source(start), None, length, now)
        there = self._transport_at(arrival.address)
        senders = [one for one in self._unvalidated.senders(ssrc_of(own.octets, start)) if one is not there]
        if there is not None:
            senders.insert(0, there)
        if not senders:
            self._counters["unknown_address"] += 1
            return
        transport = self._unvalidated.receive(senders, own.taken(start, length), _host(own, arrival.raw), now, own.kept)
        # While the selected address is alive, some packets merely took another way.
        if transport is not None and transport.silence(now) > FOLLOW_AFTER_SILENCE:
            self._ask(transport, arrival, length, by_media=True)

    def receive_unvalidated_dtls(self, own: UdpSocket, datagram: bytes, raw: bytes, now: float) -> None:
        """Take DTLS (`relay.media.routing.direct.UnvalidatedDtlsSink`)."""
        transport = self._transport_at((own, own.key(raw)))
        if transport is None:
            self._counters["unknown_address"] += 1
        else:
            self._counters["dtls_received"] += 1
            transport.receive_dtls(datagram, now)

    def _transport_at(self, address: Hashable) -> Transport | None:
        """Whose peer has checked that address, although it stays where it is."""
        return self._transports.get(self._checked.transport_at(address) or "")


@dataclass(frozen=True, slots=True)
class _Arrival:
    """Where a datagram came from, and when."""

    own: UdpSocket
    raw: bytes
    """The source, as the kernel wrote it."""
    known: Remote | None
    """The same, if it is in the routes."""
    octets: int
    now: float

    @property
    def address(self) -> Hashable:
        return self.own, self.own.key(self.raw)

    def remote(self) -> Remote:
        return self.known or Remote(self.own, self.raw)


def _host(own: UdpSocket, raw: bytes) -> bytes:
    """What counts as one sender, of a struct sockaddr_in or sockaddr_in6: an IPv4 address, or an IPv6 /64 (RFC 6177)."""
    return raw[8:16] if own.is_ipv6 else raw[4:8]


def _is_taken(source: Remote, transport: Transport, now: float) -> bool:
    """Whether the address is that of another live transport."""
    owner = source.transport
    # A participant, who knows its own password, could otherwise take over the address of another one by forging its source.
    # A peer that only listens is rarely heard, so that the longer patience counts.
    return owner is not None and owner is not transport and now - source.last_seen <= owner.timing.quiet_silence


def _claim(source: Remote, transport: Transport, arrival: _Arrival) -> Remote:
    """The address as the transport's. It is taken from another one that has fallen silent."""
    owner = source.transport
    if owner is not None and owner is not transport:
        owner.lose_address(source)
        source = Remote(arrival.own, arrival.raw)  # the old one stays as silent as it is, for its old owner
    arrival.own.routes[source.key] = source
    return source
