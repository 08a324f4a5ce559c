"""How long a TLS certificate is good for, and what is to be said of that."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

from cryptography import x509

WARN_WITHIN: Final = 14 * 86_400.0
"""Seconds before the end. Automatic renewal (ACME) happens 30 days before it, so something is wrong by then."""

WARN_EVERY: Final = 86_400.0
"""Seconds between two warnings."""


@dataclass(frozen=True, slots=True)
class Validity:
    """When all certificates of a chain are good: a browser refuses it if one of them is not. Unix time."""

    begins: float
    ends: float

    @classmethod
    def of(cls, chain: bytes) -> Self:
        """Of certificates in PEM.

        Raises:
            ValueError: there are none.
        """
        certificates = x509.load_pem_x509_certificates(chain)
        begins = max(one.not_valid_before_utc for one in certificates)
        return cls(begins.timestamp(), min(one.not_valid_after_utc for one in certificates).timestamp())

    def warning(self, now: float) -> str | None:
        """What to say of it; None: nothing."""
        if now >= self.ends:
            return f"has expired on {_day(self.ends)}: browsers refuse it. Renew it; a new file is loaded by itself"
        if now < self.begins:
            return f"is not good before {_moment(self.begins)}: browsers refuse it. Is the clock of this machine right?"
        if now >= self.ends - WARN_WITHIN:
            days = int((self.ends - now) // 86_400)
            return f"expires on {_day(self.ends)}, in {days} days. Renew it; a new file is loaded by itself"
        return None


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
