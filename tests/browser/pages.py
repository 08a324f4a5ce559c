"""The two pages that these tests drive, alike to the tests: the project's own, and one that knows only the five messages."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Literal, Self
from urllib.parse import urlencode

from playwright.async_api import Browser, Locator, expect

from relay.ids import Profile
from tests.kit import wait
from tests.kit.browsers import BrowserPage, Statistics
from tests.kit.wait import eventually

CallType = Literal["voice", "video"]

PATIENCE = wait.PATIENCE * 1000
"""Playwright's milliseconds."""

STUDENT, TUTOR, PARENT = "student_456", "tutor_789", "parent_321"


class CallPage(BrowserPage, ABC):
    """One person's page."""

    end_seen: str
    """The moment at which this page has taken in that the other hung up."""

    @classmethod
    @contextlib.asynccontextmanager
    async def used_by(cls, browser: Browser, url: str, key: str, other: str, conversation: int) -> AsyncIterator[Self]:
        """Open the page, as `key`, ready to call or to be called by `other`."""
        async with cls.opened(browser) as page:
            page.page.set_default_timeout(PATIENCE)
            await page.start(url, key, other, conversation)
            yield page

    @abstractmethod
    async def start(self, url: str, key: str, other: str, conversation: int) -> None: ...

    @abstractmethod
    async def call(self, kind: CallType) -> None: ...

    @abstractmethod
    async def ringing(self) -> None:
        """Wait until somebody calls."""

    @abstractmethod
    async def accept(self) -> None: ...

    @abstractmethod
    async def decline(self) -> None: ...

    @abstractmethod
    async def hang_up(self) -> None:
        """End the call, or give up calling."""

    async def talking(self) -> Statistics:
        """Wait until the peer connection is up."""

        async def connected() -> Statistics | None:
            statistics = await self.statistics()
            return statistics if statistics and statistics.state == "connected" else None

        return await eventually(connected, "the peer connection is up")


class RelayPage(CallPage):
    """The project's own page."""

    connection = "window.relayCall?.peerConnection"
    end_seen = "ended card"

    def hook(self, name: str) -> Locator:
        return self.page.get_by_test_id(name)

    async def start(self, url: str, key: str, other: str, conversation: int) -> None:
        self._conversation = conversation
        await self.page.goto(f"{url}/")
        await self.hook(f"user-{key}").click()
        await expect(self.hook(f"call-video-{conversation}")).to_be_enabled(timeout=PATIENCE)

    async def call(self, kind: CallType) -> None:
        await self.hook(f"call-{kind}-{self._conversation}").click()

    async def ringing(self) -> None:
        await self.shows("incoming")

    async def accept(self) -> None:
        await self.hook("accept").click()

    async def decline(self) -> None:
        await self.hook("decline").click()

    async def hang_up(self) -> None:
        await self.hook("end").click()

    async def shows(self, name: str) -> None:
        """Wait until that part of the page is there to see."""
        await expect(self.hook(name)).to_be_visible(timeout=PATIENCE)

    async def hides(self, name: str) -> None:
        """Wait until that part of the page is gone."""
        await expect(self.hook(name)).to_be_hidden(timeout=PATIENCE)

    async def said(self) -> str:
        """What the card at the end of a call says."""
        await self.shows("ended-card")
        return await self.hook("ended-card").inner_text()


class FiveMessagesPage(CallPage):
    """A page from before the relay."""

    connection = "window.fiveMessages?.peerConnection"
    end_seen = "received call_ended"

    async def start(self, url: str, key: str, other: str, conversation: int) -> None:
        me, they = Profile.parse(key), Profile.parse(other)
        login = await self.page.request.post(f"{url}/api/dev/login", data=dict(me._asdict()))
        query = {
            "type": me.profile_type,
            "id": me.profile_id,
            "token": (await login.json())["token"],
            "to_type": they.profile_type,
            "to_id": they.profile_id,
            "conversation": conversation,
        }
        await self.page.context.clear_cookies()
        await self.page.goto(f"{url}/five_messages.html?{urlencode(query)}")
        await self.reaches("idle")

    async def call(self, kind: CallType) -> None:
        await self.page.evaluate("(kind) => fiveMessages.call(kind)", kind)

    async def ringing(self) -> None:
        await self.reaches("ringing")

    async def accept(self) -> None:
        await self.page.evaluate("fiveMessages.accept()")

    async def decline(self) -> None:
        await self.page.evaluate("fiveMessages.decline()")

    async def hang_up(self) -> None:
        await self.page.evaluate("fiveMessages.end()")

    async def reaches(self, state: str) -> None:
        """Wait until the page is in that state."""
        await self.page.wait_for_function("(state) => window.fiveMessages?.state === state", arg=state)

    async def types_received(self) -> list[str]:
        """The types of all messages, oldest first."""
        received = await self.page.evaluate("fiveMessages.received.map((message) => message.type)")
        return [str(kind) for kind in received]
