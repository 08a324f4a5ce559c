"""The composition root: the only place that sees everything, and wires it up."""

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from db import demo, migrate
from db.call_log import SqlCallLog
from db.directory import SqlDirectory
from db.engine import check, create_engine
from relay.config import Settings
from relay.front import public
from relay.front.front import Front, Options
from relay.front.io.discovery import discover
from relay.front.reach import ReachableEngine
from relay.http import dev, directory, operations, pages, responses, sockets
from relay.http.auth import TOKENS, Tokens
from relay.media.api import MediaEventSink
from relay.media.channel import WorkerEngine
from relay.media.engine import LocalEngine, local_addresses
from relay.media.pool import WorkerPool
from relay.signaling.call import Timers
from relay.signaling.calls import Calls
from relay.turn.limits import Limits

logger = logging.getLogger(__name__)

SETTINGS: Final = web.AppKey("settings", Settings)
MEDIA_PORTS: Final = web.AppKey("media_ports", list[int])
"""The UDP ports that media comes in by, once the application has started."""
_DATABASE: Final = web.AppKey("database", AsyncEngine)
FRONT: Final = web.AppKey("front", Front)
"""Media over TCP, and TURN: off until `serve` starts it. An application that is mounted elsewhere has no port of its own."""
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
    reachable = ReachableEngine(media)
    calls = Calls(
        directory=profiles,
        log=SqlCallLog(database, settings.node),
        engine=reachable,
        timers=Timers(
            ring=settings.ring_timeout,
            connect=settings.connect_timeout,
            media_grace=settings.media_grace,
            signaling_grace=settings.signaling_grace,
        ),
        public_addresses=settings.advertised_addresses,
    )
    app[SETTINGS] = settings
    app[_DATABASE] = database
    app[MEDIA_PORTS] = []
    app[_MEDIA] = app[operations.ENGINE] = media
    app[FRONT] = Front(_front_options(settings), reachable, lambda: media.ports)
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


@contextlib.asynccontextmanager
async def serve(app: web.Application, shutdown_timeout: float = 1.0) -> AsyncIterator[int]:
    """Serve the application, media over TCP and TURN on the ports that its settings name.

    Args:
        shutdown_timeout: seconds that open HTTP requests get to finish after the calls have ended.

    Yields:
        The TCP port of HTTP.

    Raises:
        ConfigurationError: something cannot be opened.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=shutdown_timeout)
    front = app[FRONT]
    try:
        await runner.setup()
        server = runner.server
        assert server is not None, "it has been set up"
        await front.start(server, lambda: len(server.connections))
        yield front.port
    finally:
        front.stop_listening()
        # Calls end here, and say good-bye over whatever they use.
        await runner.cleanup()
        front.close()


async def find_public_address(settings: Settings) -> Settings:
    """The settings, with the public address that the STUN server tells, if one is set and no address is.

    Warns in the log of addresses that cannot be right.
    """
    if settings.stun_server and not settings.public_address:
        found = await discover(settings.stun_server)
        if found is None:
            logger.warning(
                "the STUN server does not answer: set RELAY_PUBLIC_ADDRESS if browsers cannot reach this machine's own"
            )
        else:
            mapped = found[0] if found[0] == found[1] else "=".join(found)
            settings = msgspec.structs.replace(settings, public_address=(mapped,))
    for doubt in public.doubts(settings.advertised_addresses, local_addresses()):
        logger.warning("%s", doubt)
    return settings


def _front_options(settings: Settings) -> Options:
    same = ("host", "port", "tls_cert", "tls_key", "media_tcp", "media_tcp_port")
    turn = ("turn", "turn_port", "turn_realm", "turn_secret", "turn_urls", "turn_lifetime")
    listening = (settings.media_host,) if settings.media_host else tuple(local_addresses())
    return Options(
        **{name: getattr(settings, name) for name in same + turn},
        turn_limits=Limits(
            allocations=settings.turn_allocations,
            allocations_per_profile=settings.turn_allocations_per_profile,
            allocations_per_address=settings.turn_allocations_per_address,
        ),
        addresses=tuple(dict.fromkeys(settings.advertised_addresses + listening)),
    )


def _media_engine(settings: Settings, on_event: MediaEventSink) -> LocalEngine | WorkerPool:
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
