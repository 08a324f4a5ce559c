"""From the settings to what each part wants to know of them."""

import re
from pathlib import Path

from relay.edge.options import LOCALHOST, Options
from relay.errors import ConfigurationError
from relay.http.auth import Claims, Tokens
from relay.http.keys import Keys, fetch_from
from relay.http.limits import Rates
from relay.http.readiness import Check, Readiness
from relay.media.api import MediaEventSink
from relay.media.engine import LocalEngine
from relay.media.net.addresses import AddressWatch
from relay.media.transport.policing import MediaLimits
from relay.push.vapid import VapidKey
from relay.push.waker import PushWaker, Subscriptions
from relay.settings.all import Settings
from relay.settings.notation import parse_networks
from relay.signaling.calls.call import Timers
from relay.signaling.calls.service import Calls
from relay.signaling.log.journal import FileJournal
from relay.signaling.records import RetentionDays
from relay.turn.limits import Limits as TurnLimits
from relay.workers.pool import WorkerPool
from relay.workers.usage import WorkerProcesses


def rates(settings: Settings) -> Rates:
    """How often anybody may do what."""
    return Rates(
        messages=settings.limit_messages,
        messages_per_address=settings.limit_messages_per_address,
        invitations=settings.limit_invitations,
        invitations_per_address=settings.limit_invitations_per_address,
        connections=settings.limit_connections,
        connections_per_profile=settings.limit_connections_per_profile,
        requests=settings.limit_requests,
        requests_per_profile=settings.limit_requests_per_profile,
        failed_logins=settings.limit_failed_logins,
    )


def tokens(settings: Settings) -> Tokens:
    """Who signs tokens, and what they must say."""
    claims = Claims(
        profile=settings.jwt_profile_claim,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        leeway=settings.jwt_leeway,
    )
    keys = Keys(fetch_from(settings.jwks)) if settings.jwks else None
    return Tokens(settings.jwt_secret, settings.token_lifetime, keys=keys, claims=claims)


def journal(settings: Settings, folder: Path | None) -> FileJournal | None:
    """Where what waits for the database outlives this process; None: it does not.

    Args:
        folder: of the database; None: that is in memory.
    """
    if settings.journal == "off" or (folder is None and not settings.journal):
        return None
    name = re.sub(r"[^A-Za-z0-9._-]", "_", settings.node)
    return FileJournal(Path(settings.journal) if settings.journal else (folder or Path()) / f"calls-{name}.journal")


def waker(settings: Settings, subscriptions: Subscriptions) -> PushWaker | None:
    """Web Push; None while it is off.

    Raises:
        ConfigurationError: the key or the subject is not one.
    """
    if not settings.vapid_private_key:
        return None
    try:
        key = VapidKey.parse(settings.vapid_private_key, settings.vapid_subject)
    except ValueError as error:
        raise ConfigurationError(f"RELAY_VAPID_PRIVATE_KEY, RELAY_VAPID_SUBJECT: {error}") from None
    return PushWaker(subscriptions, key, settings.ring_timeout)


def retention_days(settings: Settings) -> RetentionDays:
    """How long each kind of data is kept; None: for ever."""
    return RetentionDays(
        calls=settings.retain_calls_days or None,
        whiteboard_calls=settings.retain_whiteboard_calls_days or None,
        identities=settings.retain_identities_days or None,
        chat=settings.retain_chat_days or None,
        push_subscriptions=settings.retain_push_subscriptions_days or None,
    )


def media_engine(settings: Settings, on_event: MediaEventSink) -> LocalEngine | WorkerPool:
    """The media plane, in processes of its own or in this one."""
    hosts = settings.media_hosts
    limits = MediaLimits(bits=settings.media_max_mbit * 1e6, packets=settings.media_max_packets)
    if settings.worker_count == 0:
        return LocalEngine(on_event, hosts, settings.media_port, limits=limits)
    return WorkerPool(on_event, settings.worker_count, hosts, settings.media_port, limits=limits)


def address_watch(settings: Settings) -> AddressWatch | None:
    """The addresses that media listens on, if those are this machine's, whichever it has."""
    return None if settings.media_hosts else AddressWatch()


def worker_processes(media: LocalEngine | WorkerPool) -> list[WorkerProcesses]:
    """What shows the processes of the media plane; nothing where it has none of its own."""
    if not isinstance(media, WorkerPool):
        return []
    return [WorkerProcesses(lambda: [(one.number, one.pid) for one in media.workers if one.pid is not None])]


def front_options(settings: Settings) -> Options:
    """What is served besides plain UDP, and where."""
    same = ("port", "public_port", "tls_cert", "tls_key", "media_tcp", "media_tcp_port")
    turn = ("turn", "turn_host", "turn_port", "turn_realm", "turn_secret", "turn_urls", "turn_lifetime")
    return Options(
        **{name: getattr(settings, name) for name in same + turn},
        host=LOCALHOST if settings.listens_locally else settings.host,
        proxies=tuple(parse_networks(settings.trusted_proxies)),
        turn_limits=TurnLimits(
            allocations=settings.turn_allocations,
            allocations_per_profile=settings.turn_allocations_per_profile,
            allocations_per_address=settings.turn_allocations_per_address,
        ),
        addresses=tuple(dict.fromkeys(settings.advertised_addresses + settings.media_hosts)),
    )


def readiness(database: Check, media: LocalEngine | WorkerPool, calls: Calls) -> Readiness:
    """What must be well so that this server can take new calls."""

    async def media_up() -> bool:
        return isinstance(media, LocalEngine) or any(one.answering for one in media.workers)

    async def accepting() -> bool:
        return not calls.closing

    return Readiness({"database": database, "media": media_up, "accepting": accepting})


def timers(settings: Settings) -> Timers:
    """How long each stage of a call may take."""
    return Timers(
        ring=settings.ring_timeout,
        connect=settings.connect_timeout,
        media_grace=settings.media_grace,
        signaling_grace=settings.signaling_grace,
        vanished_grace=settings.vanished_grace,
        longest=60 * settings.max_call_minutes,
    )
