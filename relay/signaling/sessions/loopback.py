"""A loopback call: a client that calls itself through the relay, to test which network paths media gets through.

It has two sessions of one router, and both peers are the same client's. There is no `Call`, no row and no device.
"""

from dataclasses import dataclass

from relay.errors import SignalingError
from relay.ids import new_id
from relay.media.api import WorkerLost
from relay.sdp.model import SessionDescription
from relay.signaling.sessions.addresses import Addresses
from relay.signaling.sessions.session import Session, SessionManager


@dataclass(frozen=True, slots=True)
class _Offered:
    """An offer that waits for its answer."""

    offerer: Session
    answerer: Session
    description: SessionDescription


class Loopback:
    """The loopback calls of one client, one at a time.

    Args:
        addresses: of the client's signaling connection.
    """

    def __init__(self, sessions: SessionManager, addresses: Addresses) -> None:
        self._sessions = sessions
        self._addresses = addresses
        self._router_id = ""
        self._offered: _Offered | None = None

    async def offer(self, offer: SessionDescription) -> str:
        """Begin a loopback call with the client's offer. It ends the one before.

        Returns:
            The relay's offer, to the same client.

        Raises:
            SignalingError: `unavailable`.
        """
        await self.close()
        self._router_id = new_id()
        try:
            offerer = await self._sessions.open(self._router_id, self._addresses)
            answerer = await self._sessions.open(self._router_id, self._addresses)
        except WorkerLost as lost:
            raise SignalingError("unavailable", "the relay cannot take this call") from lost
        self._offered = _Offered(offerer, answerer, offer)
        return self._sessions.offer(answerer, offer, offer.transport.role)

    async def answer(self, answer: SessionDescription) -> str:
        """Connect the loopback call with the client's answer to the relay's offer. After one that is refused, another may follow.

        Returns:
            The relay's answer, to the client's offer.

        Raises:
            SignalingError: `wrong_state`, `invalid_sdp` or `unavailable`.
        """
        offered = self._offered
        if offered is None:
            raise SignalingError("wrong_state", "there is no offer that this could answer")
        offerer, answerer, offer = offered.offerer, offered.answerer, offered.description
        answerer.check_answer(answer, offer, offer.transport.role)
        self._offered = None
        try:
            return await self._sessions.connect_pair(self._router_id, offerer, answerer, offer, answer)
        except (WorkerLost, KeyError) as lost:
            raise SignalingError("unavailable", "the relay has lost this call") from lost

    async def close(self) -> None:
        """End the loopback call that there is."""
        router_id, self._router_id, self._offered = self._router_id, "", None
        if router_id:
            await self._sessions.close_all(router_id)
