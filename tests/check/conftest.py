"""A relay to test."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.edge.kit import write_certificate
from tests.kit.server import RunningRelay, running_relay


@pytest.fixture
async def relay(no_errors_logged: None, tmp_path: Path, relay_settings: dict[str, Any]) -> AsyncIterator[RunningRelay]:
    """In development mode, with everything turned on."""
    certificate, key = write_certificate(tmp_path, "relay")
    async with running_relay(tmp_path, **{"tls_cert": certificate, "tls_key": key, **relay_settings}) as running:
        yield running
