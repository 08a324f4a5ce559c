"""The media engine of one process: its sockets, and the transports and bridges that live on them."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

import ifaddr
from aioice import stun

from relay.counting import HostCounts
from relay.errors import ConfigurationError
from relay.media.api import (
    Candidate,
    DtlsRole,
    MediaDescription,
    MediaEventSink,
    TransportParameters,
)
from relay.media.bridge import join
from relay.media.counters import Counters
from relay.media.ice import FOLLOW_AFTER_SILENCE, local_ufrag, parse
from relay.media.io.dtls_srtp import Certificate
from relay.media.io.mmsg import ReceiveRing
from relay.media.io.udp import Remote, UdpSocket
from relay.media.newcomers import Checked, Newcomers
from relay.media.strays import Strays
from relay.media.transport import CONSENT_SILENCE, Transport

logger = logging.getLogger(__name__)

PORT_ATTEMPTS: Final = 10
"""Free ports to try when any one will do."""

MAX_FAILURES: Final = 1000
"""STUN messages of one host that may fail per tick before its next ones are not looked at: who guesses passwords gets no further,
and an office behind one address, whose browsers still check calls that have ended, stays far below."""

MAX_FAILING_HOSTS: Final = 10_000
"""Hosts that are counted one by one; more than that are a flood with forged addresses, and share one count."""

LOOPBACK: Final = "127.0.0.1"
"""Media listens here in any case: what does not come by UDP is carried here (`relay.front`)."""

TICK: Final = 1.0
"""Seconds between looks at which transports have fallen silent, and which are due to report."""


def local_addresses() -> list[str]:
    """Every address of this machine that a peer can be told of: IPv4 first, loopback last, no link-local ones."""
    found = []
    for adapter in ifaddr.get_adapters():
        for one in adapter.ips:
            address = one.ip if isinstance(one.ip, str) else one.ip[0]
            if not address.startswith(("fe80:", "169.254.")):
                found.append(address)
    return sorted(dict.fromkeys(found), key=lambda one: (one.startswith("127.") or one == "::1", ":" in one))


class LocalEngine:
    """A `MediaEngine` in this process. Make it, `start` it in the event loop that it shall live in, `close` it there.

    Args:
        on_event: takes what happens to transports.
        hosts: addresses to listen on; none: every address of this machine.
        port: UDP port, the same on each address; 0: any one that is free on all of them.
    """

    def __init__(self, on_event: MediaEventSink, hosts: Iterable[str] = (), port: int = 0) -> None:
        self._on_event = on_event
        self._hosts = tuple(hosts)
        self._port = port
        self._counters = Counters()
        self._certificate = Certificate()
        self._sockets: list[UdpSocket] = []
        self._advertised: tuple[str, ...] = ()
        """The hosts of the sockets that peers are told of."""
        self._transports: dict[str, Transport] = {}
        self._by_ufrag: dict[str, Transport] = {}
        self._bridges: dict[str, set[str]] = {}
        self._failures = HostCounts(MAX_FAILING_HOSTS)
        """STUN messages of each host that failed, since the last tick."""
        self._strays = Strays(self._transports, self._counters)
        self._newcomers = Newcomers()
        self._checked = Checked()
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> tuple[int, ...]:
        """Open the sockets.

        Returns:
            The UDP port that media comes in by, alone.

        Raises:
            ConfigurationError: the port is taken, or an address is not this machine's.
        """
        attempts = PORT_ATTEMPTS if self._port == 0 else 1
        for attempt in range(attempts):
            try:
                self._open_sockets()
            except ConfigurationError:
                # The free port of the first address may be taken on the next: another one will be free on all.
                if attempt == attempts - 1:
                    raise
            else:
                break
        if not self._sockets:
            raise ConfigurationError("media found no address to listen on")
        for one in self._sockets:
            one.start()
        self._tick()
        return (self._sockets[0].port,)

    @property
    def ports(self) -> tuple[int, ...]:
        """The UDP ports that media comes in by, at this moment."""
        return tuple(one.port for one in self._sockets[:1])

    def _open_sockets(self) -> None:
        rings: defaultdict[bool, ReceiveRing] = defaultdict(ReceiveRing)
        port = self._port
        hosts = self._hosts or local_addresses()
        self._advertised = tuple(hosts)
        for host in dict.fromkeys([*hosts, *(() if "0.0.0.0" in hosts else (LOOPBACK,))]):  # noqa: S104
            try:
                opened = UdpSocket(
                    host,
                    port,
                    rings[":" in host],
                    self._receive_stun,
                    self._receive_stray,
                    self._receive_stray_dtls,
                    self._counters,
                )
            except OSError as error:
                if ":" in host and not self._hosts:
                    continue  # an IPv6 address that is still tentative, say: the others will do
                self._close_sockets()
                raise ConfigurationError(f"media cannot listen on UDP {host} port {port}: {error.strerror}") from None
            self._sockets.append(opened)
            port = opened.port

    # -- MediaEngine --------------------------------------------------------------------------------------------------

    async def open_transport(self, bridge_id: str, transport_id: str) -> TransportParameters:
        assert transport_id not in self._transports, "transport ids are used once"
        transport = Transport(transport_id, self._certificate.current(), self._on_event, self._counters, time.monotonic())
        self._transports[transport_id] = self._by_ufrag[transport.ice.ufrag] = transport
        self._bridges.setdefault(bridge_id, set()).add(transport_id)
        self._counters["transports_opened"] += 1
        return self._parameters(transport)

    async def connect_transport(
        self, transport_id: str, remote: TransportParameters, media: tuple[MediaDescription, ...]
    ) -> None:
        self._transports[transport_id].connect(remote, media)

    async def join(self, bridge_id: str, first: str, second: str) -> None:
        one, other = self._transports[first], self._transports[second]
        assert {first, second} <= self._bridges[bridge_id], "both transports belong to the bridge"
        join(one, other)

    async def update_transport(self, transport_id: str, remote: TransportParameters, media: tuple[MediaDescription, ...]) -> None:
        self._transports[transport_id].describe(remote, media)

    async def part(self, bridge_id: str, first: str, second: str) -> None:
        assert {first, second} <= self._bridges[bridge_id], "both transports belong to the bridge"
        for transport_id in (first, second):
            self._transports[transport_id].part()

    async def restart_transport(self, transport_id: str) -> TransportParameters:
        transport = self._transports[transport_id]
        self._by_ufrag.pop(transport.ice.previous_ufrag or "", None)
        transport.ice.restart()
        self._by_ufrag[transport.ice.ufrag] = transport
        return self._parameters(transport)

    async def close_transport(self, transport_id: str) -> None:
        transport = self._transports.pop(transport_id, None)
        if transport is None:
            return
        for ufrag in (transport.ice.ufrag, transport.ice.previous_ufrag):
            self._by_ufrag.pop(ufrag or "", None)
        for members in self._bridges.values():
            members.discard(transport_id)
        self._newcomers.forget_transport(transport_id)
        self._checked.forget_transport(transport_id)
        self._counters["transports_closed"] += 1
        await transport.close()

    async def close_bridge(self, bridge_id: str) -> None:
        for transport_id in self._bridges.pop(bridge_id, ()):
            await self.close_transport(transport_id)

    async def counters(self) -> Mapping[str, int]:
        return {**self._counters, "dropped_kernel": sum(one.kernel_drops() for one in self._sockets)}

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for bridge_id in list(self._bridges):
            await self.close_bridge(bridge_id)
        self._close_sockets()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _parameters(self, transport: Transport) -> TransportParameters:
        return TransportParameters(
            ufrag=transport.ice.ufrag,
            pwd=transport.ice.pwd,
            fingerprints=transport.fingerprints,
            role=DtlsRole.ACTPASS,
            candidates=tuple(Candidate(one.host, one.port) for one in self._sockets if one.host in self._advertised),
        )

    def _close_sockets(self) -> None:
        for one in self._sockets:
            one.close()
        self._sockets.clear()

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)
        now = time.monotonic()
        self._failures.clear()
        self._strays.tick()
        self._newcomers.forget_silent(now)
        for transport in list(self._transports.values()):
            try:
                transport.tick(now)
            except Exception:
                # What went wrong with one call must not keep the others from being watched.
                logger.exception("transport %s could not be looked after", transport.transport_id)

    def _receive_stun(self, own: UdpSocket, datagram: bytes, raw: bytes, known: Remote | None, now: float) -> None:
        counters = self._counters
        # A validated address is always heard: others could forge it to have it shut out.
        host = _host(own, raw)
        if known is None and self._failures.of(host) >= MAX_FAILURES:
            counters["stun_limited"] += 1
            return
        problem = self._take_stun(own, datagram, raw, known, now)
        if problem is not None:
            counters[problem] += 1
            self._failures.add(host)

    def _take_stun(self, own: UdpSocket, datagram: bytes, raw: bytes, known: Remote | None, now: float) -> str | None:
        """Do what a message asks for; the counter of what is wrong with it, else."""
        message = parse(datagram)
        if message is None:
            return "stun_malformed"
        if message.message_method is stun.Method.BINDING and message.message_class is stun.Class.REQUEST:
            return self._answer(own, message, raw, known, now)
        if message.message_method is stun.Method.BINDING and message.message_class is stun.Class.RESPONSE:
            return self._take_answer(own, message, raw, known, now)
        return "stun_ignored"

    def _answer(self, own: UdpSocket, message: stun.Message, raw: bytes, known: Remote | None, now: float) -> str | None:
        """Answer a connectivity check."""
        ufrag = local_ufrag(message) or ""
        transport = self._by_ufrag.get(ufrag)
        if transport is None:
            return "stun_unknown_ufrag"
        claimed = known or Remote(own, raw)
        answered = transport.ice.answer(message, ufrag, claimed.host_port)
        if answered is None:
            return "stun_unauthentic"
        # An address that is merely checked remains a newcomer: its packets, not only its checks, may lead the way there.
        stays = claimed.transport is None and transport.stays(answered.nominates, now)
        source = claimed if stays else self._claim(own, raw, claimed, transport, now)
        if source is None:
            return "stun_address_taken"
        self._counters["stun_checks"] += 1
        source.send(answered.response)
        if ufrag == transport.ice.ufrag and transport.ice.previous_ufrag is not None:
            # The peer knows the new credentials. A late check with the old ones must not pull it back to where it was.
            self._by_ufrag.pop(transport.ice.previous_ufrag, None)
            transport.ice.forget_previous()
        if stays:
            self._checked.add((own, own.key(raw)), transport.transport_id)
        else:
            transport.validated(source, now, nominates=answered.nominates)
        return None

    @staticmethod
    def _claim(own: UdpSocket, raw: bytes, source: Remote, transport: Transport, now: float) -> Remote | None:
        """The address as the transport's, which has proved to be there; None if it is that of another live one."""
        owner = source.transport
        if owner is not None and owner is not transport:
            # Whoever knows its own password could otherwise take over a stranger's address by forging its source.
            if now - source.last_seen <= CONSENT_SILENCE:
                return None
            owner.lose_address(source)
            source = Remote(own, raw)  # the old one stays as silent as it is, for its old owner
        own.routes[source.key] = source
        return source

    # -- a peer whose address changed ---------------------------------------------------------------------------------

    def _receive_stray(self, own: UdpSocket, start: int, length: int, ssrc: int, now: float) -> None:
        raw = own.source(start)
        there = self._transport_at(own, raw)
        senders = [one for one in self._strays.senders(ssrc) if one is not there]
        if there is not None:
            senders.insert(0, there)
        if not senders:
            self._counters["unknown_address"] += 1
            return
        datagram = own.taken(start, length)
        transport = self._strays.receive(senders, datagram, _host(own, raw), now)
        # While the selected address is alive, some packets merely took another way.
        if transport is None or transport.silence(now) <= FOLLOW_AFTER_SILENCE:
            return
        address = own, own.key(raw)
        check = self._newcomers.heard(transport.transport_id, transport.ice, address, len(datagram), now)
        if check is not None:
            self._counters["checks_sent"] += 1
            Remote(own, raw).send(check)

    def _receive_stray_dtls(self, own: UdpSocket, datagram: bytes, raw: bytes) -> None:
        transport = self._transport_at(own, raw)
        if transport is None:
            self._counters["unknown_address"] += 1
        else:
            self._counters["dtls_received"] += 1
            transport.receive_dtls(datagram)

    def _transport_at(self, own: UdpSocket, raw: bytes) -> Transport | None:
        """Whose peer has checked that address, although it stays where it is."""
        return self._transports.get(self._checked.transport_at((own, own.key(raw))) or "")

    def _take_answer(self, own: UdpSocket, answer: stun.Message, raw: bytes, known: Remote | None, now: float) -> str | None:
        """Follow a peer to where it has answered our own check."""
        newcomer = self._newcomers.asked(answer.transaction_id, (own, own.key(raw)))
        if newcomer is None:
            return "stun_ignored"
        if not newcomer.signed(answer):
            return "stun_unauthentic"
        transport = self._transports[newcomer.transport_id]
        source = self._claim(own, raw, known or Remote(own, raw), transport, now)
        if source is None:
            return "stun_address_taken"
        self._newcomers.forget(newcomer)
        self._counters["checks_answered"] += 1
        transport.validated(source, now, nominates=transport.silence(now) > FOLLOW_AFTER_SILENCE)
        return None


def _host(own: UdpSocket, raw: bytes) -> bytes:
    """What counts as one sender, of a struct sockaddr_in or sockaddr_in6: an IPv4 address, or an IPv6 /64 (RFC 6177)."""
    return raw[8:16] if own.is_ipv6 else raw[4:8]
