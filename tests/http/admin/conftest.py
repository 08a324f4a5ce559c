"""The platform, and what it asks the relay."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from tests.http.records import asked

SERVICE_TOKEN = "the platform's own token, of 32 characters or more"
PLATFORM = {"Authorization": f"Bearer {SERVICE_TOKEN}"}

Admin = Callable[..., Awaitable[tuple[int, Any]]]


@pytest.fixture
def relay_settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """With a service token, unless the test says otherwise."""
    marker = request.node.get_closest_marker("settings")
    return {"service_token": SERVICE_TOKEN, **(marker.kwargs if marker else {})}


@pytest.fixture
def admin(http: aiohttp.ClientSession) -> Admin:
    """Status and body of the answer to a request of the platform, below `/api/admin`."""

    async def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        return await asked(http, method, f"/api/admin{path}", PLATFORM, json=body)

    return ask
