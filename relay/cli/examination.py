"""The examination by `python -m relay check-config`: whether files, ports and servers of the settings can be opened."""

from datetime import UTC, datetime

from relay.app import create_app
from relay.composition.cluster import look_at_redis
from relay.composition.database import look_at_database
from relay.composition.http import tokens
from relay.edge.counters import EdgeCounters
from relay.edge.tcp.tls import CertificateFiles
from relay.errors import ConfigurationError
from relay.http.access.keys import load_at_start
from relay.media.capture.directory import examine_directory
from relay.settings.all import Settings


async def examine(settings: Settings) -> tuple[list[str], list[str]]:
    """Open what the settings name, and close it again. Creates and changes nothing.

    Returns:
        Lines for what works, and lines for what fails.
    """
    good: list[str] = []
    bad: list[str] = []
    for look in (_database, _redis, _certificate, _keys, _recordings, _application):
        try:
            good += await look(settings)
        except ConfigurationError as error:
            bad += str(error).splitlines()
    return good, [*dict.fromkeys(bad)]


async def _database(settings: Settings) -> list[str]:
    return [await look_at_database(settings)]


async def _redis(settings: Settings) -> list[str]:
    return [await look_at_redis(settings)] if settings.redis_url else []


async def _certificate(settings: Settings) -> list[str]:
    if not settings.tls_cert:
        return []
    validity = CertificateFiles(settings.tls_cert, settings.tls_key, EdgeCounters()).validity
    if validity is None:
        return ["The TLS certificate and its key fit."]
    ends = datetime.fromtimestamp(validity.ends, UTC)
    return [f"The TLS certificate and its key fit; it expires on {ends:%Y-%m-%d}."]


async def _keys(settings: Settings) -> list[str]:
    keys = tokens(settings).keys
    if keys is None:
        return []
    await load_at_start(keys, settings.jwks)
    return ["The keys of RELAY_JWKS can be loaded."] if keys.fetches["good"] else []


async def _recordings(settings: Settings) -> list[str]:
    directory = settings.recordings
    if directory is None or settings.recording_policy == "off":
        return []
    examine_directory(directory, may_be_missing=settings.makes_directory)
    sealed = "sealed" if settings.recording_key else "not sealed"
    return [f"Recordings can be written to {directory}; they are {sealed}."]


async def _application(settings: Settings) -> list[str]:
    """Problems that the parts report when they are built from the settings."""
    create_app(settings)
    return []
