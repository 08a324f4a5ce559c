"""A relay to ask, and what to ask it with."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.http.access.auth import Tokens
from relay.http.access.keys import Keys
from relay.ids import Profile
from relay.settings.auth import AuthSettings
from tests.kit.server import RunningRelay, running_relay
from tests.kit.shared import SharedRelays

SECRET = "a secret of at least 32 characters"

STUDENT, TUTOR = Profile("student", 456), Profile("tutor", 789)


def tokens(keys: Keys | None = None, **settings: Any) -> Tokens:
    """Signed with `SECRET`, and good for an hour to the second, unless the settings say otherwise."""
    return Tokens(AuthSettings(**{"dev": True, "jwt_secret": SECRET, "jwt_leeway": 0.0, **settings}), keys)


TOKENS = tokens()


@pytest.fixture(scope="session")
def shared_relays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedRelays]:
    """Relays for all tests that change nothing of theirs."""
    with SharedRelays.running(tmp_path_factory.mktemp("shared")) as relays:
        yield relays


@pytest.fixture
async def relay(
    request: pytest.FixtureRequest, no_errors_logged: None, tmp_path: Path, relay_settings: dict[str, Any]
) -> AsyncIterator[RunningRelay]:
    """A relay for this test alone, unless it `changes_nothing`, in development mode unless it says otherwise. Its document
    describes all its answers.
    """
    settings = {"jwt_secret": SECRET, "media_host": "127.0.0.1", **relay_settings}
    async with contextlib.AsyncExitStack() as stack:
        if request.node.get_closest_marker("changes_nothing"):
            running = request.getfixturevalue("shared_relays").of(settings)
        else:
            running = await stack.enter_async_context(running_relay(tmp_path, **settings))
        yield running
        assert running.contract is not None
        assert not running.contract.breaches


@pytest.fixture
async def http(relay: RunningRelay) -> AsyncIterator[aiohttp.ClientSession]:
    """A client without a cookie jar."""
    async with aiohttp.ClientSession(relay.url, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


def bearer(key: str) -> dict[str, str]:
    """The header that makes a request `key`'s."""
    return {"Authorization": f"Bearer {TOKENS.issue(Profile.parse(key))}"}


@contextlib.asynccontextmanager
async def socket_of(http: aiohttp.ClientSession, key: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """An open WebSocket whose welcome has been read."""
    profile = Profile.parse(key)
    async with http.ws_connect(f"/ws/{profile.profile_id}/{profile.profile_type}", headers=bearer(key)) as socket:
        assert (await socket.receive_json(timeout=20))["type"] == "welcome"
        yield socket
