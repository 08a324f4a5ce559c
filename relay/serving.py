"""Serves the application on its own ports: HTTP, media over TCP, and TURN."""

import asyncio
import contextlib
import dataclasses
import logging
import resource
from collections.abc import AsyncIterator, Callable, MutableMapping
from ipaddress import ip_address
from typing import Any, Final

from aiohttp import web, web_response
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from relay.app import EDGE, SETTINGS
from relay.edge import public
from relay.edge.discovery import FIRST_WAIT, discover
from relay.http.access.hosts import only_local_names
from relay.http.admin import sync
from relay.http.directory import host_of
from relay.http.proxies import CLIENT, Client, asker_of, remote_address
from relay.http.responses import problem
from relay.media.net.addresses import local_addresses
from relay.settings.all import Settings

logger = logging.getLogger(__name__)

SOFTWARE: Final = "call-relay"
"""The `Server` header. Names of libraries with their versions would only help an attacker who looks for old ones."""

FILES: Final = 20_000
"""File descriptors for all connections together, with a reserve."""

_PLAIN: Final = ("/healthz", "/readyz", "/metrics")
"""Paths for probes, which come by address, so that no certificate matches. Their responses hold no secrets."""

_NEVER_PLAIN: Final = ("/api/", "/ws/")
"""Paths that take credentials. These are refused by http, not redirected: the credential has already been sent in the clear."""


@contextlib.asynccontextmanager
async def serve(app: web.Application, shutdown_timeout: float = 1.0) -> AsyncIterator[int]:
    """Serve the application, media over TCP and TURN on the ports that its settings name.

    Args:
        app: from `create_app`.
        shutdown_timeout: seconds that open HTTP requests get to finish after the calls have ended.

    Yields:
        The TCP port of HTTP.

    Raises:
        ConfigurationError: something cannot be opened.
    """
    edge, settings = app[EDGE], app[SETTINGS]
    # Where aiohttp itself answers, as to what is no HTTP, no other way leads to it.
    vars(web_response)["SERVER_SOFTWARE"] = SOFTWARE
    app.middlewares.insert(0, name_client)
    if settings.listens_locally:
        app.middlewares.insert(0, only_local_names)
    if settings.tls_cert:
        app.middlewares.append(_only_https)
    app.middlewares.append(_bodies_in_time)
    app.middlewares.append(not_idle)
    app.on_response_prepare.append(count_websockets)
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_ServerLog(logger, edge.counters),
        keepalive_timeout=edge.limits.keepalive,
        shutdown_timeout=shutdown_timeout,
    )
    try:
        edge.limit_files(_raise_file_limit())
        edge.bind()
        await runner.setup()
        assert runner.server is not None, "it has been set up"
        await edge.start(runner.server)
        if settings.dev and settings.host:
            logger.warning(
                "development mode, and RELAY_HOST is set: every client that reaches this address can sign in as any profile, "
                "and so can every web page in a browser that reaches it"
            )
        yield edge.port
    finally:
        edge.stop_listening()
        # Calls end here, and send their last packets, so the edge closes after them.
        await runner.cleanup()
        edge.close()


def media_beside(relay: web.Application) -> Callable[[web.Application], AsyncIterator[None]]:
    """For the `cleanup_ctx` of an application in which the relay is mounted: media over TCP and TURN on ports of the relay's own.

    Args:
        relay: from `create_app`.
    """

    async def opened(_app: web.Application) -> AsyncIterator[None]:
        await relay[EDGE].start()
        try:
            yield
        finally:
            relay[EDGE].close()

    return opened


class _ServerLog(logging.LoggerAdapter[logging.Logger]):
    """aiohttp's log without malformed requests. aiohttp answers those with 400 and logs a traceback; here they are counted."""

    def __init__(self, log: logging.Logger, counters: MutableMapping[str, int]) -> None:
        super().__init__(log)
        self._counters = counters

    def log(self, level: int, msg: object, *args: object, **options: Any) -> None:
        if isinstance(options.get("exc_info"), HttpProcessingError):
            self._counters["http_malformed"] += 1
        else:
            super().log(level, msg, *args, **options)


@web.middleware
async def _bodies_in_time(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Read the whole body before the handler runs, so that a slow client holds up no handler."""
    # A synchronization is larger, and is read after its credential is checked.
    if request.can_read_body and request.path != sync.PATH:
        with contextlib.suppress(web.RequestPayloadError):  # the handler that reads it reports it
            patience = request.config_dict[EDGE].limits.request_body
            try:
                async with asyncio.timeout(patience):
                    await request.read()
            except TimeoutError:
                raise web.HTTPRequestTimeout(text=f"the body did not come within {patience:g} s") from None
    return await handler(request)


@web.middleware
async def name_client(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take the client's address from the PROXY header: the connection itself only shows the proxy."""
    connections = request.config_dict[EDGE].http
    peer = None if connections is None else connections.peer_of(request.protocol)
    if peer is not None and peer.is_proxied:
        request[CLIENT] = Client(peer.host, peer.is_secure)
    return await handler(request)


@web.middleware
async def not_idle(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Protect a connection from eviction while its request is handled. The body has been read already, so the client cannot
    prolong this."""
    connections = request.config_dict[EDGE].http
    if connections is None:
        return await handler(request)
    with connections.handling(request.protocol):
        return await handler(request)


async def count_websockets(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler for `on_response_prepare`: an upgraded connection counts as a WebSocket, of the client's own address."""
    connections = request.config_dict[EDGE].http
    if connections is not None and response.status == 101:
        connections.upgraded(request.protocol, remote_address(request))


@web.middleware
async def _only_https(request: web.Request, handler: Handler) -> web.StreamResponse:
    """With a certificate, plain HTTP is only served to this machine and to probes."""
    asker = asker_of(request)
    if asker.secure or request.path in _PLAIN or (asker.address and ip_address(asker.address).is_loopback):
        return await handler(request)
    if request.path.startswith(_NEVER_PLAIN):
        return problem(403, "https_required", "this relay is reached by https and wss")
    host_of(request)  # refuse an invalid Host before it becomes a redirect
    # 308: the method stays. The path only, whatever the request line had before it.
    raise web.HTTPPermanentRedirect(f"https://{asker.host}{request.rel_url.raw_path_qs}")


def _raise_file_limit() -> int:
    """Raise the limit of open files to what the edge needs, as far as the system allows. The limit then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return FILES if soft == resource.RLIM_INFINITY else soft


async def find_public_address(settings: Settings, *, first_wait: float = FIRST_WAIT) -> Settings:
    """The settings with the public address from the STUN server, if a server is set and no address is.

    Logs a warning for each address that cannot be right.

    Args:
        first_wait: as of `discover`.
    """
    if settings.stun_server and not settings.public_address:
        found = await discover(settings.stun_server, first_wait=first_wait)
        if found is None:
            logger.warning(
                "the STUN server does not answer: set RELAY_PUBLIC_ADDRESS if browsers cannot reach this machine's own"
            )
        else:
            mapped = found[0] if found[0] == found[1] else "=".join(found)
            settings = dataclasses.replace(settings, public_address=(mapped,))
            logger.info("the STUN server reports a public address%s", "" if found[0] == found[1] else ": there is NAT")
    listening = settings.media_hosts or local_addresses()
    for warning in public.warnings(settings.public_address, listening, is_public=not settings.dev):
        logger.warning("%s", warning)
    return settings
