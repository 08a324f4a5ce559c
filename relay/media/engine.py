"""The media engine of one process: its sockets, and the transports and bridges that live on them."""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from relay.media.api import (
    DtlsRole,
    MediaDescription,
    MediaEvent,
    MediaEventSink,
    TransportParameters,
    TransportUp,
)
from relay.media.listening import Listening
from relay.media.net.addresses import AddressWatch
from relay.media.net.dtls_srtp import Certificate
from relay.media.net.mmsg import ReceiveRing
from relay.media.net.udp import Remote
from relay.media.quality.counters import MediaCounters
from relay.media.repair.retransmission import INTERVAL, DirectionRepair
from relay.media.routing.direct import ForwardingSocket
from relay.media.routing.router import join
from relay.media.routing.slow import forward_early
from relay.media.transport.policing import Policer
from relay.media.transport.transport import Transport
from relay.media.validation import PathValidation
from relay.settings.media import UNLIMITED, MediaLimits

logger = logging.getLogger(__name__)

TICK: Final = 1.0
"""Seconds between looks at which transports have fallen silent, and which are due to report."""


class LocalEngine:
    """A `MediaEngine` in this process. Make it, `start` it in the event loop that it shall live in, `close` it there.

    Args:
        on_event: takes what happens to transports.
        hosts: addresses to listen on; none, or `0.0.0.0` or `::`: every address of this machine, as they come and go.
        port: UDP port, the same on each address; 0: any one that is free on all of them.
        announces: log the addresses that come and go.
        limits: what each peer may send.
    """

    def __init__(
        self,
        on_event: MediaEventSink,
        hosts: Iterable[str] = (),
        port: int = 0,
        *,
        announces: bool = True,
        limits: MediaLimits = UNLIMITED,
    ) -> None:
        self._on_event = on_event
        self._counters = MediaCounters()
        self._certificate = Certificate()
        self._listening = Listening(hosts, port, self._make_socket, announces=announces)
        self._addresses = AddressWatch(self._follow_addresses)
        self._transports: dict[str, Transport] = {}
        self._by_ufrag: dict[str, Transport] = {}
        self._bridges: dict[str, set[str]] = {}
        self._validation = PathValidation(self._transports, self._by_ufrag, self._counters)
        self._limits = limits
        self._policer = Policer(self._transports, limits, self._exclude)
        self._timer: asyncio.TimerHandle | None = None
        self._repairs: dict[str, DirectionRepair] = {}
        """By the id of the transport that sends: those whose legs lose packets."""
        self._repair_timer: asyncio.TimerHandle | None = None

    async def start(self) -> tuple[int, ...]:
        """Open the sockets.

        Returns:
            The UDP port that media comes in by, alone.

        Raises:
            ConfigurationError: the port is taken, or an address is not this machine's.
        """
        self._validation.start()
        self._listening.open(self._addresses.current)
        self._addresses.start()
        self._tick()
        return self.ports

    @property
    def ports(self) -> tuple[int, ...]:
        """The UDP ports that media comes in by, at this moment."""
        return (self._listening.port,) if self._listening.sockets else ()

    def _make_socket(self, host: str, port: int, ring: ReceiveRing) -> ForwardingSocket:
        validation = self._validation
        sinks = validation.receive_stun, validation.receive_unvalidated, validation.receive_unvalidated_dtls
        made = ForwardingSocket(host, port, ring, *sinks, self._counters)
        made.on_load = self._policer.under_load
        return made

    def _follow_addresses(self) -> None:
        self._listening.update(self._addresses.current, self._transports)

    # -- MediaEngine --------------------------------------------------------------------------------------------------

    async def open_transport(self, bridge_id: str, transport_id: str) -> TransportParameters:
        assert transport_id not in self._transports, "transport ids are used once"
        certificate, now = self._certificate.current(), time.monotonic()
        transport = Transport(transport_id, certificate, self._emit, self._counters, now, self._limits)
        self._transports[transport_id] = self._by_ufrag[transport.ice.ufrag] = transport
        self._bridges.setdefault(bridge_id, set()).add(transport_id)
        self._counters["transports_opened"] += 1
        return self._parameters(transport)

    async def connect_transport(
        self, transport_id: str, remote: TransportParameters, media: tuple[MediaDescription, ...]
    ) -> None:
        self._transports[transport_id].connect(remote, media, time.monotonic())

    async def join(self, bridge_id: str, first: str, second: str) -> None:
        one, other = self._transports[first], self._transports[second]
        assert {first, second} <= self._bridges[bridge_id], "both transports belong to the bridge"
        join(one, other)

    async def update_transport(self, transport_id: str, remote: TransportParameters, media: tuple[MediaDescription, ...]) -> None:
        transport = self._transports[transport_id]
        transport.describe(remote, media)
        self._validation.described(transport)

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
        self._repairs.pop(transport_id, None)
        transport = self._transports.pop(transport_id, None)
        if transport is None:
            return
        for ufrag in (transport.ice.ufrag, transport.ice.previous_ufrag):
            self._by_ufrag.pop(ufrag or "", None)
        for members in self._bridges.values():
            members.discard(transport_id)
        self._validation.forget(transport_id)
        self._counters["transports_closed"] += 1
        await transport.close()

    async def close_bridge(self, bridge_id: str) -> None:
        for transport_id in self._bridges.pop(bridge_id, ()):
            await self.close_transport(transport_id)

    async def counters(self) -> Mapping[str, int]:
        drops = self._listening.kernel_drops()
        return {**self._counters, "dropped_kernel": drops.overflowed, "dropped_filtered": drops.filtered}

    async def close(self) -> None:
        for timer in (self._timer, self._repair_timer):
            if timer is not None:
                timer.cancel()
        self._policer.close()
        for bridge_id in list(self._bridges):
            await self.close_bridge(bridge_id)
        self._addresses.close()
        self._listening.close()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _parameters(self, transport: Transport) -> TransportParameters:
        return TransportParameters(
            ufrag=transport.ice.ufrag,
            pwd=transport.ice.pwd,
            fingerprints=transport.fingerprints,
            role=DtlsRole.ACTPASS,
            candidates=self._listening.candidates,
        )

    def _emit(self, event: MediaEvent) -> None:
        if isinstance(event, TransportUp) and (transport := self._transports.get(event.transport_id)) is not None:
            forward_early(transport, time.monotonic())
        self._on_event(event)

    def _exclude(self, addresses: Sequence[Remote]) -> None:
        self._listening.drop([(one.socket, one.source) for one in addresses])

    def _look_for_losses(self, transport: Transport, now: float) -> None:
        """Begin to repair what a transport sends, or end it."""
        known = self._repairs.get(transport.transport_id)
        repair = known
        if transport.peer is not None and (known is None or known.target is not transport.peer):
            repair = DirectionRepair(transport, transport.peer)
        if repair is not None and repair.wanted(now):
            self._repairs[transport.transport_id] = repair
            if self._repair_timer is None:
                self._repair()
        else:
            self._repairs.pop(transport.transport_id, None)

    def _repair(self) -> None:
        self._repair_timer = asyncio.get_running_loop().call_later(INTERVAL, self._repair) if self._repairs else None
        now = time.monotonic()
        for repair in self._repairs.values():
            repair.look(now)

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)
        now = time.monotonic()
        self._validation.tick(now)
        self._policer.look(now)
        self._listening.tick(self._addresses.current, self._transports)
        for transport in list(self._transports.values()):
            try:
                transport.tick(now)
                self._look_for_losses(transport, now)
            except Exception:
                # What went wrong with one call must not keep the others from being watched.
                logger.exception("transport %s could not be looked after", transport.transport_id)
