"""A pool for each test that asks for one."""

from collections.abc import AsyncIterator

import pytest

from tests.workers.kit import RunningPool, running


@pytest.fixture
async def relay() -> AsyncIterator[RunningPool]:
    async with running() as relay:
        yield relay
