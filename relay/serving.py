"""An application on ports of its own: HTTP, media over TCP, and TURN."""

import contextlib
import logging
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from relay.app import FRONT
from relay.config import Settings
from relay.front import public
from relay.front.io.discovery import discover
from relay.media.engine import local_addresses

logger = logging.getLogger(__name__)


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
