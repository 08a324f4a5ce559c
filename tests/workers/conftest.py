"""A pool for all tests of a module that ask for one: starting its workers takes longer than most of them."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.workers.kit import RunningPool, running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[RunningPool]:
    async with running(restart_last=0.1, scrape_timeout=60.0) as pool:
        yield pool


@pytest_asyncio.fixture(loop_scope="module")
async def relay(pool: RunningPool) -> RunningPool:
    """As if it had just started, whatever was done to its workers."""
    await pool.as_new()
    return pool
