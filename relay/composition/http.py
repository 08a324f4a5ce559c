"""HTTP: pages, API, WebSockets."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Middleware

from relay.cluster.api import Cluster
from relay.cluster.redis.figures import LEVELS as CLUSTER_LEVELS
from relay.cluster.redis.figures import NAMES as CLUSTER_NAMES
from relay.composition.cluster import ClusterPlane
from relay.composition.database import DatabasePlane
from relay.composition.limits import AppLimits
from relay.composition.media import MediaPlane
from relay.composition.recordings import RecordingPlane
from relay.db.figures import LEVELS as DATABASE_LEVELS
from relay.db.history import SqlHistory
from relay.db.outage import NAMES as OUTAGE_NAMES
from relay.db.personal_data import SqlPersonalData
from relay.db.platform import SqlPlatform
from relay.db.ratings import SqlRatings
from relay.db.revocations import SqlRevocations
from relay.db.settings import SqlSettings
from relay.edge.counters import CERTIFICATE_LEVELS
from relay.edge.counters import LEVELS as EDGE_LEVELS
from relay.edge.counters import NAMES as EDGE_NAMES
from relay.edge.edge import Edge
from relay.http import (
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
    ratings,
    readiness,
    responses,
    session,
    sockets,
    whiteboard,
)
from relay.http import calls as call_history
from relay.http import settings as profile_settings
from relay.http.access import admission
from relay.http.access.auth import TOKENS, HttpAuthenticator, Tokens
from relay.http.access.cors import Cors
from relay.http.access.identity import Identifier
from relay.http.access.keys import Keys, fetch_from
from relay.http.access.origins import Origins
from relay.http.access.revocations import REVOCATIONS, Revocations
from relay.http.access.service_token import ServiceToken
from relay.http.admin import drain as admin_drain
from relay.http.admin import lists as admin_lists
from relay.http.admin import live as admin_live
from relay.http.admin import nodes as admin_nodes
from relay.http.admin import profiles as admin_profiles
from relay.http.admin import recording_orders
from relay.http.admin import recordings as admin_recordings
from relay.http.admin import scopes as admin_scopes
from relay.http.admin import sync as admin_sync
from relay.http.admin import tokens as admin_tokens
from relay.http.admin.tickets import Tickets
from relay.http.api import DescribedRoute
from relay.http.consequences import EnforcedPersonalData, EnforcedPlatform, EnforcedSettings
from relay.http.limits import HttpLimits
from relay.http.needs import by_type
from relay.http.proxies import Proxies
from relay.http.proxy_faults import ProxyFaults
from relay.http.readiness import Readiness
from relay.http.recordings import routes as recordings
from relay.http.recordings.desk import RecordingDesk
from relay.http.recordings.downloads import NAMES as DOWNLOAD_NAMES
from relay.http.recordings.downloads import Downloads
from relay.http.recordings.ports import RecordingCatalogue
from relay.ids import ScopeKind
from relay.media.api import MediaEngine
from relay.push.waker import PushWaker
from relay.recording.jobs.jobs import LEVELS as JOB_LEVELS
from relay.recording.jobs.jobs import NAMES as JOB_NAMES
from relay.records.calls import Revocation, RevocationCause
from relay.settings.auth import AuthSettings
from relay.settings.http import HttpSettings
from relay.signaling.calls.faults import NAMES as EXTENSION_NAMES
from relay.signaling.calls.faults import Faults
from relay.signaling.calls.service import Calls
from relay.signaling.log.writebehind import NAMES as WRITE_NAMES
from relay.signaling.log.writebehind import WAITING
from relay.signaling.ports import Directory
from relay.turn.counters import NAMES as TURN_NAMES


def http_plane(
    settings: HttpSettings,
    auth: AuthSettings,
    trusted_proxies: Sequence[str],
    *,
    database: DatabasePlane,
    clustered: ClusterPlane,
    media: MediaPlane,
    edge: Edge,
    calls: Calls,
    recorded: RecordingPlane,
    limits: HttpLimits,
    app_limits: AppLimits,
    waker: PushWaker | None,
    identifier: Identifier | None,
    faults: Faults,
    drain_seconds: float,
) -> web.Application:
    """The application with all its routes.

    Args:
        limits: of requests.
        app_limits: what bounds this application besides.
        identifier: asks the embedding program for the sender of a request; None: only tokens identify it.
        faults: what went wrong in the embedding program.
        drain_seconds: `RELAY_DRAIN_SECONDS`.
    """
    origins, service_token = Origins(settings.allowed_origins), ServiceToken(auth.service_token)
    verified, open_sockets = tokens(auth), sockets.OpenSockets()
    revocations = _revocations(database, calls, open_sockets, app_limits.revocation_interval)
    who = HttpAuthenticator(verified, limits, revocations, identifier)
    app = _bare_app(trusted_proxies, origins, admission.middleware(limits, who, service_token))
    probes = connectivity.Probes(calls.sessions, app_limits.connection_test)
    described = _routes(auth)
    personal_data, downloads, rated = SqlPersonalData(database.engine), Downloads(limits), ratings.RatingCounters()
    needs = _Needs(
        http_settings=settings,
        limits=limits,
        tokens=verified,
        who=who,
        service_token=service_token,
        revocations=revocations,
        calls=calls,
        enforcer=calls.orders,
        open_sockets=open_sockets,
        probes=probes,
        engine=media.engine,
        observed=operations.Observed(
            calls=calls,
            limits=limits,
            origins=origins,
            pushed=waker.outcomes if waker else Counter(),
            rated=rated,
            sources=[
                *_sources(calls, edge, database, probes, faults),
                *_recording_sources(recorded, downloads),
                *_node_sources(clustered),
            ],
            collectors=[database.figures, *media.processes(), *clustered.collectors()],
        ),
        cluster=clustered.cluster,
        readiness=_readiness(database, media, calls, clustered),
        document=openapi.Document(described),
        ice_servers=lambda profile, host: edge.ice_servers(profile.key, host, time.time(), clustered.turn_urls()),
        directory=database.directory,
        writable_directory=database.directory,
        whiteboard_sessions=database.directory,
        push_gate=waker,
        push_subscriptions=database.subscriptions,
        histories={kind: SqlHistory(database.engine, kind) for kind in ScopeKind},
        call_ratings=SqlRatings(database.engine),
        rated=rated,
        drain_limit=admin_drain.DrainLimit(drain_seconds),
        own_history=personal_data,
        personal_data=EnforcedPersonalData(personal_data, revocations),
        platform=EnforcedPlatform(SqlPlatform(database.engine), calls.orders, revocations),
        profile_settings=EnforcedSettings(SqlSettings(database.engine), calls.orders),
        desk=_desk(recorded, database, downloads, auth),
        tickets=Tickets(auth.service_token),
        orders=calls.orders,
        recording_policies=recorded.store,
        catalogue=recorded.store,
        sign_in=session.SignInOptions.of(auth, settings),
    )
    provided = by_type(needs)
    app.add_routes([one.bound(provided) for one in described])
    app.add_routes(pages.Pages(watched=auth.dev, frame_ancestors=settings.frame_ancestors).routes())
    app[TOKENS], app[REVOCATIONS], app[sockets.OPEN_SOCKETS] = verified, revocations, open_sockets
    app[operations.OBSERVED], app[operations.ENGINE], app[openapi.DOCUMENT] = needs.observed, needs.engine, needs.document
    return app


@dataclass(frozen=True, slots=True, kw_only=True)
class _Needs:
    """What handlers may need; each asks by the type of the field (`relay.http.needs`)."""

    http_settings: HttpSettings
    limits: HttpLimits
    tokens: Tokens
    who: HttpAuthenticator
    service_token: ServiceToken
    revocations: Revocations
    calls: Calls
    enforcer: ports.Enforcer
    open_sockets: sockets.OpenSockets
    probes: connectivity.Probes
    engine: MediaEngine
    observed: operations.Observed
    cluster: Cluster
    readiness: Readiness
    document: openapi.Document
    ice_servers: directory.IceServers
    directory: Directory
    writable_directory: dev.WritableDirectory
    whiteboard_sessions: ports.WhiteboardSessions
    push_gate: ports.PushGate | None
    push_subscriptions: ports.PushSubscriptions
    histories: ports.Histories
    call_ratings: ports.CallRatings
    rated: ratings.RatingCounters
    drain_limit: admin_drain.DrainLimit
    own_history: ports.OwnHistory
    personal_data: ports.PersonalData
    platform: ports.Platform
    profile_settings: ports.ProfileSettings
    desk: RecordingDesk
    tickets: Tickets
    orders: recording_orders.RecordingOrders
    recording_policies: recording_orders.RecordingPolicies
    catalogue: RecordingCatalogue
    sign_in: session.SignInOptions


def tokens(settings: AuthSettings) -> Tokens:
    """What verifies and issues tokens."""
    return Tokens(settings, Keys(fetch_from(settings.jwks)) if settings.jwks else None)


def _bare_app(trusted_proxies: Sequence[str], origins: Origins, admitted: Middleware) -> web.Application:
    """What every request and every answer passes."""
    cors = Cors(origins)
    app = web.Application(
        middlewares=[
            responses.errors_in_words,
            Proxies(trusted_proxies).middleware(),
            ProxyFaults().middleware(),
            cors.middleware(),
            admitted,
            origins.middleware(),
        ],
        client_max_size=responses.MAX_BODY,
    )
    app.on_response_prepare.extend([cors.signal(), responses.add_headers])
    return app


def _routes(auth: AuthSettings) -> Sequence[DescribedRoute]:
    """What the settings switch on."""
    described = [
        *openapi.ROUTES,
        *session.ROUTES,
        *directory.ROUTES,
        *sockets.ROUTES,
        *connectivity.ROUTES,
        *operations.ROUTES,
        *push.ROUTES,
    ]
    described += [
        *readiness.ROUTES,
        *profile_settings.ROUTES,
        *blocks.ROUTES,
        *call_history.ROUTES,
        *whiteboard.ROUTES,
        *ratings.ROUTES,
        *me.ROUTES,
        *recordings.ROUTES,
    ]
    if auth.service_token:
        described += [*admin_profiles.ROUTES, *admin_scopes.ROUTES, *admin_sync.ROUTES, *admin_live.ROUTES, *admin_lists.ROUTES]
        described += [*admin_recordings.ROUTES, *recording_orders.ROUTES, *admin_drain.ROUTES, *admin_nodes.ROUTES]
    if auth.service_token and auth.jwt_secret:
        described += admin_tokens.ROUTES
    if auth.dev:
        described += dev.ROUTES
    return described


def _revocations(database: DatabasePlane, calls: Calls, open_sockets: sockets.OpenSockets, interval: float) -> Revocations:
    """What is revoked; it ends what goes on with that."""

    async def expel(revocation: Revocation, issued_before: float) -> None:
        """End what goes on with the credentials that a revocation is about."""
        try:
            if revocation.cause is RevocationCause.DELETED and revocation.profile is not None:
                await calls.orders.remove(revocation.profile)
            else:
                await calls.orders.revoke(revocation.profile, issued_before)
        finally:  # also if another server does not answer
            open_sockets.drop_revoked(revocations)

    revocations = Revocations(SqlRevocations(database.engine), expel, interval, tell=calls.orders.revoked)
    calls.orders.on_revoked = revocations.look
    return revocations


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


def _desk(recorded: RecordingPlane, database: DatabasePlane, downloads: Downloads, auth: AuthSettings) -> RecordingDesk:
    """What clients do with recordings. The secret of the tokens is the same for all servers of a platform, and secret."""
    return RecordingDesk(
        recorded.store,
        recorded.accesses,
        database.directory,
        downloads,
        files=recorded.folder,
        work=recorded.jobs,
        secret=auth.jwt_secret or auth.service_token,
    )


def _recording_sources(recorded: RecordingPlane, downloads: Downloads) -> Sequence[operations.Source]:
    """What recordings count, whether there are any or not."""
    jobs = recorded.jobs
    return [
        operations.Source("recording", JOB_NAMES, lambda: {} if jobs is None else jobs.counters),
        operations.Source("recording", DOWNLOAD_NAMES, lambda: downloads.counters),
        operations.Source("recording", JOB_LEVELS, dict if jobs is None else jobs.levels, counting=False),
    ]


def _node_sources(clustered: ClusterPlane) -> Sequence[operations.Source]:
    """What a node of a cluster counts, whether there is one or not."""
    return [
        operations.Source("cluster", CLUSTER_NAMES, clustered.counters),
        operations.Source("cluster", CLUSTER_LEVELS, clustered.levels, counting=False),
    ]


def _readiness(database: DatabasePlane, media: MediaPlane, calls: Calls, clustered: ClusterPlane) -> Readiness:
    """What must be well so that this server can take new calls."""

    async def accepting() -> bool:
        return calls.accepting

    lease = {"lease": clustered.has_lease} if clustered.redis else {}
    return Readiness({"database": database.answers, "media": media.is_up, "accepting": accepting, **lease})
