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
from relay.media.engine import LocalEngine
from relay.signaling.call import Timers
from relay.signaling.calls import Calls

SETTINGS: Final = web.AppKey("settings", Settings)
_DATABASE: Final = web.AppKey("database", AsyncEngine)
_MEDIA: Final = web.AppKey("media", LocalEngine)


def create_app(settings: Settings) -> web.Application:
    """The relay as an aiohttp application: run it by itself, or mount it with `add_subapp` in a server of your own.

    Starting it opens the database and the media port; `ConfigurationError` comes up where that does not work.
    """
    settings = settings.with_secret()
    app = web.Application(middlewares=[responses.errors_in_words], client_max_size=responses.MAX_BODY)
    app.on_response_prepare.append(responses.add_headers)
    database = create_engine(settings.database_url)
    profiles = SqlDirectory(database)
    media = LocalEngine(
        lambda event: calls.media_event(event),  # noqa: PLW0108 - the two need each other; calls exists by then
        hosts=[settings.media_host] if settings.media_host else (),
        port=settings.media_port,
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
    await app[_MEDIA].start()
    await app[sockets.CALLS].start()
    yield
    await app[_MEDIA].close()


async def _end_calls(app: web.Application) -> None:
    # Before the sockets close, so that everyone still hears of it; before the database does, so that it is written.
    await app[sockets.CALLS].close()
    await sockets.close_all(app)
