"""The project's own page in a browser on a machine of the lab, the same to the tests whichever browser it is."""

import contextlib
from collections.abc import AsyncIterator
from enum import Enum
from typing import Any, Protocol, Self

from playwright.async_api import Browser

from tests.browser.pages import STUDENT, TUTOR, CallType, RelayPage
from tests.kit.browsers import CHROMIUM, INSTRUMENTS, LOOK, PLAIN_SCALING, SMALL_CAMERA, STATISTICS, Statistics, chromium
from tests.kit.wait import eventually
from tests.lab.firefox import Firefox
from tests.lab.network import SERVER, Site
from tests.lab.shared import CHROMIUM_FLAGS, TRUSTED, Lab

CONVERSATION = 123
"""Of the student and the tutor, in the demo data."""

FRAME_GAPS = """
() => {
  // The longest time between two frames of the other party's video, from now on; milliseconds.
  const video = document.querySelector("video[data-testid=remote-video]");
  const gaps = (window.frameGaps = { last: performance.now(), longest: 0, shown: 0 });
  video.requestVideoFrameCallback(function seen(now) {
    gaps.longest = Math.max(gaps.longest, now - gaps.last);
    gaps.last = now;
    gaps.shown++;
    video.requestVideoFrameCallback(seen);
  });
}
"""

ROUTE = """
async () => {
  // How media gets to the relay: udp, tcp, turn-udp, turn-tcp or turn-tls. Behind TURN the relay sees another address than the
  // one that the TURN server named, so that browsers call the candidate peer-reflexive; what it goes through they know.
  const report = await relayCall.peerConnection.getStats();
  const entries = [...report.values()];
  const selected = entries.find(({ type }) => type === "transport")?.selectedCandidatePairId;
  const pair = report.get(selected) ?? entries.find((entry) => entry.selected); // Firefox marks the pair
  const { protocol, relayProtocol } = report.get(pair.localCandidateId);
  return relayProtocol ? `turn-${relayProtocol}` : protocol;
}
"""

USABLE = """(name) => [...document.querySelectorAll(`[data-testid="${name}"]`)]
  .find((element) => element.checkVisibility() && !element.disabled)"""
"""The first part of that name that can be used; none: undefined."""

SHOWN_TEXT = "(name) => document.querySelector(`[data-testid=${name}]:not([hidden])`)?.innerText ?? ''"


class LabPage(Protocol):
    """What the tests need of a page, in any browser."""

    async def call(self, kind: CallType) -> None: ...

    async def ringing(self) -> None: ...

    async def accept(self) -> None: ...

    async def hang_up(self) -> None: ...

    async def talking(self) -> Statistics: ...

    async def moment(self, name: str) -> float: ...

    async def run(self, function: str, *arguments: object) -> Any:
        """Call a JavaScript function in the page."""
        ...


class ChromiumPage(RelayPage):
    async def run(self, function: str, *arguments: object) -> Any:
        return await self.page.evaluate(f"(all) => ({function})(...all)", arguments)

    @classmethod
    @contextlib.asynccontextmanager
    async def at(cls, lab: Lab, site: Site, url: str, key: str) -> AsyncIterator[Self]:
        """The page in a browser on the site's client, logged in as `key`."""
        other = TUTOR if key == STUDENT else STUDENT
        url = url.replace(f"http://{SERVER}", f"http://{TRUSTED}")
        async with cls.browser(lab, site) as browser, cls.used_by(browser, url, key, other, CONVERSATION) as page:
            yield page

    @classmethod
    @contextlib.asynccontextmanager
    async def browser(cls, lab: Lab, site: Site) -> AsyncIterator[Browser]:
        yield await lab.chromium(site)


class DesktopChromiumPage(ChromiumPage):
    """The same in Chromium as its users have it."""

    small_camera = False

    @classmethod
    @contextlib.asynccontextmanager
    async def browser(cls, lab: Lab, site: Site) -> AsyncIterator[Browser]:
        """One of its own: there is one test of it."""
        async with chromium(*CHROMIUM_FLAGS, within=site.client.command(), program=CHROMIUM) as browser:
            yield browser


class FirefoxPage:
    """The same page in Firefox."""

    def __init__(self, firefox: Firefox) -> None:
        self._firefox = firefox

    @classmethod
    @contextlib.asynccontextmanager
    async def at(cls, lab: Lab, site: Site, url: str, key: str) -> AsyncIterator[Self]:
        """The page in a browser on the site's client, logged in as `key`.

        Raises:
            AssertionError: at the end, if anything went wrong in the page.
        """
        async with lab.firefox(site) as firefox:
            yield await cls.signed_in(firefox, url, key)
        assert not firefox.problems, f"errors in the page: {firefox.problems}"

    @classmethod
    async def signed_in(cls, firefox: Firefox, url: str, key: str) -> Self:
        """The page in this tab, logged in as `key`, and ready to call."""
        page = cls(firefox)
        await firefox.before_every_page(INSTRUMENTS + PLAIN_SCALING + SMALL_CAMERA)
        await firefox.goto(f"{url}/")
        await page.press(f"user-{key}")
        await page._usable(f"call-video-{CONVERSATION}")
        return page

    async def call(self, kind: CallType) -> None:
        await self.press(f"call-{kind}-{CONVERSATION}")

    async def ringing(self) -> None:
        await self._usable("accept")

    async def accept(self) -> None:
        await self.press("accept")

    async def hang_up(self) -> None:
        await self.press("end")

    async def talking(self) -> Statistics:
        """Wait until the peer connection is up."""
        connection = RelayPage.connection

        async def connected() -> Statistics | None:
            values = await self.run(f"() => {connection} && ({STATISTICS})({connection})")
            return Statistics.from_page(values) if values and values["state"] == "connected" else None

        return await eventually(connected, "the peer connection is up", every=LOOK)

    async def moment(self, name: str) -> float:
        """When that happened for the first time: seconds since 1970; waits until it has."""
        value = await eventually(lambda: self.run("(name) => window.moments[name]", name), name, every=LOOK)
        return float(value) / 1000

    async def run(self, function: str, *arguments: object) -> Any:
        return await self._firefox.evaluate(function, *arguments)

    async def _usable(self, name: str) -> None:
        await eventually(lambda: self.run(f"(name) => Boolean(({USABLE})(name))", name), f"{name} can be pressed", every=LOOK)

    async def press_more(self, name: str) -> None:
        """Press a button that is behind `more`."""
        await self.press("more")
        await self.press(name)

    async def says(self, name: str, text: str) -> None:
        """Wait until that part of the page has this text in it; empty: until there is no such part to see."""

        async def said() -> bool:
            now = str(await self.run(SHOWN_TEXT, name))
            return text in now if text else not now

        await eventually(said, f"{name} says {text!r}", every=LOOK)

    async def press(self, name: str) -> None:
        await self._usable(name)
        await self.run(f"(name) => ({USABLE})(name).click()", name)


class BrowserKind(Enum):
    CHROMIUM = ChromiumPage
    DESKTOP_CHROMIUM = DesktopChromiumPage
    FIREFOX = FirefoxPage
