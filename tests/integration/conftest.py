"""A relay and the people who use it, for each test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from relay.interpreter import fastest_loop
from tests.kit.peer import Peer
from tests.kit.server import RunningRelay, running_relay

Connect = Callable[..., Awaitable[Peer]]


@pytest.fixture
async def relay(no_errors_logged: None, tmp_path: Path, relay_settings: dict[str, Any]) -> AsyncIterator[RunningRelay]:
    """A relay for this test alone."""
    async with running_relay(tmp_path, **relay_settings) as running:
        yield running


@pytest.fixture
async def connect(relay: RunningRelay) -> AsyncIterator[Connect]:
    """`await connect("student_456")`: a peer, logged in and connected; takes what `Peer.connected` takes."""
    async with contextlib.AsyncExitStack() as peers:

        async def connect(key: str, **sends: Any) -> Peer:
            return await peers.enter_async_context(Peer.connected(relay.url, key, **sends))

        yield connect


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loop that `make run` uses."""
    return {"fastest": fastest_loop() or asyncio.new_event_loop}
