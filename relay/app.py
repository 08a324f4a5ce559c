"""The composition root: puts the planes together to one application."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Protocol

from aiohttp import web

from relay.composition.cluster import RunningCluster, cluster_plane
from relay.composition.database import DatabasePlane, database_plane
from relay.composition.edge import edge_plane
from relay.composition.http import http_plane
from relay.composition.limits import USUAL, AppLimits
from relay.composition.media import MediaPlane, media_plane
from relay.composition.push import push_plane
from relay.composition.recordings import recording_plane
from relay.composition.signaling import signaling_plane
from relay.db.retention import SqlRetention
from relay.edge.edge import Edge
from relay.extensions import Extensions
from relay.housekeeping import Housekeeping, RecordingWatch
from relay.http.access.auth import TOKENS
from relay.http.access.identity import Identifier
from relay.http.access.keys import Keys, load_at_start
from relay.http.access.revocations import REVOCATIONS
from relay.http.limits import HttpLimits
from relay.http.sockets import OPEN_SOCKETS
from relay.media.capture.directory import examine_directory, warn_of_others
from relay.settings.all import Settings
from relay.settings.auth import AuthSettings
from relay.settings.calls import CallSettings
from relay.settings.cluster import ClusterSettings
from relay.settings.database import DatabaseSettings
from relay.settings.edge import EdgeSettings
from relay.settings.http import HttpSettings
from relay.settings.limits import LimitSettings
from relay.settings.media import MediaSettings
from relay.settings.push import PushSettings
from relay.settings.recording import RecordingSettings
from relay.settings.retention import RecordingRetentionSettings, RetentionSettings
from relay.settings.turn import TurnSettings
from relay.signaling.calls.draining import Draining
from relay.signaling.calls.faults import Faults
from relay.signaling.calls.hooks import HookRunner
from relay.signaling.calls.judge import Judge
from relay.signaling.calls.review import Review
from relay.signaling.calls.service import Calls
from relay.signaling.log.writebehind import WriteBehind

SETTINGS: Final = web.AppKey("settings", Settings)
MEDIA_PORTS: Final = web.AppKey("media_ports", list[int])
"""The UDP ports that media comes in by, once the application has started."""
CALLS_ENDED: Final = web.AppKey("calls_ended", asyncio.Event)
"""Set once the application stops, every call has ended, and its row is written."""
DRAINING: Final = web.AppKey("draining", Draining)
"""Has the application take no new calls and wait for those that there are (`begin`), and says when to stop it (`drained`)."""
EDGE: Final = web.AppKey("edge", Edge)
"""Media over TCP, and TURN: off until `serve` starts it. An application that is mounted elsewhere has no port of its own."""

_Context = Callable[[web.Application], AsyncIterator[None]]
"""For `cleanup_ctx`."""


class _Part(Protocol):
    """What runs while the application does."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...


def create_app(settings: Settings, *, extensions: Extensions | None = None, app_limits: AppLimits = USUAL) -> web.Application:
    """The relay as an aiohttp application: run it by itself, or mount it with `add_subapp` in a server of your own.

    Args:
        extensions: the policy, the hooks and the identification of the embedding program.
        app_limits: what is no setting.

    Starting the application opens the database and the media port; it raises `ConfigurationError` if one cannot be opened.
    """
    settings = settings.with_secret()
    extensions, faults = extensions or Extensions(), Faults()
    hooks = HookRunner(extensions.hooks, faults, extensions.hook_timeout)
    identification = extensions.identification
    database = database_plane(settings.only(DatabaseSettings))
    clustered = cluster_plane(settings.only(ClusterSettings), database.cluster, app_limits.cluster)
    limits = HttpLimits(settings.only(LimitSettings), tally=clustered.tally)
    media = media_plane(
        settings.only(MediaSettings),
        lambda event: calls.media_event(event),  # noqa: PLW0108 - the two need each other; calls exists by then
    )
    edge = edge_plane(settings.only(EdgeSettings), settings.only(TurnSettings), media, app_limits.edge, clustered.card_changed)
    recorded = recording_plane(settings.only(RecordingSettings), database)
    waker = push_plane(settings.only(PushSettings), settings.ring_timeout, database.subscriptions)
    calls = signaling_plane(
        settings.only(CallSettings),
        database,
        media,
        cluster=clustered.cluster,
        route_of=edge.route_of,
        waker=waker,
        limiter=limits,
        judge=Judge(extensions.policy, faults, extensions.policy_timeout),
        hooks=hooks,
        recording=settings.only(RecordingSettings),
        recordings=recorded.store,
    )
    clustered.describe(lambda: calls.accepting, media.worker_processes, edge.turn_urls)
    if recorded.jobs is not None:
        calls.writes.on_recorded = recorded.jobs.wake
    app = http_plane(
        settings.only(HttpSettings),
        settings.only(AuthSettings),
        settings.trusted_proxies,
        database=database,
        clustered=clustered,
        media=media,
        edge=edge,
        calls=calls,
        recorded=recorded,
        limits=limits,
        app_limits=app_limits,
        waker=waker,
        identifier=None if identification is None else Identifier(identification, faults, extensions.identification_timeout),
        faults=faults,
        drain_seconds=settings.drain_seconds,
    )
    app[DRAINING] = calls.draining
    app[SETTINGS], app[EDGE], app[MEDIA_PORTS], app[CALLS_ENDED] = settings, edge, [], asyncio.Event()
    housekeeping = Housekeeping(SqlRetention(database.engine), settings.only(RetentionSettings))
    app.cleanup_ctx.append(_recordings_examined(settings.only(RecordingSettings)))
    app.cleanup_ctx.append(_open(database))
    app.cleanup_ctx.append(_clustered(clustered.cluster, calls.writes))
    app.cleanup_ctx.append(_running(app[REVOCATIONS]))
    keys = app[TOKENS].keys
    if keys is not None:
        app.cleanup_ctx.append(_keys_loaded(keys, settings.jwks))
    if waker is not None:
        app.cleanup_ctx.append(_running(waker))
    app.cleanup_ctx.append(_running(housekeeping))
    app.cleanup_ctx.append(_running(Housekeeping(recorded.retention, settings.only(RecordingRetentionSettings))))
    if recorded.jobs is not None:
        app.cleanup_ctx.append(_running(recorded.jobs))
    app.cleanup_ctx.append(_running(Review(calls.enforcement.review)))
    app.cleanup_ctx.append(_running(Review(calls.recordings.review)))
    app.cleanup_ctx.append(_forwarding(media, calls))
    watch = RecordingWatch(calls.recordings.captures, recorded.store, calls.writes.on_recorded, recorded.is_written)
    app.cleanup_ctx.append(_running(watch))
    app.on_shutdown.append(_end_calls(calls, hooks))
    return app


def reload(app: web.Application) -> None:
    """Reload the TLS certificate and the public keys of the tokens from their files.

    A file that cannot be used is logged, and its predecessor stays in force. No connection is interrupted.
    """
    app[EDGE].reload()
    app[TOKENS].reload()


def _open(database: DatabasePlane) -> _Context:
    async def opened(_app: web.Application) -> AsyncIterator[None]:
        async with database.open():
            yield

    return opened


def _clustered(cluster: RunningCluster, writes: WriteBehind) -> _Context:
    async def clustered(app: web.Application) -> AsyncIterator[None]:
        await cluster.start()
        try:
            yield
        finally:
            await cluster.close(in_order=app[CALLS_ENDED].is_set() and not writes.waiting)

    return clustered


def _recordings_examined(settings: RecordingSettings) -> _Context:
    async def examined(_app: web.Application) -> AsyncIterator[None]:
        directory = settings.recordings
        if directory is not None and settings.recording_policy != "off":
            examine_directory(directory, may_be_missing=settings.makes_directory)
            warn_of_others(directory)
        yield

    return examined


def _running(part: _Part) -> _Context:
    async def running(_app: web.Application) -> AsyncIterator[None]:
        await part.start()
        try:
            yield
        finally:
            await part.close()

    return running


def _keys_loaded(keys: Keys, source: str) -> _Context:
    async def loaded(_app: web.Application) -> AsyncIterator[None]:
        await load_at_start(keys, source)
        try:
            yield
        finally:
            await keys.close()

    return loaded


def _forwarding(media: MediaPlane, calls: Calls) -> _Context:
    async def forwarding(app: web.Application) -> AsyncIterator[None]:
        app[MEDIA_PORTS].extend(await media.engine.start())
        try:
            await calls.start()
            yield
        finally:
            await media.engine.close()

    return forwarding


def _end_calls(calls: Calls, hooks: HookRunner) -> Callable[[web.Application], Awaitable[None]]:
    async def end(app: web.Application) -> None:
        # Before the sockets close, so that every client is notified; before the database closes, so that the end is written.
        await calls.close()
        app[CALLS_ENDED].set()
        await hooks.close()
        await app[OPEN_SOCKETS].close_all()

    return end
