"""The key that identifies this relay to push services (VAPID, RFC 8292)."""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02, VapidException

LIFETIME: Final = timedelta(hours=12)
"""Of a signature. RFC 8292 section 2 allows 24 hours; clocks differ."""

_SCALAR_LENGTH: Final = 32
"""Bytes of a private key on P-256."""


class VapidKey:
    """A key pair on P-256.

    Args:
        private: the private key.
        subject: how the operators of push services reach the relay's operator: `mailto:` or `https:`.

    Attributes:
        public: the public key, uncompressed, base64url: `applicationServerKey` of the browsers' PushManager.
    """

    def __init__(self, private: ec.EllipticCurvePrivateKey, subject: str) -> None:
        self._vapid = Vapid02(private)
        self._subject = subject
        self.public = _text(private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))

    @classmethod
    def parse(cls, private: str, subject: str) -> Self:
        """A key in the notation of the Web Push tools: 32 bytes, base64url.

        Raises:
            ValueError: the key is none, or the subject is no address.
        """
        key = cls(_private_key(private), subject)
        try:
            key.headers("https://push.example", datetime.now(UTC))
        except VapidException:
            raise ValueError("the subject is no address such as mailto:operator@relay.example") from None
        return key

    def headers(self, audience: str, now: datetime) -> dict[str, str]:
        """The headers that identify the sender.

        Args:
            audience: origin of the push service.
        """
        claims = {"aud": audience, "sub": self._subject, "exp": int((now + LIFETIME).timestamp())}
        signed: dict[str, str] = self._vapid.sign(claims)
        return signed


def generate() -> tuple[str, str]:
    """A new key pair: the private key as the setting wants it, and the public key. Browsers that have subscribed with another
    key must do so again."""
    private = ec.generate_private_key(ec.SECP256R1())
    scalar = private.private_numbers().private_value.to_bytes(_SCALAR_LENGTH, "big")
    return _text(scalar), VapidKey(private, "").public


def _private_key(text: str) -> ec.EllipticCurvePrivateKey:
    try:
        scalar = base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True)
        if len(scalar) != _SCALAR_LENGTH:
            raise ValueError
        return ec.derive_private_key(int.from_bytes(scalar, "big"), ec.SECP256R1())
    except (ValueError, binascii.Error):
        # Without its cause, which might quote the key.
        raise ValueError("the private key has 32 bytes in base64url; try: python -m relay vapid-keys") from None


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
