"""`python -m relay serve`: the page, the WebSocket and the media, until a signal."""

import argparse
import asyncio
import logging
from functools import partial
from typing import Final

from relay.app import CALLS_ENDED, DRAINING, MEDIA_PORTS, create_app, reload
from relay.cli.command import Command
from relay.cli.environment import settings_of_environment
from relay.cli.signals import Signals
from relay.interpreter import fastest_loop, loading, spare_the_collector
from relay.serving import find_public_address, serve
from relay.settings.all import Settings

SHUTDOWN_TIMEOUT: Final = 1.0
"""Seconds that open HTTP requests get to finish after the calls have ended."""

_HOW_TO_TRY: Final = """\
Open {url} in two browser windows.
  1. In one, sign in as Maya Lindgren (student 456); in the other, as Daniel Okafor (tutor 789).
  2. Press the telephone or the camera beside their conversation; accept in the other window.
Media goes through {media}. Ctrl-C ends every call and stops the server.
"""


def _run(_: argparse.Namespace) -> int:
    settings = settings_of_environment()
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        runner.run(_serve_until_told(settings))
    return 0


async def _serve_until_told(settings: Settings) -> None:
    # In development, closing the terminal ends the server. In operation, a service manager stops it, independent of any terminal.
    signals = Signals(ends_with_terminal=settings.dev)
    try:
        settings = await find_public_address(settings)
        with loading():  # the media engine is, if it is to be in this process
            app = create_app(settings)
        async with serve(app, SHUTDOWN_TIMEOUT) as port:
            spare_the_collector()
            # Other nodes may go on with the calls of this one, also without any time to end.
            drains = bool(settings.drain_seconds or settings.redis_url)
            drain = partial(app[DRAINING].begin, settings.drain_seconds) if drains else None
            signals.ready(partial(reload, app), app[CALLS_ENDED], drain)
            _announce(settings, port, app[MEDIA_PORTS])
            await _either(signals.stop, app[DRAINING].drained)
            logging.getLogger(__name__).info("stopping")
    except asyncio.CancelledError:
        if not signals.stop.is_set():
            raise
        logging.getLogger(__name__).info("stopped while starting")


async def _either(*events: asyncio.Event) -> None:
    """Wait until one of them is set."""
    waiting = [asyncio.ensure_future(one.wait()) for one in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


def _announce(settings: Settings, port: int, media_ports: list[int]) -> None:
    host = settings.host if settings.host not in ("", "0.0.0.0", "::") else "localhost"  # noqa: S104
    scheme = "https" if settings.tls_cert else "http"
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    if settings.dev:
        media = f"UDP port{'s' if len(media_ports) > 1 else ''} {', '.join(map(str, media_ports))}"
        print(_HOW_TO_TRY.format(url=url, media=media), flush=True)
    else:
        print(f"Serving on {url}", flush=True)


SERVE: Final = Command(_run)
