"""Fixtures for the tests of the media plane."""

from collections.abc import AsyncIterator

import pytest

from tests.kit.media import IPV4, IPV6, RunningEngine


@pytest.fixture
async def relay(no_errors_logged: None) -> AsyncIterator[RunningEngine]:
    """An engine on this machine's loopback addresses."""
    async with RunningEngine.started(IPV4, IPV6) as running:
        yield running
