"""The composition root: the only place that sees everything, and wires it up."""

from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from db import demo, migrate
from db.call_log import SqlCallLog
from db.directory import SqlDirectory
from db.engine import check, create_engine
from relay.config import Settings
from relay.http import dev, directory, operations, pages, responses, sockets
from relay.http.auth import TOKENS, Tokens
from relay.media.api import MediaEventSink
from relay.media.channel import WorkerEngine
from relay.media.engine import LocalEngine
from relay.media.pool import WorkerPool
from relay.signaling.call import Timers
from relay.signaling.calls import Calls

SETTINGS: Final = web.AppKey("settings", Settings)
MEDIA_PORTS: Final = web.AppKey("media_ports", list[int])
"""The UDP ports that media comes in by, once the application has started."""
_DATABASE: Final = web.AppKey("database", AsyncEngine)
_MEDIA: Final = web.AppKey("media", WorkerEngine)


def create_app(settings: Settings) -> web.Application:
    """The relay as an aiohttp application: run it by itself, or mount it with `add_subapp` in a server of your own.

    Starting it opens the database and the media port; `ConfigurationError` comes up where that does not work.
    """
    settings = settings.with_secret()
    app = web.Application(middlewares=[responses.errors_in_words], client_max_size=responses.MAX_BODY)
    app.on_response_prepare.append(responses.add_headers)
    database = create_engine(settings.database_url)
    profiles = SqlDirectory(database)
    media = _media_engine(
        settings,
        lambda event: calls.media_event(event),  # noqa: PLW0108 - the two need each other; calls exists by then
    )
    calls = Calls(
        directory=profiles,
        log=SqlCallLog(database, settings.node),
        engine=media,
        timers=Timers(
            ring=settings.ring_timeout,
            connect=settings.connect_timeout,
            media_grace=settings.media_grace,
            signaling_grace=settings.signaling_grace,
        ),
        public_addresses=settings.public_address,
    )
    app[SETTINGS] = settings
    app[_DATABASE] = database
    app[MEDIA_PORTS] = []
    app[_MEDIA] = app[operations.ENGINE] = media
    app[TOKENS] = Tokens(settings.jwt_secret, settings.token_lifetime)
    app[directory.DIRECTORY] = app[dev.WRITABLE_DIRECTORY] = profiles
    app[sockets.CALLS] = calls
    app[sockets.DEVICES] = set()
    for routes in (directory.ROUTES, sockets.ROUTES, operations.ROUTES, pages.ROUTES):
        app.add_routes(routes)
    if settings.dev:
        app.add_routes(dev.ROUTES)
    app.cleanup_ctx.append(_database_open)
    app.cleanup_ctx.append(_media_open)
    app.on_shutdown.append(_end_calls)
    return app


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
