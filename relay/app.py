"""The composition root: the only place that sees everything, and wires it up."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from relay import wiring
from relay.db import demo, migrate
from relay.db.call_log import SqlCallLog
from relay.db.chat import SqlChatLog
from relay.db.directory import SqlDirectory
from relay.db.engine import answers, check, create_engine, file_of, folder_of
from relay.db.figures import LEVELS as DATABASE_LEVELS
from relay.db.figures import Figures
from relay.db.history import SqlHistory, SqlMissedCalls
from relay.db.naming import Layout
from relay.db.outage import NAMES as OUTAGE_NAMES
from relay.db.outage import WatchedEngine
from relay.db.personal_data import SqlPersonalData
from relay.db.platform import SqlPlatform
from relay.db.push import SqlPushSubscriptions
from relay.db.retention import SqlRetention
from relay.db.revocations import SqlRevocations
from relay.db.settings import SqlSettings
from relay.db.views import require_views
from relay.edge.counters import CERTIFICATE_LEVELS
from relay.edge.counters import LEVELS as FRONT_LEVELS
from relay.edge.counters import NAMES as FRONT_NAMES
from relay.edge.edge import Edge
from relay.edge.reach import ReachableEngine
from relay.extensions import Extensions
from relay.housekeeping import Housekeeping
from relay.http import (
    admission,
    blocks,
    connectivity,
    dev,
    directory,
    me,
    openapi,
    operations,
    pages,
    ports,
    push,
    readiness,
    responses,
    sockets,
    whiteboard,
)
from relay.http import calls as call_history
from relay.http import settings as profile_settings
from relay.http.admin import lists as admin_lists
from relay.http.admin import live as admin_live
from relay.http.admin import places as admin_places
from relay.http.admin import profiles as admin_profiles
from relay.http.admin import sync as admin_sync
from relay.http.admin import tokens as admin_tokens
from relay.http.admin.access import SERVICE_TOKEN
from relay.http.auth import TOKENS
from relay.http.consequences import EnforcedPersonalData, EnforcedPlatform, EnforcedSettings
from relay.http.cors import Cors
from relay.http.identity import IDENTIFIER, Identifier
from relay.http.keys import load_at_start
from relay.http.limits import LIMITS, Limits
from relay.http.origins import ORIGINS, Origins
from relay.http.proxies import Proxies
from relay.http.proxy_faults import ProxyFaults
from relay.http.revocations import REVOCATIONS, Revocations
from relay.ids import PlaceKind
from relay.push.waker import PushWaker
from relay.settings.all import Settings
from relay.settings.auth import AuthSettings
from relay.settings.calls import CallSettings
from relay.settings.database import TableSettings
from relay.settings.edge import EdgeSettings
from relay.settings.limits import LimitSettings
from relay.settings.retention import RetentionSettings
from relay.settings.turn import TurnSettings
from relay.signaling.calls.context import Ports
from relay.signaling.calls.enforcement import Enforcement
from relay.signaling.calls.faults import NAMES as EXTENSION_NAMES
from relay.signaling.calls.faults import Faults
from relay.signaling.calls.hooks import HookRunner
from relay.signaling.calls.judge import Judge
from relay.signaling.calls.review import Review
from relay.signaling.calls.service import Calls
from relay.signaling.log.writebehind import NAMES as WRITE_NAMES
from relay.signaling.log.writebehind import WAITING
from relay.signaling.records import Revocation, RevocationCause
from relay.turn.counters import NAMES as TURN_NAMES
from relay.workers.channel import WorkerEngine

SETTINGS: Final = web.AppKey("settings", Settings)
MEDIA_PORTS: Final = web.AppKey("media_ports", list[int])
"""The UDP ports that media comes in by, once the application has started."""
CALLS_ENDED: Final = web.AppKey("calls_ended", asyncio.Event)
"""Set once the application stops, every call has ended, and its row is written."""
_DATABASE: Final = web.AppKey("database", AsyncEngine)
EDGE: Final = web.AppKey("edge", Edge)
"""Media over TCP, and TURN: off until `serve` starts it. An application that is mounted elsewhere has no port of its own."""
_MEDIA: Final = web.AppKey("media", WorkerEngine)
_HOOKS: Final = web.AppKey("hooks", HookRunner)
_WAKER: Final = web.AppKey("waker", PushWaker)


def create_app(settings: Settings, *, extensions: Extensions | None = None) -> web.Application:
    """The relay as an aiohttp application: run it by itself, or mount it with `add_subapp` in a server of your own.

    Args:
        extensions: what the embedding program decides, and is told of.

    Starting it opens the database and the media port; `ConfigurationError` comes up where that does not work.
    """
    settings = settings.with_secret()
    limits, origins = Limits(settings.only(LimitSettings)), Origins(settings.allowed_origins)
    app = _bare_app(settings, origins)
    database = open_database(settings)
    figures = Figures(database)
    extensions, faults = extensions or Extensions(), Faults()
    hooks = app[_HOOKS] = HookRunner(extensions.hooks, faults)
    if extensions.identification is not None:
        app[IDENTIFIER] = Identifier(extensions.identification, faults)
    profiles, subscriptions = SqlDirectory(database), SqlPushSubscriptions(database)
    waker = wiring.waker(settings, settings.ring_timeout, subscriptions)
    media = wiring.media_engine(
        settings,
        lambda event: calls.media_event(event),  # noqa: PLW0108 - the two need each other; calls exists by then
    )
    reachable = ReachableEngine(media)
    edge = Edge(
        settings.only(EdgeSettings),
        settings.only(TurnSettings),
        reachable,
        lambda: media.ports,
        tuple(dict.fromkeys(settings.advertised_addresses + settings.media_hosts)),
        wiring.address_watch(settings),
    )
    calls = Calls(
        ports=Ports(
            directory=profiles,
            logs={kind: SqlCallLog(database, settings.node, kind) for kind in PlaceKind},
            chat=SqlChatLog(database),
            missed=SqlMissedCalls(database),
            waker=waker,
            limiter=limits,
            route_of=edge.route_of,
            journal=wiring.journal(settings, folder_of(database)),
            judge=Judge(extensions.policy, faults),
            hooks=hooks,
        ),
        engine=reachable,
        timers=settings.only(CallSettings),
        public_addresses=settings.advertised_addresses,
    )
    probes = app[connectivity.PROBES] = connectivity.Probes(reachable, settings.advertised_addresses)
    app[SETTINGS] = settings
    app[_DATABASE] = database
    app[MEDIA_PORTS] = []
    app[CALLS_ENDED] = asyncio.Event()
    app[_MEDIA] = app[operations.ENGINE] = media
    app[EDGE] = edge
    app[readiness.READINESS] = wiring.readiness(partial(answers, database), media, calls)
    app[operations.COLLECTORS] = [figures, *wiring.worker_processes(media)]
    app[operations.SOURCES] = _sources(calls, edge, database, figures, probes, faults)
    app[TOKENS] = wiring.tokens(settings.only(AuthSettings))
    app[LIMITS], app[ORIGINS] = limits, origins
    app[directory.DIRECTORY] = app[dev.WRITABLE_DIRECTORY] = profiles
    app[directory.ICE_SERVERS] = lambda profile, host: edge.ice_servers(profile.key, host, time.time())
    app[ports.WHITEBOARD_SESSIONS] = profiles
    app[ports.PUSH_SUBSCRIPTIONS] = subscriptions
    _add_stores(app, database, calls.enforcement)
    app[operations.PUSH_OUTCOMES] = waker.outcomes if waker else Counter()
    if waker is not None:
        app[ports.PUSH_GATE] = app[_WAKER] = waker
    app[sockets.CALLS] = calls
    app[sockets.CONNECTIONS] = {}
    app[sockets.MAX_DEVICES] = settings.max_devices
    app[sockets.PING_INTERVAL] = settings.ping_interval
    _add_routes(app, settings)
    app.cleanup_ctx.append(_database_open)
    app.cleanup_ctx.append(_revocations_known)
    app.cleanup_ctx.append(_keys_open)
    app.cleanup_ctx.append(_push_open)
    app.cleanup_ctx.append(_house_kept)
    app.cleanup_ctx.append(_calls_reviewed)
    app.cleanup_ctx.append(_media_open)
    app.on_shutdown.append(_end_calls)
    return app


def _add_routes(app: web.Application, settings: Settings) -> None:
    described = [*openapi.ROUTES, *directory.ROUTES, *sockets.ROUTES, *connectivity.ROUTES, *operations.ROUTES, *push.ROUTES]
    described += [
        *readiness.ROUTES,
        *profile_settings.ROUTES,
        *blocks.ROUTES,
        *call_history.ROUTES,
        *whiteboard.ROUTES,
        *me.ROUTES,
    ]
    if settings.service_token:
        app[SERVICE_TOKEN] = settings.service_token
        described += [*admin_profiles.ROUTES, *admin_places.ROUTES, *admin_sync.ROUTES, *admin_live.ROUTES, *admin_lists.ROUTES]
    if settings.service_token and settings.jwt_secret:
        described += admin_tokens.ROUTES
    if settings.dev:
        described += dev.ROUTES
    app.add_routes(described)
    app.add_routes(pages.ROUTES)
    app[openapi.DOCUMENT] = openapi.Document(described)


def _sources(
    calls: Calls, edge: Edge, database: WatchedEngine, figures: Figures, probes: connectivity.Probes, faults: Faults
) -> Sequence[operations.Source]:
    """What the parts count."""
    return [
        operations.Source("database", OUTAGE_NAMES, lambda: database.outage.counters),
        operations.Source("writes", WRITE_NAMES, lambda: calls.writes.counters),
        operations.Source("writes", {"waiting": WAITING}, lambda: {"waiting": calls.writes.waiting}, counting=False),
        operations.Source("front", FRONT_NAMES, lambda: edge.counters),
        operations.Source("turn", TURN_NAMES, lambda: edge.turn_counters),
        operations.Source("front", FRONT_LEVELS, edge.levels, counting=False),
        operations.Source("certificate", CERTIFICATE_LEVELS, edge.certificate_levels, counting=False),
        operations.Source("database", DATABASE_LEVELS, figures.levels, counting=False),
        operations.Source("extension", EXTENSION_NAMES, lambda: faults.counters),
        operations.Source("connectivity", connectivity.NAMES, lambda: probes.counters),
    ]


def _bare_app(settings: Settings, origins: Origins) -> web.Application:
    """What every request and every answer passes."""
    cors = Cors(origins)
    app = web.Application(
        middlewares=[
            responses.errors_in_words,
            Proxies(settings.trusted_proxies).middleware(),
            ProxyFaults().middleware(),
            cors.middleware(),
            admission.middleware(),
            origins.middleware(),
        ],
        client_max_size=responses.MAX_BODY,
    )
    app.on_response_prepare.extend([cors.signal(), responses.add_headers])
    return app


def reload(app: web.Application) -> None:
    """Load again what comes from files and may have changed: the TLS certificate, and the public keys of the tokens.

    What cannot be used is said in the log, and what was in force before stays. Nothing is interrupted.
    """
    app[EDGE].reload()
    app[TOKENS].reload()


def open_database(settings: Settings) -> WatchedEngine:
    """An engine for the database that the settings name.

    Raises:
        ConfigurationError: the URL makes no sense, or its driver is not installed.
    """
    layout = Layout(settings.only(TableSettings))
    return create_engine(settings.database_url, layout=layout)


def _add_stores(app: web.Application, database: AsyncEngine, enforcement: Enforcement) -> None:
    """Where requests read and write. What changes about people reaches their calls and connections by that."""
    revocations = app[REVOCATIONS] = Revocations(SqlRevocations(database), lambda *revoked: _expel(app, *revoked))
    personal_data = SqlPersonalData(database)
    app[ports.ENFORCER] = enforcement
    app[ports.HISTORIES] = {kind: SqlHistory(database, kind) for kind in PlaceKind}
    app[ports.OWN_HISTORY] = personal_data
    app[ports.PERSONAL_DATA] = EnforcedPersonalData(personal_data, revocations)
    app[ports.PLATFORM] = EnforcedPlatform(SqlPlatform(database), enforcement, revocations)
    app[ports.PROFILE_SETTINGS] = EnforcedSettings(SqlSettings(database), enforcement)


async def look_at_database(settings: Settings) -> str:
    """Open the database and close it again; what was found, in a line. None is made.

    Raises:
        ConfigurationError: it cannot be opened, or a newer relay made its schema.
    """
    database = open_database(settings)
    how = "serve does that in development mode" if settings.dev else "run: python -m relay migrate"
    try:
        file = file_of(database)
        if file is not None and not file.exists() and os.access(file.parent, os.W_OK):
            return f"The database {file} is still to be made; {how}."
        await check(database)
        if await migrate.current(database) == migrate.head():
            return "The database opens, and its schema is up to date."
        await migrate.require_known(database)
        return f"The database opens. Its schema is still to be brought up to date; {how}."
    finally:
        await database.dispose()


async def _database_open(app: web.Application) -> AsyncIterator[None]:
    database = app[_DATABASE]
    try:
        await check(database)
        if app[SETTINGS].dev:
            await migrate.upgrade(database)
            await demo.load_demo(database)
        else:
            await migrate.require_current(database)
        await require_views(database)
        yield
    finally:
        await database.dispose()


async def _revocations_known(app: web.Application) -> AsyncIterator[None]:
    await app[REVOCATIONS].start()
    try:
        yield
    finally:
        await app[REVOCATIONS].close()


async def _expel(app: web.Application, revocation: Revocation, issued_before: float) -> None:
    """A revocation is news: whoever is here by what it revokes has to go."""
    if revocation.cause is RevocationCause.DELETED and revocation.profile is not None:
        await app[ports.ENFORCER].remove(revocation.profile)
    else:
        await app[ports.ENFORCER].revoke(revocation.profile, issued_before)
    sockets.drop_revoked(app)


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


async def _calls_reviewed(app: web.Application) -> AsyncIterator[None]:
    review = Review(app[ports.ENFORCER].review)
    await review.start()
    try:
        yield
    finally:
        await review.close()


async def _house_kept(app: web.Application) -> AsyncIterator[None]:
    housekeeping = Housekeeping(SqlRetention(app[_DATABASE]), app[SETTINGS].only(RetentionSettings))
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
    app[CALLS_ENDED].set()
    await app[_HOOKS].close()
    await sockets.close_all(app)
