"""How a call is had back that goes on elsewhere: its server is gone, or about to be, or this device is a new one to it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from relay.client.call_media import Spawn
from relay.client.connection import ServerMessage
from relay.client.errors import ClientError, Refused

REPLAY: Final = 1.0
"""Seconds after a new WebSocket connection within which an offer comes that was sent on the one before."""

_log = logging.getLogger(__name__)


class Rejoin:
    """
    Args:
        ask: for the call; returns the relay's offer.
        answer: it, by a new peer connection.
    """

    def __init__(
        self, spawn: Spawn, ask: Callable[[], Awaitable[ServerMessage]], answer: Callable[[ServerMessage], Awaitable[None]]
    ) -> None:
        self._spawn = spawn
        self._ask = ask
        self._answer = answer
        self._task: asyncio.Task[None] | None = None
        self._asks = False

    def begin(self) -> None:
        """Ask for the call. Whatever was asked before was asked of a server that has it no more."""
        self._asks = True
        self._run(self._have_back())

    def take(self, offer: ServerMessage) -> None:
        """Take an offer for a new peer connection. If it is awaited, what waits for it answers it. Otherwise the call was asked
        for twice, and the relay has given the offer before up, which may have come a moment ago and not be answered yet."""
        if self._asks:
            self._asks = False
        else:
            self._run(self._answered(offer))

    def connection_is_back(self) -> None:
        """There is a new WebSocket connection: what was sent on the one before may never have arrived."""
        if self._asks and self._task is not None:
            self._spawn(self._ask_again_after(self._task))

    def end(self) -> None:
        """The call is over."""
        if self._task is not None:
            self._task.cancel()

    async def _ask_again_after(self, task: asyncio.Task[None]) -> None:
        await asyncio.wait({task}, timeout=REPLAY)
        if self._asks and self._task is task:
            self.begin()

    async def _have_back(self) -> None:
        try:
            offer = await self._offer()
        except ClientError as error:
            self._asks = False
            _log.warning("the call cannot be rejoined: %s", error)
        else:
            await self._answered(offer)

    async def _answered(self, offer: ServerMessage) -> None:
        try:
            await self._answer(offer)
        except ClientError as error:
            _log.warning("the call cannot be rejoined: %s", error)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(work)
        self._spawn(_ended(self._task))

    async def _offer(self) -> ServerMessage:
        while True:
            try:
                return await self._ask()
            except Refused as error:
                if error.code != "silent":
                    raise


async def _ended(task: asyncio.Task[None]) -> None:
    """Wait for its end: a call is closed when all is done that it has begun."""
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
