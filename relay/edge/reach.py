"""How media is reached besides plain UDP: a `MediaEngine` that also offers its transports over TCP."""

import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from relay.media.api import (
    Candidate,
    CaptureOrder,
    MediaDescription,
    MediaEngine,
    PartyLabel,
    RouterKind,
    TransportParameters,
)

MAX_UFRAGS: Final = 2
"""ICE user fragments per transport: those from before the last restart are good until the new ones have been used."""


def tcp_candidates(udp: tuple[Candidate, ...], hosts: tuple[str, ...], port: int) -> tuple[Candidate, ...]:
    """The passive TCP candidates beside those for UDP: the same addresses, as far as the listener is bound to them.

    Args:
        hosts: what the listener is bound to; `0.0.0.0` and `::` stand for every address of their family.
    """
    families = {ipaddress.ip_address(one).version for one in hosts if ipaddress.ip_address(one).is_unspecified}
    return tuple(
        Candidate(one.address, port, "tcp")
        for one in udp
        if one.address in hosts or ipaddress.ip_address(one.address).version in families
    )


class ReachableEngine:
    """Another engine, whose transports are also found by their ICE user fragment, and offered over TCP once the edge listens."""

    def __init__(self, engine: MediaEngine) -> None:
        self._engine = engine
        self._ports: dict[str, int] = {}
        """ufrag → the UDP port of the worker that has the transport."""
        self._ufrags: dict[str, list[str]] = {}
        """transport id → its ufrags."""
        self._routers: dict[str, set[str]] = {}
        self._router_of: dict[str, str] = {}
        self._tcp: tuple[tuple[str, ...], int] | None = None

    def offer_tcp(self, hosts: tuple[str, ...], port: int) -> None:
        """From now on, transports are also reached at that TCP port of those addresses."""
        self._tcp = hosts, port

    def port_of(self, ufrag: str) -> int | None:
        """The UDP port of the worker that has the transport with this ufrag."""
        return self._ports.get(ufrag)

    # -- MediaEngine --------------------------------------------------------------------------------------------------

    async def open_transport(
        self, router_id: str, transport_id: str, kind: RouterKind = RouterKind.DIRECT
    ) -> TransportParameters:
        parameters = await self._engine.open_transport(router_id, transport_id, kind)
        self._routers.setdefault(router_id, set()).add(transport_id)
        self._router_of[transport_id] = router_id
        return self._learn(transport_id, parameters)

    async def connect_transport(
        self, transport_id: str, remote: TransportParameters, media: tuple[MediaDescription, ...]
    ) -> None:
        await self._engine.connect_transport(transport_id, remote, media)

    async def update_transport(self, transport_id: str, remote: TransportParameters, media: tuple[MediaDescription, ...]) -> None:
        await self._engine.update_transport(transport_id, remote, media)

    async def route(self, router_id: str, transport_ids: tuple[str, ...]) -> None:
        await self._engine.route(router_id, transport_ids)

    async def unroute(self, router_id: str, transport_ids: tuple[str, ...]) -> None:
        await self._engine.unroute(router_id, transport_ids)

    async def restart_transport(self, transport_id: str) -> TransportParameters:
        return self._learn(transport_id, await self._engine.restart_transport(transport_id))

    async def close_transport(self, transport_id: str) -> None:
        self._forget(transport_id)
        await self._engine.close_transport(transport_id)

    async def close_router(self, router_id: str) -> None:
        for transport_id in list(self._routers.get(router_id, ())):
            self._forget(transport_id)
        self._routers.pop(router_id, None)
        await self._engine.close_router(router_id)

    async def start_capture(self, router_id: str, order: CaptureOrder) -> None:
        await self._engine.start_capture(router_id, order)

    async def stop_capture(self, router_id: str, reason: str, at: float) -> None:
        await self._engine.stop_capture(router_id, reason, at)

    async def pause_capture(self, router_id: str, paused: bool, reason: str) -> None:
        await self._engine.pause_capture(router_id, paused, reason)

    async def capture_party(self, router_id: str, transport_id: str, party: PartyLabel) -> None:
        await self._engine.capture_party(router_id, transport_id, party)

    async def counters(self) -> Mapping[str, int]:
        return await self._engine.counters()

    async def close(self) -> None:
        self._ports.clear()
        self._ufrags.clear()
        self._routers.clear()
        self._router_of.clear()
        await self._engine.close()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _learn(self, transport_id: str, parameters: TransportParameters) -> TransportParameters:
        ufrags = self._ufrags.setdefault(transport_id, [])
        ufrags.append(parameters.ufrag)
        self._ports[parameters.ufrag] = parameters.candidates[0].port
        for old in ufrags[:-MAX_UFRAGS]:
            self._ports.pop(old, None)
        del ufrags[:-MAX_UFRAGS]
        if self._tcp is None:
            return parameters
        return replace(parameters, candidates=parameters.candidates + tcp_candidates(parameters.candidates, *self._tcp))

    def _forget(self, transport_id: str) -> None:
        router_id = self._router_of.pop(transport_id, None)
        if router_id is not None:
            self._routers[router_id].discard(transport_id)
        for ufrag in self._ufrags.pop(transport_id, ()):
            self._ports.pop(ufrag, None)
