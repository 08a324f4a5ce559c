"""One Chromium and one Firefox for the whole run; a relay and its users for each test. Chromium takes any certificate, from TURN
servers too. Everything here lives in the session's event loop.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Playwright, async_playwright

from relay.interpreter import fastest_loop
from tests.browser.calls import PagesInCall
from tests.browser.pages import PARENT, STUDENT, TUTOR, CallPage, RelayPage
from tests.browser.production import Production, running_production
from tests.kit.browsers import chromium
from tests.kit.server import RunningRelay, running_relay
from tests.lab.firefox import FirefoxBrowser, ThisMachine

PageT = TypeVar("PageT", bound=CallPage)

OpenPage = Callable[[type[PageT], str], Awaitable[PageT]]

StartFirefox = Callable[[], Awaitable[FirefoxBrowser]]

CONVERSATIONS = {STUDENT: (TUTOR, 123), TUTOR: (STUDENT, 123), PARENT: (TUTOR, 124)}
"""Whom each calls, and in which conversation of the demo data."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def driver() -> AsyncIterator[Playwright]:
    """Of all browsers of the run."""
    async with async_playwright() as playwright:
        yield playwright


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(driver: Playwright) -> AsyncIterator[Browser]:
    async with chromium("--ignore-certificate-errors", driver=driver) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def production(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Production]:
    """One for all tests that need it; each opens a browser context of its own."""
    async with running_production(tmp_path_factory.mktemp("production")) as running:
        yield running


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Firefox puts what its users save."""
    return tmp_path_factory.mktemp("downloads")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def firefox(downloads: Path) -> AsyncIterator[StartFirefox]:
    """Firefox, started by the first test that asks for it: each takes a tab, with cookies and storage of its own."""
    running: list[FirefoxBrowser] = []
    # To that folder, and without a question.
    preferences: dict[str, bool | int | str] = {"browser.download.folderList": 2, "browser.download.dir": str(downloads)}
    async with contextlib.AsyncExitStack() as stack:

        async def started() -> FirefoxBrowser:
            if not running:
                running.append(await stack.enter_async_context(FirefoxBrowser.started(ThisMachine(), preferences)))
            return running[0]

        yield started


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


async def unprepared(caller: RelayPage) -> None:
    """The page as it comes."""


@contextlib.asynccontextmanager
async def call_of_a_module(
    browser: Browser, folder: Path, prepare: Callable[[RelayPage], Awaitable[None]] = unprepared
) -> AsyncIterator[PagesInCall]:
    """A video call that goes on for several tests, at a relay of its own; it is hung up by the caller.

    Args:
        prepare: what is done in the caller's page first.
    """
    async with (
        running_relay(folder) as relay,
        RelayPage.used_by(browser, relay.url, STUDENT, *CONVERSATIONS[STUDENT]) as caller,
        RelayPage.used_by(browser, relay.url, TUTOR, *CONVERSATIONS[TUTOR]) as callee,
    ):
        await prepare(caller)
        call = await PagesInCall.connected(relay, "video", caller, callee)
        await call.media_flows()
        yield call
        await caller.hang_up()
        await callee.shows("ended-card")


@pytest.fixture
def caller(call: PagesInCall) -> RelayPage:
    """That of a module's call."""
    assert isinstance(call.caller, RelayPage)
    return call.caller


@pytest.fixture
def callee(call: PagesInCall) -> RelayPage:
    assert isinstance(call.callee, RelayPage)
    return call.callee


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bare_page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    """A page of the relay before anyone has signed in, to run single modules in."""
    async with running_relay(tmp_path_factory.mktemp("relay")) as relay, await browser.new_context() as context:
        page = await context.new_page()
        await page.goto(relay.url)
        yield page


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loop that `make run` uses."""
    return {"fastest": fastest_loop() or asyncio.new_event_loop}
