"""The two pages that these tests drive, with one interface: the project's own, and a client of protocol version 1."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import ClassVar, Literal, Self
from urllib.parse import urlencode

from playwright.async_api import Browser, Locator, expect

from relay.ids import Profile
from tests.kit import wait
from tests.kit.browsers import LOOK, BrowserPage, Statistics
from tests.kit.wait import eventually

CallType = Literal["voice", "video"]

PATIENCE = wait.PATIENCE * 1000
"""Playwright's milliseconds."""

STUDENT, TUTOR, PARENT, ADVERTISER = "student_456", "tutor_789", "parent_321", "advertiser_654"


CHOSEN = """
// As if the user had chosen a profile in this tab before: to paint the list of all is a sixth of what it takes to open the page.
(() => {
  // An empty page and one that says what is wrong have no storage.
  if (!location.protocol.startsWith("http") || sessionStorage.getItem("chosen")) return;
  sessionStorage.setItem("chosen", "once");
  sessionStorage.setItem("call-relay.profile", "%s");
})();
"""


class CallPage(BrowserPage, ABC):
    """One person's page."""

    end_seen: str
    """The moment at which this page has taken in that the other hung up."""

    @classmethod
    @contextlib.asynccontextmanager
    async def used_by(
        cls, browser: Browser, url: str, key: str, other: str, conversation: int, media_at: tuple[str, int] | None = None
    ) -> AsyncIterator[Self]:
        """Open the page, as `key`, ready to call or to be called by `other`; `media_at` as of `opened`."""
        async with cls.opened(browser, media_at) as page:
            page.page.set_default_timeout(PATIENCE)
            await page.start(url, key, other, conversation)
            yield page

    @abstractmethod
    async def start(self, url: str, key: str, other: str, conversation: int) -> None: ...

    @abstractmethod
    async def call(self, kind: CallType) -> None: ...

    @abstractmethod
    async def ringing(self) -> None:
        """Wait until a call comes in."""

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

        return await eventually(connected, "the peer connection is up", every=LOOK)


class RelayPage(CallPage):
    """The project's own page."""

    connection = "window.relayCall?.peerConnection"
    end_seen = "ended card"

    def hook(self, name: str) -> Locator:
        return self.page.get_by_test_id(name)

    async def start(self, url: str, key: str, other: str, conversation: int) -> None:
        self._conversation = conversation
        await self.page.add_init_script(CHOSEN % key)
        await self.page.goto(f"{url}/")
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

    async def put_away_the_ended_call(self) -> None:
        await self.hook("close-ended").click()

    async def press(self, name: str) -> None:
        """Press a button of a call, or another one; those of a call are hidden from who does not move."""
        await self.page.mouse.move(200, 200)
        await self.page.mouse.move(220, 220)
        await self.hook(name).click()

    async def press_more(self, name: str) -> None:
        """Press a button that is behind `more`."""
        await self.press("more")
        await self.hook(name).click()

    async def write(self, text: str) -> None:
        """Send a text; the chat is open then."""
        if not await self.hook("chat-panel").is_visible():
            await self.press("chat")
        await self.hook("chat-field").fill(text)
        await self.hook("chat-send").click()

    async def reads(self, *texts: str) -> None:
        """Wait until the chat, which is opened, has these texts, all of them sent, and no others."""
        if not await self.hook("chat-panel").is_visible():
            await self.press("chat")
        entries = self.hook("chat-entry")
        await expect(entries).to_have_count(len(texts), timeout=PATIENCE)
        for index, text in enumerate(texts):
            await expect(entries.nth(index)).to_contain_text(text, timeout=PATIENCE)
            await expect(entries.nth(index)).to_have_attribute("data-state", "sent", timeout=PATIENCE)

    async def hears(self, text: str) -> None:
        """Wait until the page says so at its top."""
        await expect(self.hook("toast").filter(has_text=text)).to_be_visible(timeout=PATIENCE)

    async def state(self) -> str:
        """Of the call, or of the page without one: see `window.relayCall`."""
        return str(await self.page.evaluate("relayCall.state"))

    async def reaches(self, state: str) -> None:
        """Wait until the call is in that state."""
        await self.page.wait_for_function("(state) => window.relayCall?.state === state", arg=state)

    async def connection_is(self, state: str) -> None:
        """Wait until the WebSocket is in that state."""
        await self.page.wait_for_function("(state) => window.relayCall?.connection === state", arg=state)

    async def was_asked(self) -> bool:
        """Whether the page has ever asked to take a call."""
        return bool(await self.page.evaluate("'asked' in moments"))

    async def said(self) -> str:
        """What the card at the end of a call says."""
        await self.shows("ended-card")
        return await self.hook("ended-card").inner_text()


class LargeVideoPage(RelayPage):
    """The same with the camera that it asks for."""

    small_camera = False


class Version1Page(CallPage):
    """A page from before the relay: a client of protocol version 1."""

    connection = "window.versionOne?.peerConnection"
    end_seen = "received call_ended"
    options: ClassVar[dict[str, str]] = {}
    """Query parameters of its URL besides the two parties."""

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
            **self.options,
        }
        await self.page.context.clear_cookies()
        await self.page.goto(f"{url}/version_1.html?{urlencode(query)}")
        await self.reaches("idle")

    async def call(self, kind: CallType) -> None:
        await self.page.evaluate("(kind) => versionOne.call(kind)", kind)

    async def ringing(self) -> None:
        await self.reaches("ringing")

    async def accept(self) -> None:
        await self.page.evaluate("versionOne.accept()")

    async def decline(self) -> None:
        await self.page.evaluate("versionOne.decline()")

    async def hang_up(self) -> None:
        await self.page.evaluate("versionOne.end()")

    async def reaches(self, state: str) -> None:
        """Wait until the page is in that state."""
        await self.page.wait_for_function("(state) => window.versionOne?.state === state", arg=state)

    async def types_received(self) -> list[str]:
        """The types of all messages, oldest first."""
        received = await self.page.evaluate("versionOne.received.map((message) => message.type)")
        return [str(kind) for kind in received]

    async def reasons_of_ends(self) -> list[str]:
        """Why the other side's calls were over, as each `call_ended` says, oldest first."""
        ends = await self.page.evaluate("versionOne.received.filter((message) => message.type === 'call_ended')")
        return [end["reason"] for end in ends]


class DataPage(Version1Page):
    """A page from before the relay whose calls have a data channel."""

    options: ClassVar = {"data": "yes"}

    async def send(self, data: str | bytes) -> None:
        """Send one message, once the channel is open."""
        await self.page.wait_for_function("() => window.versionOne?.channel?.readyState === 'open'")
        if isinstance(data, str):
            await self.page.evaluate("(text) => versionOne.channel.send(text)", data)
        else:
            send = "(text) => versionOne.channel.send(Uint8Array.from(text, (byte) => byte.charCodeAt(0)))"
            await self.page.evaluate(send, data.decode("latin-1"))

    async def receive(self) -> str | bytes:
        """Wait for the next message."""
        await self.page.wait_for_function("() => versionOne.arrived.length > 0")
        take = """() => {
          const data = versionOne.arrived.shift();
          if (typeof data === "string") return ["text", data];
          return ["bytes", Array.from(new Uint8Array(data), (byte) => String.fromCharCode(byte)).join("")];
        }"""
        kind, text = await self.page.evaluate(take)
        return str(text) if kind == "text" else str(text).encode("latin-1")
