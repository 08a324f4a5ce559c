"""The TLS certificate, from files that may change while the relay runs."""

import logging
import ssl
from pathlib import Path
from typing import Final

from relay.errors import ConfigurationError
from relay.front.counters import Counters

logger = logging.getLogger(__name__)

CHECK_INTERVAL: Final = 5.0
"""Seconds between looks at the files."""

_State = tuple[tuple[int, int, int], ...]


class CertificateFiles:
    """A certificate chain and its key, in PEM.

    Raises:
        ConfigurationError: they cannot be used.
    """

    def __init__(self, certificate: str, key: str, counters: Counters) -> None:
        self._certificate, self._key = certificate, key
        self._counters = counters
        try:
            self._seen = self._state()
            self.context = self._load()
            """For connections that begin now."""
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise ConfigurationError(
                f"the TLS certificate {certificate} with the key {key} cannot be used: {_words(error)}"
            ) from None

    def check(self) -> None:
        """Load the files again if they have changed. If they cannot be used, the ones before stay in force."""
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

    def _state(self) -> _State:
        found = (Path(name).stat() for name in (self._certificate, self._key))
        return tuple((one.st_mtime_ns, one.st_ino, one.st_size) for one in found)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.options |= ssl.OP_NO_RENEGOTIATION  # nobody needs it, and it costs us more than who asks for it
        for name in (self._certificate, self._key):
            Path(name).open("rb").close()  # OpenSSL does not say which of them it may not read
        context.load_cert_chain(self._certificate, self._key, password=_no_password)
        self._counters["certificates_loaded"] += 1
        return context


def _no_password() -> str:
    raise ValueError("the key has a password")  # else OpenSSL would ask for it at the terminal


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
