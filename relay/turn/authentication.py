"""The long-term credential mechanism (RFC 8489 section 9.2), as a server has it: SHA-1 and MD5, which every client knows."""

from dataclasses import dataclass

from relay.turn.credentials import Nonces, TurnCredentials, holder_of
from relay.turn.messages import Address, StunMessage
from relay.turn.refusal import Refusal


@dataclass(frozen=True, slots=True)
class TurnIdentity:
    """The authenticated sender of a request."""

    username: str
    profile: str
    expires: int
    """When the credentials' time is over: Unix time, seconds. It may be already."""
    key: bytes
    """Signs the answer."""


class Authenticator:
    """Believes requests, or says what is missing. Sees no difference between a wrong user name and a wrong password."""

    def __init__(self, credentials: TurnCredentials, realm: str, nonces: Nonces) -> None:
        self._credentials = credentials
        self._realm = realm
        self._nonces = nonces

    def identify(self, message: StunMessage, source: Address, now: float) -> TurnIdentity:
        """Authenticate a request, with the checks and in the order of RFC 8489 section 9.2.4.

        Raises:
            Refusal: 401, 400 or 438.
        """
        if message.signed is None:
            raise self.challenge("challenges", source, now)
        username, realm, nonce = (message.attributes.get(name) for name in ("USERNAME", "REALM", "NONCE"))
        if username is None or realm is None or nonce is None:
            raise Refusal(400, "bad_requests")
        if not self._nonces.is_good(nonce, source, now):
            raise self._refusal(438, "nonces_stale", source, now)
        holder = holder_of(username)
        if holder is None or realm != self._realm:
            raise self.challenge("unauthentic", source, now)
        key = self._credentials.key(username, realm)
        if not message.is_signed_with(key):
            raise self.challenge("unauthentic", source, now)
        return TurnIdentity(username, holder.profile, holder.expires, key)

    def challenge(self, counter: str, source: Address, now: float) -> Refusal:
        """A 401 with which a client can try again."""
        return self._refusal(401, counter, source, now)

    def _refusal(self, code: int, counter: str, source: Address, now: float) -> Refusal:
        return Refusal(code, counter, realm=self._realm, nonce=self._nonces.issue(source, now))
