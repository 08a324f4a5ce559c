from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.push.service import LocalPushService, push_service


@pytest.fixture
async def local(tmp_path: Path, no_errors_logged: None) -> AsyncIterator[LocalPushService]:
    """A push service for this test alone."""
    async with push_service(tmp_path) as service:
        yield service
