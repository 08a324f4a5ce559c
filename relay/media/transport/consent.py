"""Consent to receive (RFC 7675).

An ICE-lite agent normally sends no checks. The relay forwards the media of others, though, so it asks: what it sends stops where
the peer has answered no check for `CONSENT_LIFETIME`. Sans-IO: times come in, checks go out.
"""

import secrets
from typing import Final

from aioice import stun

from relay.media.transport.ice import IceAgent

CONSENT_LIFETIME: Final = 30.0
"""Seconds that the last answer allows to send for (RFC 7675 section 5.1)."""

CONSENT_INTERVAL: Final = 10.0
"""Seconds between two checks while they are answered. RFC 7675 suggests 5; fewer of them wake no device up in a call on hold, and
`RETRY_INTERVAL` makes up for one that is lost."""

RETRY_INTERVAL: Final = 4.0
"""Seconds between two checks while the last one has not been answered: the least that RFC 7675 section 5.1 allows."""

RENEW_AFTER: Final = 15.0
"""Seconds since the last answer, after which each check of the peer triggers one of the relay's own (RFC 8445 section 7.3.1.4):
where many packets are lost, an answer gets through in time."""

PROBE_INTERVAL: Final = 0.2
"""Seconds, at least, between two checks to one address, whatever they are for."""

MAX_UNANSWERED: Final = 16
"""Checks whose answers still count; the oldest is forgotten first."""


class Consent:
    """Whether the peer at the selected address agrees to receive."""

    __slots__ = ("_asked_at", "_due", "_expired", "_unanswered", "granted_at")

    def __init__(self) -> None:
        self.granted_at: float | None = None
        """When it was given last; seconds, monotonic. None: never at this address."""
        self._unanswered: dict[bytes, bytes] = {}
        """Checks that have not been answered: transaction id → the password that the answer is signed with."""
        self._asked_at = float("-inf")
        self._due = float("-inf")
        self._expired = False

    def begin(self) -> None:
        """Another address is selected: it is yet to be asked."""
        self.granted_at = None
        self._unanswered.clear()
        self._asked_at = self._due = float("-inf")
        self._expired = False

    def due(self, now: float) -> bool:
        """Whether it is time for the next check."""
        return now >= self._due

    def stale(self, now: float) -> bool:
        """Whether the last answer was so long ago that the peer's own checks are a reason to ask."""
        return self.granted_at is None or now - self.granted_at > RENEW_AFTER

    def check(self, ice: IceAgent, now: float) -> bytes | None:
        """A check to send to the selected address; None if the last one was just now."""
        if now - self._asked_at < PROBE_INTERVAL:
            return None
        assert ice.peer is not None, "a peer is described before it is asked"
        request = ice.check()
        if len(self._unanswered) == MAX_UNANSWERED:
            del self._unanswered[next(iter(self._unanswered))]
        self._unanswered[request.transaction_id] = ice.peer.pwd.encode()
        self._asked_at = now
        # RFC 7675 section 5.1: each interval is between 0.8 and 1.2 times as long.
        self._due = now + RETRY_INTERVAL + secrets.randbelow(800) / 1000
        return bytes(request)

    def unanswered_for(self, now: float) -> float:
        """Seconds since the last check, if it has not been answered; 0 otherwise."""
        return now - self._asked_at if self._unanswered else 0.0

    def answered(self, answer: stun.Message, now: float) -> bool | None:
        """Take an answer from the selected address.

        Returns:
            Whether it is authentic; None if it was not asked for.
        """
        key = self._unanswered.get(answer.transaction_id)
        if key is None:
            return None
        # RFC 7675 section 5.1: only a success response is consent.
        if not answer.check_message_integrity(key) or answer.message_class is not stun.Class.RESPONSE:
            return False
        self.grant(now)
        return True

    def grant(self, now: float) -> None:
        """The peer has proved to receive at this address."""
        self.granted_at = now
        self._expired = False
        self._unanswered.clear()
        self._due = now + CONSENT_INTERVAL * (0.8 + secrets.randbelow(400) / 1000)

    def expires(self, now: float) -> bool:
        """Whether it has just run out."""
        if self._expired or self.granted_at is None or now - self.granted_at <= CONSENT_LIFETIME:
            return False
        self._expired = True
        return True
