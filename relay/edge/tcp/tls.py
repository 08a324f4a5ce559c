"""The TLS certificate, from files that may change while the relay runs."""

import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from relay.edge.counters import EdgeCounters
from relay.edge.tcp.certificate import WARN_EVERY, Validity
from relay.errors import ConfigurationError

logger = logging.getLogger(__name__)

_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
_KEY: Final = b"PRIVATE KEY-----"

_REASONS: Final = {
    "KEY_VALUES_MISMATCH": "the key is not that of the first certificate in the file (KEY_VALUES_MISMATCH)",
    "NO_START_LINE": "there is no certificate, or no key, in PEM (NO_START_LINE)",
    "PEM lib": "one of the files is not in PEM, or not what it should be",
}
"""What OpenSSL calls it."""

_State = tuple[tuple[int, int, int], ...]


class CertificateFiles:
    """A certificate chain and its key, in PEM.

    Raises:
        ConfigurationError: they cannot be used.
    """

    def __init__(self, certificate: str, key: str, counters: EdgeCounters, now: Callable[[], float] = time.time) -> None:
        """
        Args:
            now: Unix time.
        """
        self._certificate, self._key = certificate, key
        self._counters = counters
        self._now = now
        self._warn_at = float("inf")
        self.validity: Validity | None = None
        """Of the certificate in force; None if only OpenSSL understands it."""
        try:
            self._seen = self._state()
            self.context = self._load()
            """For connections that begin now."""
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise ConfigurationError(
                f"the TLS certificate {certificate} with the key {key} cannot be used: {_words(error)}"
            ) from None
        self._warn()

    @property
    def expires_in(self) -> float | None:
        """Seconds; negative once it has expired, None where `validity` is."""
        return None if self.validity is None else self.validity.ends - self._now()

    def check(self) -> None:
        """Load the files again if they have changed. If they cannot be used, the ones before stay in force.

        Warns daily of a certificate that has expired, or soon will.
        """
        if self._now() >= self._warn_at:
            self._warn()
        try:
            state = self._state()
        except OSError:
            return  # being replaced at this moment
        if state != self._seen:
            self._seen = state
            self.load_again()

    def load_again(self) -> None:
        """Load the files, changed or not. If they cannot be used, the ones before stay in force."""
        try:
            self.context = self._load()
        except (OSError, ValueError) as error:
            self._counters["certificates_refused"] += 1
            logger.error("the TLS certificate %s cannot be used, the old one stays: %s", self._certificate, _words(error))
        else:
            logger.info("the TLS certificate %s has been loaded again, and is in force", self._certificate)
            self._warn()

    def _warn(self) -> None:
        # Said or not, it is looked at again tomorrow.
        self._warn_at = self._now() + WARN_EVERY
        warning = self.validity.warning(self._now()) if self.validity is not None else None
        if warning is not None:
            logger.warning("the TLS certificate %s %s", self._certificate, warning)

    def _state(self) -> _State:
        found = (Path(name).stat() for name in (self._certificate, self._key))
        return tuple((one.st_mtime_ns, one.st_ino, one.st_size) for one in found)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.options |= ssl.OP_NO_RENEGOTIATION  # no client needs it, and it costs the server more than the client
        # OpenSSL does not say which of them it may not read, or what they are instead.
        chain, key = (Path(name).read_bytes() for name in (self._certificate, self._key))
        if _CERTIFICATE not in chain and _CERTIFICATE in key and _KEY in chain:
            raise ValueError("they are the other way round: the certificate is in the file of the key")
        context.load_cert_chain(self._certificate, self._key, password=_no_password)
        try:
            self.validity = Validity.of(chain)
        except ValueError:  # the library is stricter than OpenSSL
            self.validity = None
        self._counters["certificates_loaded"] += 1
        return context


def _no_password() -> str:
    raise ValueError("the key has a password")  # else OpenSSL would ask for it at the terminal


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return _REASONS.get(reason, reason)
