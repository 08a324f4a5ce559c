"""One browser for the whole run, which takes any certificate, from TURN servers too; a relay and its users for each test.
Everything here lives in the session's event loop.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest_asyncio
from playwright.async_api import Browser

from relay.workers.worker import fastest_loop
from tests.browser.pages import PARENT, STUDENT, TUTOR, CallPage
from tests.kit.browsers import chromium
from tests.kit.server import RunningRelay, running_relay

PageT = TypeVar("PageT", bound=CallPage)

OpenPage = Callable[[type[PageT], str], Awaitable[PageT]]

CONVERSATIONS = {STUDENT: (TUTOR, 123), TUTOR: (STUDENT, 123), PARENT: (TUTOR, 124)}
"""Whom each calls, and in which conversation of the demo data."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium("--ignore-certificate-errors") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def relay(no_errors_logged: None, tmp_path: Path, relay_settings: dict[str, Any]) -> AsyncIterator[RunningRelay]:
    """A relay for this test alone."""
    async with running_relay(tmp_path, **relay_settings) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser, relay: RunningRelay) -> AsyncIterator[Callable[..., Awaitable[CallPage]]]:
    """`await open_page(RelayPage, STUDENT)`: that page, logged in."""
    async with contextlib.AsyncExitStack() as pages:

        async def open_page(kind: type[PageT], key: str) -> PageT:
            return await pages.enter_async_context(kind.used_by(browser, relay.url, key, *CONVERSATIONS[key]))

        yield open_page


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loop that `make run` uses."""
    return {"fastest": fastest_loop() or asyncio.new_event_loop}
