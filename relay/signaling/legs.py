"""The relay's ends of a call: one leg per device, opened at the media engine and described to the device in SDP."""

from dataclasses import dataclass

from relay.ids import new_id
from relay.media.api import DtlsRole, MediaEngine, TransportParameters
from relay.signaling import sdp
from relay.signaling.addresses import advertised
from relay.signaling.ports import Device


@dataclass(frozen=True, slots=True)
class Leg:
    """The relay's end of the path to one device."""

    transport_id: str
    parameters: TransportParameters


class Legs:
    """Opens, describes, joins and closes legs.

    Args:
        public_addresses: what the operator says media is reachable at; may be empty.
    """

    def __init__(self, engine: MediaEngine, public_addresses: tuple[str, ...]) -> None:
        self._engine = engine
        self._public_addresses = public_addresses

    async def open(self, call_id: str) -> Leg:
        transport_id = new_id()
        return Leg(transport_id, await self._engine.open_transport(call_id, transport_id))

    def describe_offer(self, offer: sdp.SessionDescription, leg: Leg, device: Device) -> str:
        """The caller's offer, as the callee's device shall see it."""
        return sdp.render(offer, self._seen_by(device, leg, DtlsRole.ACTPASS))

    def describe_answer(self, answer: sdp.SessionDescription, offer: sdp.SessionDescription, leg: Leg, device: Device) -> str:
        """The callee's answer, as the caller's device shall see it."""
        return sdp.render(answer, self._seen_by(device, leg, sdp.answering_role(offer.transport.role)))

    async def join(
        self, call_id: str, caller: Leg, offer: sdp.SessionDescription, callee: Leg, answer: sdp.SessionDescription
    ) -> None:
        """Let media flow between the two, as soon as each has connected."""
        await self._engine.join(call_id, caller.transport_id, callee.transport_id)
        await self._engine.connect_transport(callee.transport_id, answer.transport, answer.media)
        await self._engine.connect_transport(caller.transport_id, offer.transport, offer.media)

    async def close(self, leg: Leg) -> None:
        await self._engine.close_transport(leg.transport_id)

    async def close_all(self, call_id: str) -> None:
        await self._engine.close_bridge(call_id)

    def _seen_by(self, device: Device, leg: Leg, role: DtlsRole) -> TransportParameters:
        ours = leg.parameters
        return TransportParameters(
            ufrag=ours.ufrag,
            pwd=ours.pwd,
            fingerprints=ours.fingerprints,
            role=role,
            candidates=advertised(ours.candidates, self._public_addresses, device.reached_address),
        )
