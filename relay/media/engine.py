"""The media engine of one process: its sockets, and the transports and routers that live on them."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from relay.media.api import (
    CaptureOrder,
    DtlsRole,
    MediaDescription,
    MediaEvent,
    MediaEventSink,
    PartyLabel,
    RouterKind,
    TransportParameters,
    TransportReport,
    TransportUp,
)
from relay.media.capture.captures import USUAL_TIMING, Captures, CaptureTiming
from relay.media.listening import Listening
from relay.media.net.addresses import AddressWatch, local_addresses
from relay.media.net.dtls_srtp import Certificate
from relay.media.net.mmsg import ReceiveRing
from relay.media.net.udp import Remote
from relay.media.quality.counters import MediaCounters
from relay.media.repairs import Repairs
from relay.media.routing.direct import ForwardingSocket
from relay.media.routing.router import DirectRouter
from relay.media.routing.slow import forward_early
from relay.media.transport.policing import Policer
from relay.media.transport.timing import USUAL, Timing
from relay.media.transport.transport import Transport
from relay.media.validation import MAX_FAILING_HOSTS, MAX_FAILURES, PathValidation
from relay.settings.media import UNLIMITED, MediaLimits

logger = logging.getLogger(__name__)

TICK: Final = 1.0
"""Seconds between looks at which transports have fallen silent, and which are due to report."""

_ROUTERS: Final = {RouterKind.DIRECT: DirectRouter}


class LocalEngine:
    """A `MediaEngine` in this process. Make it, `start` it in the event loop that it shall live in, `close` it there.

    Args:
        on_event: takes what happens to transports.
        hosts: addresses to listen on; none, or `0.0.0.0` or `::`: every address of this machine, as they come and go.
        port: UDP port, the same on each address; 0: any one that is free on all of them.
        announces: log the addresses that come and go.
        limits: what each peer may send.
        timing: by what times peers are judged.
        capture_timing: how long captures wait.
        tick: see `TICK`.
        find_addresses: finds this machine's addresses.
        max_failures, max_failing_hosts: see `relay.media.validation`.
    """

    def __init__(
        self,
        on_event: MediaEventSink,
        hosts: Iterable[str] = (),
        port: int = 0,
        *,
        announces: bool = True,
        limits: MediaLimits = UNLIMITED,
        timing: Timing = USUAL,
        capture_timing: CaptureTiming = USUAL_TIMING,
        tick: float = TICK,
        find_addresses: Callable[[], list[str]] = local_addresses,
        max_failures: int = MAX_FAILURES,
        max_failing_hosts: int = MAX_FAILING_HOSTS,
    ) -> None:
        self._on_event = on_event
        self._counters = MediaCounters()
        self._certificate = Certificate()
        self._listening = Listening(hosts, port, self._make_socket, announces=announces)
        self._addresses = AddressWatch(self._follow_addresses, find_addresses)
        self._transports: dict[str, Transport] = {}
        self._by_ufrag: dict[str, Transport] = {}
        self._routers: dict[str, DirectRouter] = {}
        self._validation = PathValidation(
            *(self._transports, self._by_ufrag, self._counters), max_failures=max_failures, max_failing_hosts=max_failing_hosts
        )
        self._limits = limits
        self._timing = timing
        self._tick_interval = tick
        self._policer = Policer(self._transports, limits, self._exclude)
        self._timer: asyncio.TimerHandle | None = None
        self._repairs = Repairs()
        self._captures = Captures(on_event, self._counters, capture_timing)

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

    async def open_transport(
        self, router_id: str, transport_id: str, kind: RouterKind = RouterKind.DIRECT
    ) -> TransportParameters:
        assert transport_id not in self._transports, "transport ids are used once"
        certificate, now = self._certificate.current(), time.monotonic()
        transport = Transport(transport_id, certificate, self._emit, self._counters, now, self._limits, self._timing)
        self._transports[transport_id] = self._by_ufrag[transport.ice.ufrag] = transport
        router = self._routers.get(router_id)
        if router is None:
            router = self._routers[router_id] = _ROUTERS[kind](router_id)
        router.add(transport)
        self._counters["transports_opened"] += 1
        return self._parameters(transport)

    async def connect_transport(
        self, transport_id: str, remote: TransportParameters, media: tuple[MediaDescription, ...]
    ) -> None:
        transport = self._transports[transport_id]
        self._describe(transport, media)
        transport.connect(remote, media, time.monotonic())

    async def route(self, router_id: str, transport_ids: tuple[str, ...]) -> None:
        transports = [self._transports[one] for one in transport_ids]
        self._routers[router_id].route(*transports)
        self._captures.hold(router_id, False)

    async def update_transport(self, transport_id: str, remote: TransportParameters, media: tuple[MediaDescription, ...]) -> None:
        transport = self._transports[transport_id]
        self._describe(transport, media)
        transport.describe(remote, media)
        self._validation.described(transport)

    async def unroute(self, router_id: str, transport_ids: tuple[str, ...]) -> None:
        transports = [self._transports[one] for one in transport_ids]
        self._routers[router_id].unroute(*transports)
        self._captures.hold(router_id, True)

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
        self._captures.forget(transport.router.router_id, transport_id)
        transport.router.remove(transport)
        self._repairs.forget(transport_id)
        self._validation.forget(transport_id)
        self._counters["transports_closed"] += 1
        await transport.close()

    async def close_router(self, router_id: str) -> None:
        self._captures.close_router(router_id)
        router = self._routers.pop(router_id, None)
        for transport_id in list(router.transports) if router is not None else ():
            await self.close_transport(transport_id)

    async def start_capture(self, router_id: str, order: CaptureOrder) -> None:
        await self._captures.start(self._routers[router_id], order)

    async def stop_capture(self, router_id: str, reason: str, at: float) -> None:
        self._captures.stop(router_id, reason, at)

    async def pause_capture(self, router_id: str, paused: bool, reason: str) -> None:
        self._captures.pause(router_id, paused, reason)

    async def capture_party(self, router_id: str, transport_id: str, party: PartyLabel) -> None:
        self._captures.add_party(router_id, self._routers[router_id].transports[transport_id], party)

    async def counters(self) -> Mapping[str, int]:
        drops = self._listening.kernel_drops()
        return {**self._counters, "dropped_kernel": drops.overflowed, "dropped_filtered": drops.filtered}

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._repairs.close()
        self._policer.close()
        for router_id in list(self._routers):
            await self.close_router(router_id)
        await self._captures.close()
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

    def _describe(self, transport: Transport, media: tuple[MediaDescription, ...]) -> None:
        transport.router.describe(transport, media)
        self._captures.describe(transport.router.router_id, transport.transport_id, media)

    def _emit(self, event: MediaEvent) -> None:
        if isinstance(event, TransportUp) and (transport := self._transports.get(event.transport_id)) is not None:
            forward_early(transport, time.monotonic())
        elif isinstance(event, TransportReport) and (transport := self._transports.get(event.transport_id)) is not None:
            router = transport.router
            event = replace(event, producers=router.producers(transport), consumers=router.consumers(transport))
        self._on_event(event)

    def _exclude(self, addresses: Sequence[Remote]) -> None:
        self._listening.drop([(one.socket, one.source) for one in addresses])

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._tick_interval, self._tick)
        now = time.monotonic()
        self._validation.tick(now)
        self._policer.look(now)
        self._listening.tick(self._addresses.current, self._transports)
        for transport in list(self._transports.values()):
            try:
                transport.tick(now)
                self._repairs.look(transport, now)
            except Exception:
                # What went wrong with one call must not keep the others from being watched.
                logger.exception("transport %s could not be looked after", transport.transport_id)
