"""A relay, and programs that are connected to it."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from relay.client import CallClient, connect
from tests.kit.server import RunningRelay, running_relay

Join = Callable[..., Awaitable[CallClient]]


@pytest.fixture
async def relay(no_errors_logged: None, tmp_path: Path, relay_settings: dict[str, Any]) -> AsyncIterator[RunningRelay]:
    async with running_relay(tmp_path, **relay_settings) as running:
        yield running


@pytest.fixture
async def join(relay: RunningRelay) -> AsyncIterator[Join]:
    """`await join("student_456")`: a client; takes what `connect` takes."""
    async with contextlib.AsyncExitStack() as clients:

        async def join(key: str, **options: Any) -> CallClient:
            return await clients.enter_async_context(connect(relay.url, key, **options))

        yield join
