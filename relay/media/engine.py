"""The media engine of one process: its sockets, and the transports and bridges that live on them."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

import ifaddr

from relay.errors import ConfigurationError
from relay.media.api import (
    Candidate,
    DtlsRole,
    MediaDescription,
    MediaEvent,
    MediaEventSink,
    TransportParameters,
    TransportUp,
)
from relay.media.bridge import forward_early, join
from relay.media.counters import Counters
from relay.media.io.dtls_srtp import Certificate
from relay.media.io.mmsg import ReceiveRing
from relay.media.io.udp import UdpSocket
from relay.media.transport import Transport
from relay.media.validation import PathValidation

logger = logging.getLogger(__name__)

PORT_ATTEMPTS: Final = 10
"""Free ports to try when any one will do."""

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
        self._validation = PathValidation(self._transports, self._by_ufrag, self._counters)
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
                    self._validation.receive_stun,
                    self._validation.receive_stray,
                    self._validation.receive_stray_dtls,
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
        transport = Transport(transport_id, self._certificate.current(), self._emit, self._counters, time.monotonic())
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

    def _emit(self, event: MediaEvent) -> None:
        if isinstance(event, TransportUp) and (transport := self._transports.get(event.transport_id)) is not None:
            forward_early(transport, time.monotonic())
        self._on_event(event)

    def _close_sockets(self) -> None:
        for one in self._sockets:
            one.close()
        self._sockets.clear()

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)
        now = time.monotonic()
        self._validation.tick(now)
        for transport in list(self._transports.values()):
            try:
                transport.tick(now)
            except Exception:
                # What went wrong with one call must not keep the others from being watched.
                logger.exception("transport %s could not be looked after", transport.transport_id)
