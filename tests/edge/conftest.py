"""Fixtures for the tests of the edge."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from relay.edge.limits import EdgeLimits
from relay.interpreter import fastest_loop
from tests.edge.kit import RunningEdge, write_certificate


@pytest.fixture
def limits() -> EdgeLimits:
    """Of the edge. A test that needs others parametrizes this."""
    return EdgeLimits()


@pytest.fixture
async def edge(no_errors_logged: None, limits: EdgeLimits) -> AsyncIterator[RunningEdge]:
    """Everything on one port, without TLS."""
    async with RunningEdge.started(limits=limits) as running:
        yield running


@pytest.fixture
async def secure(no_errors_logged: None, tmp_path: Path, limits: EdgeLimits) -> AsyncIterator[RunningEdge]:
    """Everything on one port, with TLS."""
    certificate, key = write_certificate(tmp_path, "first")
    async with RunningEdge.started(tls_cert=certificate, tls_key=key, limits=limits) as running:
        yield running


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loop that `make run` uses, and the one that every Python has."""
    return {"fastest": fastest_loop() or asyncio.new_event_loop, "plain": asyncio.new_event_loop}
