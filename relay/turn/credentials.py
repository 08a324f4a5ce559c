"""Time-limited credentials and nonces, neither of which the server has to store.

The TURN REST convention (draft-uberti-behave-turn-rest): the user name has a profile and an end, and the password is an HMAC
of it. Every holder of the secret can issue credentials, and an external coturn (`use-auth-secret`) takes the same ones.
"""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final

from relay.turn.messages import Address

CREDENTIAL_LIFETIME: Final = 12 * 3600
"""Seconds. An allocation that has been made lives on, so this is how long a page may stay open and still make a new one."""

NONCE_LIFETIME: Final = 3600
"""Seconds (RFC 8656 section 5 wants a new one at least every hour)."""

_USERNAME: Final = re.compile(r"([0-9]{1,12}):([^:]{1,200})(?::([^:]{1,200}))?")


@dataclass(frozen=True, slots=True)
class TurnCredential:
    """What a client puts into its `RTCIceServer`."""

    username: str
    password: str
    expires: int
    """Unix time, seconds."""


@dataclass(frozen=True, slots=True)
class Holder:
    """What a user name says. Nothing of it is true before its password has been proven."""

    profile: str
    expires: int
    """Unix time, seconds."""
    call: str | None = None


def holder_of(username: str) -> Holder | None:
    """The profile that `{expiry}:{profile key}[:call]` is for, or None if it is no such user name."""
    match = _USERNAME.fullmatch(username)
    return Holder(match[2], int(match[1]), match[3]) if match else None


class TurnCredentials:
    """Issues credentials and knows the password of every user name.

    Args:
        secret: shared with every other server that issues or takes them.
        lifetime: seconds.

    Raises:
        ValueError: the secret is empty.
    """

    def __init__(self, secret: str, lifetime: int = CREDENTIAL_LIFETIME) -> None:
        if not secret:
            raise ValueError("the secret is empty: anybody could issue credentials")
        self._secret = secret.encode()
        self._lifetime = lifetime

    def issue(self, profile: str, now: float, call: str | None = None) -> TurnCredential:
        """Credentials for `profile` from `now`, Unix time, on.

        Raises:
            ValueError: `profile` or `call` is empty, too long, or has a colon.
        """
        expires = int(now) + self._lifetime
        username = f"{expires}:{profile}" if call is None else f"{expires}:{profile}:{call}"
        if holder_of(username) != Holder(profile, expires, call):
            raise ValueError(f"not fit for a user name: {username[:60]!r}")
        return TurnCredential(username, self.password(username), expires)

    def password(self, username: str) -> str:
        return base64.b64encode(hmac.digest(self._secret, username.encode(), hashlib.sha1)).decode()

    def key(self, username: str, realm: str) -> bytes:
        """What MESSAGE-INTEGRITY is keyed with (RFC 8489 section 9.2.2): the only use that is made of MD5 here."""
        text = f"{username}:{realm}:{self.password(username)}".encode()
        return hashlib.md5(text, usedforsecurity=False).digest()


class Nonces:
    """Each says until when and for which address it is good, and is signed: there is no list of them (RFC 8489 section 9.2)."""

    def __init__(self, lifetime: float = NONCE_LIFETIME) -> None:
        # A server that starts again has forgotten its allocations too: nonces need not outlive them.
        self._key = secrets.token_bytes(32)
        self._lifetime = lifetime

    def issue(self, source: Address, now: float) -> bytes:
        expires = b"%x" % int(now + self._lifetime)
        return expires + b"-" + self._signature(expires, source)

    def is_good(self, nonce: bytes, source: Address, now: float) -> bool:
        expires, _, signature = nonce.partition(b"-")
        # The signature first: only what we wrote ourselves is surely a number.
        return hmac.compare_digest(signature, self._signature(expires, source)) and now < int(expires, 16)

    def _signature(self, expires: bytes, source: Address) -> bytes:
        text = b"%s %s %d" % (expires, source[0].encode(), source[1])
        return hmac.digest(self._key, text, hashlib.sha256)[:12].hex().encode()
