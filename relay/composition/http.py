"""HTTP: pages, API, WebSockets."""

import time
from collections import Counter
from collections.abc import Sequence

from aiohttp import web

from relay.composition.database import DatabasePlane
from relay.composition.media import MediaPlane
from relay.db.figures import LEVELS as DATABASE_LEVELS
from relay.db.history import SqlHistory
from relay.db.outage import NAMES as OUTAGE_NAMES
from relay.db.personal_data import SqlPersonalData
from relay.db.platform import SqlPlatform
from relay.db.revocations import SqlRevocations
from relay.db.settings import SqlSettings
from relay.edge.counters import CERTIFICATE_LEVELS
from relay.edge.counters import LEVELS as EDGE_LEVELS
from relay.edge.counters import NAMES as EDGE_NAMES
from relay.edge.edge import Edge
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
from relay.http.auth import TOKENS, Tokens
from relay.http.consequences import EnforcedPersonalData, EnforcedPlatform, EnforcedSettings
from relay.http.cors import Cors
from relay.http.identity import IDENTIFIER, Identifier
from relay.http.keys import Keys, fetch_from
from relay.http.limits import LIMITS, HttpLimits
from relay.http.origins import ORIGINS, Origins
from relay.http.proxies import Proxies
from relay.http.proxy_faults import ProxyFaults
from relay.http.readiness import Readiness
from relay.http.revocations import REVOCATIONS, Revocations
from relay.ids import PlaceKind
from relay.push.waker import PushWaker
from relay.settings.auth import AuthSettings
from relay.settings.http import HttpSettings
from relay.signaling.calls.faults import NAMES as EXTENSION_NAMES
from relay.signaling.calls.faults import Faults
from relay.signaling.calls.service import Calls
from relay.signaling.log.writebehind import NAMES as WRITE_NAMES
from relay.signaling.log.writebehind import WAITING
from relay.signaling.records import Revocation, RevocationCause
from relay.turn.counters import NAMES as TURN_NAMES


def http_plane(
    settings: HttpSettings,
    auth: AuthSettings,
    trusted_proxies: Sequence[str],
    *,
    database: DatabasePlane,
    media: MediaPlane,
    edge: Edge,
    calls: Calls,
    limits: HttpLimits,
    waker: PushWaker | None,
    identifier: Identifier | None,
    faults: Faults,
) -> web.Application:
    """The application with all its routes.

    Args:
        identifier: asks the embedding program who sends a request; None: only tokens say it.
        faults: what went wrong in the embedding program.
    """
    origins = Origins(settings.allowed_origins)
    app = _bare_app(trusted_proxies, origins)
    probes = app[connectivity.PROBES] = connectivity.Probes(calls.sessions)
    _add_stores(app, database, calls)
    app[TOKENS], app[LIMITS], app[ORIGINS] = tokens(auth), limits, origins
    if identifier is not None:
        app[IDENTIFIER] = identifier
    app[directory.ICE_SERVERS] = lambda profile, host: edge.ice_servers(profile.key, host, time.time())
    app[operations.ENGINE] = media.engine
    app[operations.COLLECTORS] = [database.figures, *media.processes()]
    app[operations.SOURCES] = _sources(calls, edge, database, probes, faults)
    app[operations.PUSH_OUTCOMES] = waker.outcomes if waker else Counter()
    if waker is not None:
        app[ports.PUSH_GATE] = waker
    app[readiness.READINESS] = _readiness(database, media, calls)
    app[sockets.CALLS] = calls
    app[sockets.CONNECTIONS] = {}
    app[sockets.MAX_DEVICES] = settings.max_devices
    app[sockets.PING_INTERVAL] = settings.ping_interval
    _add_routes(app, auth)
    return app


def tokens(settings: AuthSettings) -> Tokens:
    """What verifies and issues tokens."""
    return Tokens(settings, Keys(fetch_from(settings.jwks)) if settings.jwks else None)


def _bare_app(trusted_proxies: Sequence[str], origins: Origins) -> web.Application:
    """What every request and every answer passes."""
    cors = Cors(origins)
    app = web.Application(
        middlewares=[
            responses.errors_in_words,
            Proxies(trusted_proxies).middleware(),
            ProxyFaults().middleware(),
            cors.middleware(),
            admission.middleware(),
            origins.middleware(),
        ],
        client_max_size=responses.MAX_BODY,
    )
    app.on_response_prepare.extend([cors.signal(), responses.add_headers])
    return app


def _add_routes(app: web.Application, auth: AuthSettings) -> None:
    described = [*openapi.ROUTES, *directory.ROUTES, *sockets.ROUTES, *connectivity.ROUTES, *operations.ROUTES, *push.ROUTES]
    described += [
        *readiness.ROUTES,
        *profile_settings.ROUTES,
        *blocks.ROUTES,
        *call_history.ROUTES,
        *whiteboard.ROUTES,
        *me.ROUTES,
    ]
    if auth.service_token:
        app[SERVICE_TOKEN] = auth.service_token
        described += [*admin_profiles.ROUTES, *admin_places.ROUTES, *admin_sync.ROUTES, *admin_live.ROUTES, *admin_lists.ROUTES]
    if auth.service_token and auth.jwt_secret:
        described += admin_tokens.ROUTES
    if auth.dev:
        described += dev.ROUTES
    app.add_routes(described)
    app.add_routes(pages.ROUTES)
    app[openapi.DOCUMENT] = openapi.Document(described)


def _add_stores(app: web.Application, database: DatabasePlane, calls: Calls) -> None:
    """Where requests read and write. What changes about a profile reaches its calls and connections by that."""
    engine, enforcement = database.engine, calls.enforcement

    async def expel(revocation: Revocation, issued_before: float) -> None:
        """End what goes on with the credentials that a revocation is about."""
        if revocation.cause is RevocationCause.DELETED and revocation.profile is not None:
            await enforcement.remove(revocation.profile)
        else:
            await enforcement.revoke(revocation.profile, issued_before)
        sockets.drop_revoked(app)

    revocations = app[REVOCATIONS] = Revocations(SqlRevocations(engine), expel)
    personal_data = SqlPersonalData(engine)
    app[directory.DIRECTORY] = app[dev.WRITABLE_DIRECTORY] = app[ports.WHITEBOARD_SESSIONS] = database.directory
    app[ports.PUSH_SUBSCRIPTIONS] = database.subscriptions
    app[ports.ENFORCER] = enforcement
    app[ports.HISTORIES] = {kind: SqlHistory(engine, kind) for kind in PlaceKind}
    app[ports.OWN_HISTORY] = personal_data
    app[ports.PERSONAL_DATA] = EnforcedPersonalData(personal_data, revocations)
    app[ports.PLATFORM] = EnforcedPlatform(SqlPlatform(engine), enforcement, revocations)
    app[ports.PROFILE_SETTINGS] = EnforcedSettings(SqlSettings(engine), enforcement)


def _sources(
    calls: Calls, edge: Edge, database: DatabasePlane, probes: connectivity.Probes, faults: Faults
) -> Sequence[operations.Source]:
    """What the parts count."""
    return [
        operations.Source("database", OUTAGE_NAMES, lambda: database.engine.outage.counters),
        operations.Source("writes", WRITE_NAMES, lambda: calls.writes.counters),
        operations.Source("writes", {"waiting": WAITING}, lambda: {"waiting": calls.writes.waiting}, counting=False),
        operations.Source("front", EDGE_NAMES, lambda: edge.counters),
        operations.Source("turn", TURN_NAMES, lambda: edge.turn_counters),
        operations.Source("front", EDGE_LEVELS, edge.levels, counting=False),
        operations.Source("certificate", CERTIFICATE_LEVELS, edge.certificate_levels, counting=False),
        operations.Source("database", DATABASE_LEVELS, database.figures.levels, counting=False),
        operations.Source("extension", EXTENSION_NAMES, lambda: faults.counters),
        operations.Source("connectivity", connectivity.NAMES, lambda: probes.counters),
    ]


def _readiness(database: DatabasePlane, media: MediaPlane, calls: Calls) -> Readiness:
    """What must be well so that this server can take new calls."""

    async def accepting() -> bool:
        return not calls.closing

    return Readiness({"database": database.answers, "media": media.is_up, "accepting": accepting})
