"""From the settings to what each part wants to know of them."""

import re
from pathlib import Path

from relay.errors import ConfigurationError
from relay.http.auth import Tokens
from relay.http.keys import Keys, fetch_from
from relay.http.readiness import Check, Readiness
from relay.media.api import MediaEventSink
from relay.media.engine import LocalEngine
from relay.media.net.addresses import AddressWatch
from relay.push.vapid import VapidKey
from relay.push.waker import PushWaker, Subscriptions
from relay.settings.auth import AuthSettings
from relay.settings.database import DatabaseSettings
from relay.settings.media import MediaLimits, MediaSettings
from relay.settings.push import PushSettings
from relay.signaling.calls.service import Calls
from relay.signaling.log.journal import FileJournal
from relay.workers.pool import WorkerPool
from relay.workers.usage import WorkerProcesses


def tokens(settings: AuthSettings) -> Tokens:
    """Who signs tokens, and what they must say."""
    return Tokens(settings, Keys(fetch_from(settings.jwks)) if settings.jwks else None)


def journal(settings: DatabaseSettings, folder: Path | None) -> FileJournal | None:
    """Where what waits for the database outlives this process; None: it does not.

    Args:
        folder: of the database; None: that is in memory.
    """
    if settings.journal == "off" or (folder is None and not settings.journal):
        return None
    name = re.sub(r"[^A-Za-z0-9._-]", "_", settings.node)
    return FileJournal(Path(settings.journal) if settings.journal else (folder or Path()) / f"calls-{name}.journal")


def waker(settings: PushSettings, rings_for: float, subscriptions: Subscriptions) -> PushWaker | None:
    """Web Push; None while it is off.

    Args:
        rings_for: seconds that a call rings.

    Raises:
        ConfigurationError: the key or the subject is not one.
    """
    if not settings.vapid_private_key:
        return None
    try:
        key = VapidKey.parse(settings.vapid_private_key, settings.vapid_subject)
    except ValueError as error:
        raise ConfigurationError(f"RELAY_VAPID_PRIVATE_KEY, RELAY_VAPID_SUBJECT: {error}") from None
    return PushWaker(subscriptions, key, rings_for)


def media_engine(settings: MediaSettings, on_event: MediaEventSink) -> LocalEngine | WorkerPool:
    """The media plane, in processes of its own or in this one."""
    hosts = settings.media_hosts
    limits = MediaLimits(media_max_mbit=settings.media_max_mbit, media_max_packets=settings.media_max_packets)
    if settings.worker_count == 0:
        return LocalEngine(on_event, hosts, settings.media_port, limits=limits)
    return WorkerPool(on_event, settings.worker_count, hosts, settings.media_port, limits=limits)


def address_watch(settings: MediaSettings) -> AddressWatch | None:
    """The addresses that media listens on, if those are this machine's, whichever it has."""
    return None if settings.media_hosts else AddressWatch()


def worker_processes(media: LocalEngine | WorkerPool) -> list[WorkerProcesses]:
    """What shows the processes of the media plane; nothing where it has none of its own."""
    if not isinstance(media, WorkerPool):
        return []
    return [WorkerProcesses(lambda: [(one.number, one.pid) for one in media.workers if one.pid is not None])]


def readiness(database: Check, media: LocalEngine | WorkerPool, calls: Calls) -> Readiness:
    """What must be well so that this server can take new calls."""

    async def media_up() -> bool:
        return isinstance(media, LocalEngine) or any(one.answering for one in media.workers)

    async def accepting() -> bool:
        return not calls.closing

    return Readiness({"database": database, "media": media_up, "accepting": accepting})
