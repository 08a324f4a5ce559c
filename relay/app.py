"""The composition root: the only place that sees everything, and wires it up."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from db import demo, migrate
from db.call_log import SqlCallLog
from db.chat import SqlChatLog
from db.directory import SqlDirectory
from db.engine import check, create_engine
from db.history import SqlHistory, SqlMissedCalls
from db.personal_data import SqlPersonalData
from db.platform import SqlPlatform
from db.push import SqlPushSubscriptions
from db.retention import SqlRetention
from db.settings import SqlSettings
from relay.config import Settings
from relay.errors import ConfigurationError
from relay.housekeeping import Housekeeping
from relay.http import blocks, dev, directory, me, operations, pages, ports, push, responses, sockets, whiteboard
from relay.http import calls as call_history
from relay.http import settings as profile_settings
from relay.http.admin import places as admin_places
from relay.http.admin import profiles as admin_profiles
from relay.http.admin import sync as admin_sync
from relay.http.admin import tokens as admin_tokens
from relay.http.admin.access import SERVICE_TOKEN
from relay.http.auth import TOKENS, Claims, Tokens
from relay.http.keys import Keys, fetch_from, load_at_start
from relay.http.limits import LIMITS, Limits, Rates
from relay.http.origins import ORIGINS, Origins
from relay.http.proxies import Proxies
from relay.ids import PlaceKind
from relay.media.api import MediaEventSink
from relay.media.channel import WorkerEngine
from relay.media.engine import LocalEngine
from relay.media.pool import WorkerPool
from relay.push.vapid import VapidKey
from relay.push.waker import PushWaker
from relay.signaling.call import Timers
from relay.signaling.calls import Calls
from relay.signaling.exchange import Ports
from relay.signaling.records import RetentionDays

SETTINGS: Final = web.AppKey("settings", Settings)
MEDIA_PORTS: Final = web.AppKey("media_ports", list[int])
"""The UDP ports that media comes in by, once the application has started."""
_DATABASE: Final = web.AppKey("database", AsyncEngine)
_MEDIA: Final = web.AppKey("media", WorkerEngine)
_WAKER: Final = web.AppKey("waker", PushWaker)


def create_app(settings: Settings) -> web.Application:
    """The relay as an aiohttp application: run it by itself, or mount it with `add_subapp` in a server of your own.

    Starting it opens the database and the media port; `ConfigurationError` comes up where that does not work.
    """
    settings = settings.with_secret()
    limits, origins = Limits(_rates(settings)), Origins(settings.allowed_origins)
    app = web.Application(
        middlewares=[
            responses.errors_in_words,
            Proxies(settings.trusted_proxies).middleware(),
            limits.middleware(),
            origins.middleware(),
        ],
        client_max_size=responses.MAX_BODY,
    )
    app.on_response_prepare.append(responses.add_headers)
    database = create_engine(settings.database_url)
    profiles, subscriptions = SqlDirectory(database), SqlPushSubscriptions(database)
    waker = _waker(settings, subscriptions)
    media = _media_engine(
        settings,
        lambda event: calls.media_event(event),  # noqa: PLW0108 - the two need each other; calls exists by then
    )
    calls = Calls(
        ports=Ports(
            directory=profiles,
            logs={kind: SqlCallLog(database, settings.node, kind) for kind in PlaceKind},
            chat=SqlChatLog(database),
            missed=SqlMissedCalls(database),
            waker=waker,
            limiter=limits,
        ),
        engine=media,
        timers=Timers(
            ring=settings.ring_timeout,
            connect=settings.connect_timeout,
            media_grace=settings.media_grace,
            signaling_grace=settings.signaling_grace,
            vanished_grace=settings.vanished_grace,
        ),
        public_addresses=settings.public_address,
    )
    app[SETTINGS] = settings
    app[_DATABASE] = database
    app[MEDIA_PORTS] = []
    app[_MEDIA] = app[operations.ENGINE] = media
    app[TOKENS] = _tokens(settings)
    app[LIMITS] = limits
    app[ORIGINS] = origins
    app[directory.DIRECTORY] = app[dev.WRITABLE_DIRECTORY] = profiles
    app[directory.ICE_SERVERS] = directory.no_ice_servers
    app[ports.PROFILE_SETTINGS] = SqlSettings(database)
    app[ports.HISTORIES] = {kind: SqlHistory(database, kind) for kind in PlaceKind}
    app[ports.PERSONAL_DATA] = app[ports.OWN_HISTORY] = SqlPersonalData(database)
    app[ports.WHITEBOARD_SESSIONS] = profiles
    app[ports.PLATFORM] = SqlPlatform(database)
    app[ports.PUSH_SUBSCRIPTIONS] = subscriptions
    app[operations.PUSH_OUTCOMES] = waker.outcomes if waker else Counter()
    if waker is not None:
        app[ports.PUSH_GATE] = app[_WAKER] = waker
    app[sockets.CALLS] = calls
    app[sockets.CONNECTIONS] = set()
    app[sockets.MAX_DEVICES] = settings.max_devices
    app[sockets.PING_INTERVAL] = settings.ping_interval
    for routes in (directory.ROUTES, sockets.ROUTES, operations.ROUTES, push.ROUTES, pages.ROUTES):
        app.add_routes(routes)
    for routes in (profile_settings.ROUTES, blocks.ROUTES, call_history.ROUTES, whiteboard.ROUTES, me.ROUTES):
        app.add_routes(routes)
    if settings.service_token:
        _add_admin(app, settings)
    if settings.dev:
        app.add_routes(dev.ROUTES)
    app.cleanup_ctx.append(_database_open)
    app.cleanup_ctx.append(_keys_open)
    app.cleanup_ctx.append(_push_open)
    app.cleanup_ctx.append(_house_kept)
    app.cleanup_ctx.append(_media_open)
    app.on_shutdown.append(_end_calls)
    return app


def _add_admin(app: web.Application, settings: Settings) -> None:
    app[SERVICE_TOKEN] = settings.service_token
    for routes in (admin_profiles.ROUTES, admin_places.ROUTES, admin_sync.ROUTES):
        app.add_routes(routes)
    if settings.jwt_secret:
        app.add_routes(admin_tokens.ROUTES)


def _rates(settings: Settings) -> Rates:
    return Rates(
        messages=settings.limit_messages,
        messages_per_address=settings.limit_messages_per_address,
        invitations=settings.limit_invitations,
        invitations_per_address=settings.limit_invitations_per_address,
        connections=settings.limit_connections,
        requests=settings.limit_requests,
        failed_logins=settings.limit_failed_logins,
    )


def _tokens(settings: Settings) -> Tokens:
    claims = Claims(
        profile=settings.jwt_profile_claim,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        leeway=settings.jwt_leeway,
    )
    keys = Keys(fetch_from(settings.jwks)) if settings.jwks else None
    return Tokens(settings.jwt_secret, settings.token_lifetime, keys=keys, claims=claims)


def _waker(settings: Settings, subscriptions: SqlPushSubscriptions) -> PushWaker | None:
    if not settings.vapid_private_key:
        return None
    try:
        key = VapidKey.parse(settings.vapid_private_key, settings.vapid_subject)
    except ValueError as error:
        raise ConfigurationError(f"RELAY_VAPID_PRIVATE_KEY, RELAY_VAPID_SUBJECT: {error}") from None
    return PushWaker(subscriptions, key, settings.ring_timeout)


def _retention_days(settings: Settings) -> RetentionDays:
    return RetentionDays(
        calls=settings.retain_calls_days or None,
        whiteboard_calls=settings.retain_whiteboard_calls_days or None,
        identities=settings.retain_identities_days or None,
        chat=settings.retain_chat_days or None,
        push_subscriptions=settings.retain_push_subscriptions_days or None,
    )


def _media_engine(settings: Settings, on_event: MediaEventSink) -> WorkerEngine:
    hosts = [settings.media_host] if settings.media_host else ()
    if settings.worker_count == 0:
        return LocalEngine(on_event, hosts, settings.media_port)
    return WorkerPool(on_event, settings.worker_count, hosts, settings.media_port)


async def _database_open(app: web.Application) -> AsyncIterator[None]:
    database = app[_DATABASE]
    try:
        await check(database)
        if app[SETTINGS].dev:
            await migrate.upgrade(database)
            await demo.load_demo(database)
        else:
            await migrate.require_current(database)
        yield
    finally:
        await database.dispose()


async def _keys_open(app: web.Application) -> AsyncIterator[None]:
    keys = app[TOKENS].keys
    if keys is None:
        yield
        return
    await load_at_start(keys, app[SETTINGS].jwks)
    try:
        yield
    finally:
        await keys.close()


async def _push_open(app: web.Application) -> AsyncIterator[None]:
    waker = app.get(_WAKER)
    if waker is None:
        yield
        return
    await waker.start()
    try:
        yield
    finally:
        await waker.close()


async def _house_kept(app: web.Application) -> AsyncIterator[None]:
    housekeeping = Housekeeping(SqlRetention(app[_DATABASE]), _retention_days(app[SETTINGS]))
    await housekeeping.start()
    try:
        yield
    finally:
        await housekeeping.close()


async def _media_open(app: web.Application) -> AsyncIterator[None]:
    app[MEDIA_PORTS].extend(await app[_MEDIA].start())
    try:
        await app[sockets.CALLS].start()
        yield
    finally:
        await app[_MEDIA].close()


async def _end_calls(app: web.Application) -> None:
    # Before the sockets close, so that everyone still hears of it; before the database does, so that it is written.
    await app[sockets.CALLS].close()
    await sockets.close_all(app)
