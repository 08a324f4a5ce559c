"""Sessions: negotiated transports. Everything that opens, offers, answers, updates or restarts one is here.

A session knows the peer by its descriptions and its network addresses. Calls and the connection test use sessions alike.
"""

from dataclasses import dataclass, replace

from relay.ids import new_id
from relay.media.api import CaptureOrder, DtlsRole, MediaEngine, PartyLabel, Route, TransportParameters
from relay.sdp.model import SessionDescription
from relay.sdp.negotiate import check_answer, opposite
from relay.sdp.rewrite import rewrite_sdp
from relay.signaling.sessions.addresses import Addresses, advertised


@dataclass(slots=True, eq=False)
class Session:
    """The relay's end of a negotiated transport."""

    transport_id: str
    local: TransportParameters
    """The relay's ICE credentials, which an ICE restart replaces, and its candidates."""
    addresses: Addresses
    """Of the peer's signaling connection: they decide which candidates its descriptions name."""
    remote: SessionDescription | None = None
    """The peer's latest description that took effect."""
    role: DtlsRole = DtlsRole.ACTPASS
    """The relay's role in the DTLS handshake. Once it is settled, it stays the same for the session's life (RFC 8842)."""
    version: int = 0
    """Of the latest description that the peer was given (RFC 3264 section 8)."""
    route: Route | None = None
    """The network path of its media, once that is known."""

    def take_opposite_role(self, other: "Session") -> None:
        """Settle the DTLS role: the peers of two sessions have opposite roles, as if their handshake were with each other.

        Data channels need that: the DTLS client opens those with even ids, the server those with odd ones (RFC 8832 section 6).
        """
        self.role = opposite(other.role)

    def check_answer(self, answer: SessionDescription, offer: SessionDescription, role: DtlsRole) -> None:
        """Check the peer's answer to an offer, before it takes effect.

        Args:
            offer: the description that was offered to the peer.
            role: the relay's DTLS role in that offer.

        Raises:
            SignalingError: `invalid_sdp`; the text says what is wrong.
        """
        check_answer(offer, answer, role, self.remote)


class SessionManager:
    """Opens, negotiates, routes and closes sessions. All calls to the media engine are here.

    The methods that call the engine raise `WorkerLost` if the worker that has the transport died, and `KeyError` if the
    transport is gone.

    Args:
        public_addresses: where the operator says that media is reachable; may be empty.
    """

    def __init__(self, engine: MediaEngine, public_addresses: tuple[str, ...]) -> None:
        self._engine = engine
        self._public_addresses = public_addresses

    async def open(self, router_id: str, addresses: Addresses) -> Session:
        transport_id = new_id()
        return Session(transport_id, await self._engine.open_transport(router_id, transport_id), addresses)

    # -- the descriptions for a peer ----------------------------------------------------------------------------------

    def offer(self, session: Session, description: SessionDescription, role: DtlsRole = DtlsRole.ACTPASS) -> str:
        """An offer to the peer of a session.

        Args:
            description: of the media that is offered: what the other peer offered or answered.
            role: the relay's, towards a peer that has none yet. In a later offer `actpass` lets a peer keep its role (RFC 8842
                section 5.5).
        """
        return self._describe(session, description, role)

    def answer(self, session: Session, description: SessionDescription) -> str:
        """The other peer's answer to an offer of this session's peer. The session's role is settled."""
        return self._describe(session, description, session.role)

    def _describe(self, session: Session, description: SessionDescription, role: DtlsRole) -> str:
        local, addresses = session.local, session.addresses
        candidates = advertised(local.candidates, self._public_addresses, addresses.local, addresses.remote)
        session.version += 1
        return rewrite_sdp(description, replace(local, role=role, candidates=candidates), session.version)

    # -- the descriptions of a peer -----------------------------------------------------------------------------------

    async def connect_pair(
        self, router_id: str, offerer: Session, answerer: Session, offer: SessionDescription, answer: SessionDescription
    ) -> str:
        """Complete the first negotiation of two sessions of a router: connect both and route media between them.

        Returns:
            The answer for the offerer's peer.
        """
        offerer.role = answer.transport.role
        answerer.take_opposite_role(offerer)
        text = self.answer(offerer, answer)
        await self.route(router_id, offerer, answerer)
        await self.connect(answerer, answer)
        await self.connect(offerer, offer)
        return text

    async def connect(self, session: Session, remote: SessionDescription) -> None:
        """Take the first description of a peer. The session's role is settled."""
        session.remote = remote
        # An offer may leave the role open (`actpass`); the media plane needs the settled one.
        settled = replace(remote.transport, role=opposite(session.role))
        await self._engine.connect_transport(session.transport_id, settled, remote.media)

    async def update(self, session: Session, answer: SessionDescription) -> None:
        """Take a later answer of a connected session's peer."""
        session.remote = answer
        await self._engine.update_transport(session.transport_id, answer.transport, answer.media)

    async def update_pair(
        self, offerer: Session, answerer: Session, offer: SessionDescription, answer: SessionDescription
    ) -> str:
        """Complete a later negotiation of two connected sessions.

        Returns:
            The answer for the offerer's peer.
        """
        assert offerer.remote is not None, "it is connected"
        if offer.transport.ufrag != offerer.remote.transport.ufrag:
            # RFC 8839 section 4.4.1.1.1: an ICE restart, so the answer must have new credentials too. They are not made earlier:
            # an offer that is rejected must not replace the credentials of the media that flows.
            await self.restart(offerer)
        await self.update(offerer, offer)
        await self.update(answerer, answer)
        return self.answer(offerer, answer)

    # -- the transport ------------------------------------------------------------------------------------------------

    async def restart(self, session: Session) -> None:
        """Restart ICE: new credentials of the relay, to be offered or answered next. Media keeps flowing meanwhile."""
        session.local = await self._engine.restart_transport(session.transport_id)

    async def route(self, router_id: str, first: Session, second: Session) -> None:
        """Forward media between two sessions of a router, as soon as each is connected."""
        await self._engine.route(router_id, (first.transport_id, second.transport_id))

    async def unroute(self, router_id: str, first: Session, second: Session) -> None:
        """Forward nothing between the two."""
        await self._engine.unroute(router_id, (first.transport_id, second.transport_id))

    # -- recording ----------------------------------------------------------------------------------------------------

    async def start_capture(self, router_id: str, order: CaptureOrder) -> None:
        """Record a router.

        Raises:
            CaptureRefused: it cannot be recorded now.
        """
        await self._engine.start_capture(router_id, order)

    async def stop_capture(self, router_id: str, reason: str, at: float) -> None:
        """Record nothing of a router that arrives after that time (seconds, monotonic)."""
        await self._engine.stop_capture(router_id, reason, at)

    async def pause_capture(self, router_id: str, paused: bool, reason: str) -> None:
        """Record nothing of a router for a while, or go on."""
        await self._engine.pause_capture(router_id, paused, reason)

    async def capture_party(self, router_id: str, transport_id: str, party: PartyLabel) -> None:
        """Record the new transport of a party, too."""
        await self._engine.capture_party(router_id, transport_id, party)

    async def close(self, session: Session) -> None:
        await self._engine.close_transport(session.transport_id)

    async def close_all(self, router_id: str) -> None:
        """Close every session of a router."""
        await self._engine.close_router(router_id)
