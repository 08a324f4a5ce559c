"""The relay's ends of a call: one leg per device, opened at the media engine and described to the device in SDP."""

from dataclasses import dataclass, replace

from relay.ids import new_id
from relay.media.api import DtlsRole, MediaEngine, Route, TransportParameters
from relay.sdp.model import SessionDescription
from relay.sdp.negotiate import opposite
from relay.sdp.rewrite import rewrite_sdp
from relay.signaling.presence.devices import Device
from relay.signaling.sessions.addresses import advertised


@dataclass(slots=True)
class Leg:
    """The relay's end of the path to one device."""

    transport_id: str
    parameters: TransportParameters
    """The ICE credentials that the relay has now, and its candidates."""
    role: DtlsRole = DtlsRole.ACTPASS
    """The relay's part in the DTLS handshake. Once it is settled, it stays the same for the leg's life (RFC 8842)."""
    remote: TransportParameters | None = None
    """The device's end, once it is known."""
    version: int = 0
    """Of the descriptions that the device was given: each has the next (RFC 3264 section 8)."""
    route: Route | None = None
    """How its media comes, once that is known."""


def settle_roles(offerer: Leg, answerer: Leg, answered: DtlsRole) -> None:
    """Give both devices of a call opposite DTLS roles, as if their handshake were with each other.

    Data channels need that: the DTLS client opens those with even ids, the server those with odd ones (RFC 8832 section 6).

    Args:
        answered: the role that the answerer chose.
    """
    offerer.role, answerer.role = answered, opposite(answered)


class Legs:
    """Opens, describes, routes and closes legs.

    Args:
        public_addresses: what the operator says media is reachable at; may be empty.
    """

    def __init__(self, engine: MediaEngine, public_addresses: tuple[str, ...]) -> None:
        self._engine = engine
        self._public_addresses = public_addresses

    async def open(self, call_id: str) -> Leg:
        transport_id = new_id()
        return Leg(transport_id, await self._engine.open_transport(call_id, transport_id))

    async def connect(self, leg: Leg, remote: SessionDescription) -> None:
        """Tell a leg, whose role is settled, who its device is."""
        leg.remote = remote.transport
        # An offer leaves the role open; the media plane wants to know it.
        settled = replace(remote.transport, role=opposite(leg.role))
        await self._engine.connect_transport(leg.transport_id, settled, remote.media)

    async def update(self, leg: Leg, remote: SessionDescription) -> None:
        """Tell a connected leg what its device says of itself from now on."""
        await self._engine.update_transport(leg.transport_id, remote.transport, remote.media)

    async def restart(self, leg: Leg) -> None:
        """Fresh ICE credentials; media flows on meanwhile."""
        leg.parameters = await self._engine.restart_transport(leg.transport_id)

    async def route(self, call_id: str, first: Leg, second: Leg) -> None:
        """Let media flow between the two, as soon as each has connected."""
        await self._engine.route(call_id, (first.transport_id, second.transport_id))

    async def unroute(self, call_id: str, first: Leg, second: Leg) -> None:
        """Let none flow."""
        await self._engine.unroute(call_id, (first.transport_id, second.transport_id))

    async def close(self, leg: Leg) -> None:
        await self._engine.close_transport(leg.transport_id)

    async def close_all(self, call_id: str) -> None:
        await self._engine.close_router(call_id)

    def offer(self, description: SessionDescription, leg: Leg, device: Device, role: DtlsRole = DtlsRole.ACTPASS) -> str:
        """An offer for the device, whose media is what the other party described: in an offer of its own, or in an answer.

        Args:
            role: the relay's, towards a device that has none yet. In mid-call a device may always keep its own (RFC 8842
                section 5.5).
        """
        return self._render(description, leg, device, role)

    def answer(self, description: SessionDescription, leg: Leg, device: Device) -> str:
        """The other party's answer to what the device offered. The leg's role is settled."""
        return self._render(description, leg, device, leg.role)

    def _render(self, description: SessionDescription, leg: Leg, device: Device, role: DtlsRole) -> str:
        ours = leg.parameters
        candidates = advertised(ours.candidates, self._public_addresses, device.local_address, device.remote_address)
        leg.version += 1
        return rewrite_sdp(description, replace(ours, role=role, candidates=candidates), leg.version)
