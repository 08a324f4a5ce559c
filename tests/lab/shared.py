"""What the browser tests of the lab share, one after the other: an internet, its clients with their browsers, and a relay.

Each starts for a second or two, with nothing that a test looks at; what a test does look at, a page, has cookies and storage of
its own. Everything here lives in the session's event loop.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from playwright.async_api import Browser, Playwright, async_playwright

from tests.edge.kit import write_certificate
from tests.kit.browsers import chromium
from tests.kit.server import RunningRelay
from tests.lab.firefox import Firefox, FirefoxBrowser
from tests.lab.gateways import Access
from tests.lab.network import SERVER, SERVER_NAME, Internet, Site
from tests.lab.relay import PORT, assert_no_errors, relay_in

TRUSTED: Final = "relay.localhost"
"""A name of the server, in Chromium: what is under .localhost it takes for this machine (Secure Contexts, section 3.1)."""

CHROMIUM_FLAGS: Final = ("--ignore-certificate-errors", f"--host-resolver-rules=MAP {TRUSTED} {SERVER}")
"""Any certificate, for TURN over TLS too. Over plain HTTP, only at such a name does a page get its camera."""


@dataclass
class Client:
    """A site, and the browsers that run on its client."""

    site: Site
    stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    chromium: Browser | None = None
    firefox: FirefoxBrowser | None = None


@dataclass(frozen=True)
class StartedRelay:
    folder: Path
    settings: dict[str, str]
    stack: contextlib.AsyncExitStack


class Lab:
    """Make it with `built`, and let each test have it by `lent`."""

    def __init__(self, internet: Internet, folder: Path, driver: Playwright) -> None:
        self.internet = internet
        self._folder = folder
        self._driver = driver
        self._clients: list[Client] = []
        self._lent = 0
        self._relay: StartedRelay | None = None
        self._relays = 0
        self.certificate, self.key = write_certificate(folder, SERVER_NAME)
        """Files, for relays that have TLS: those with the same settings are one."""

    @classmethod
    @contextlib.asynccontextmanager
    async def built(cls, folder: Path, *, server_behind_nat: bool = False) -> AsyncIterator[Self]:
        """With files in this folder; what runs in it ends with it."""
        with Internet.built(server_behind_nat=server_behind_nat) as internet:
            async with async_playwright() as driver:
                lab = cls(internet, folder, driver)
                try:
                    yield lab
                finally:
                    for client in lab._clients:
                        await client.stack.aclose()
                    await lab._stop_relay()

    @contextlib.asynccontextmanager
    async def lent(self) -> AsyncIterator[Self]:
        """For one test: its sites are those of the test before, but those which have moved."""
        self._lent = 0
        yield self
        for client in [one for one in self._clients if one.site.has_moved]:
            self._clients.remove(client)
            await client.stack.aclose()

    def site(self, access: Access) -> Site:
        """The next client, behind a gateway of that kind."""
        if self._lent == len(self._clients):
            self._clients.append(Client(self.internet.site(access)))
        site = self._clients[self._lent].site
        site.renew(access)
        self._lent += 1
        return site

    async def chromium(self, site: Site) -> Browser:
        """The one that runs on that site's client."""
        client = self._client(site)
        if client.chromium is None:
            starting = chromium(*CHROMIUM_FLAGS, within=site.client.command(), driver=self._driver)
            client.chromium = await client.stack.enter_async_context(starting)
        return client.chromium

    @contextlib.asynccontextmanager
    async def firefox(self, site: Site) -> AsyncIterator[Firefox]:
        """A tab of the one that runs on that site's client."""
        client = self._client(site)
        if client.firefox is None:
            client.firefox = await client.stack.enter_async_context(FirefoxBrowser.started(site.client))
        async with client.firefox.tab() as tab:
            yield tab

    @contextlib.asynccontextmanager
    async def relay(self, *, scheme: str = "http", **settings: str) -> AsyncIterator[RunningRelay]:
        """A relay with these settings: the one of the test before, if they are its own.

        Raises:
            AssertionError: it does not start, or, at the end, it has logged an error.
        """
        if self._relay is None or self._relay.settings != settings:
            await self._stop_relay()
            self._relay = await self._started_relay(settings)
        database = f"sqlite+aiosqlite:///{self._relay.folder / 'relay.db'}"
        try:
            yield RunningRelay(f"{scheme}://{SERVER}:{PORT}", database)
            assert_no_errors(self._relay.folder)
        except BaseException:
            # Whatever is still going on there is not the next test's.
            await self._stop_relay()
            raise

    def _client(self, site: Site) -> Client:
        [client] = [one for one in self._clients if one.site is site]
        return client

    async def _started_relay(self, settings: dict[str, str]) -> StartedRelay:
        self._relays += 1
        folder = self._folder / f"relay{self._relays}"
        folder.mkdir()
        stack = contextlib.AsyncExitStack()
        await stack.enter_async_context(relay_in(self.internet, folder, **settings))
        return StartedRelay(folder, settings, stack)

    async def _stop_relay(self) -> None:
        started, self._relay = self._relay, None
        if started:
            await started.stack.aclose()
