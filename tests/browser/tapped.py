"""The WebSocket of a page, with someone between it and its relay."""

import json
import re
from collections.abc import Callable
from typing import Any, Self

from playwright.async_api import WebSocketRoute

from tests.browser.pages import RelayPage

Message = dict[str, Any]

Alter = Callable[[Message], Message | None]
"""What becomes of a message; None: it is lost."""


def as_it_is(message: Message) -> Message:
    return message


def losing_first(kind: str) -> Alter:
    """The first message of that type is lost."""
    lost: list[Message] = []

    def alter(message: Message) -> Message | None:
        if message["type"] == kind and not lost:
            lost.append(message)
            return None
        return message

    return alter


class TappedSocket:
    """What a page and its relay say to each other, and what they are made to believe that the other one said.

    Attributes:
        sent: messages of the page, oldest first, with those that are lost on the way.
        received: messages of the relay.
        alter_sent, alter_received: asked about each before it goes on its way.
    """

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.received: list[Message] = []
        self.alter_sent: Alter = as_it_is
        self.alter_received: Alter = as_it_is
        self._story: list[str] = []
        self._page: WebSocketRoute | None = None
        self._relay: WebSocketRoute | None = None

    @classmethod
    async def of(cls, page: RelayPage) -> Self:
        """That of a page, which is loaded anew for it."""
        self = cls()
        await page.page.route_web_socket(re.compile("/ws/"), self._open)
        await page.page.reload()
        await page.connection_is("online")
        return self

    def said(self, kind: str) -> list[Message]:
        """What the page has said of that type."""
        return [one for one in self.sent if one["type"] == kind]

    def heard(self, kind: str) -> list[Message]:
        """What the relay has said of that type."""
        return [one for one in self.received if one["type"] == kind]

    @property
    def story(self) -> str:
        """The latest messages in their order, for the message of a test that fails."""
        return " ".join(self._story[-40:])

    def _note(self, who: str, message: Message) -> None:
        said = ("offer", "answer", "rejected", "expired", "rejoin", "state", "yours", "code", "ref")
        if message["type"] not in {"ping", "pong", "ice_candidate", "call_quality"}:
            told = [name if name in {"offer", "answer"} else f"{name}={message[name]}" for name in said if name in message]
            self._story.append(f"[{who}: {' '.join((message['type'], *told))}]")

    def tell_page(self, message: Message, **fields: Any) -> None:
        """Say a message of the relay, with other fields than it had; it counts in no order."""
        assert self._page is not None, "the page is connected"
        self._page.send(json.dumps({**{name: value for name, value in message.items() if name != "seq"}, **fields}))

    def tell_relay(self, message: Message) -> None:
        """Say something to the relay that the page does not."""
        assert self._relay is not None, "the page is connected"
        self._relay.send(json.dumps(message))

    async def cut(self) -> None:
        """The connection breaks. The page comes back."""
        assert self._page is not None and self._relay is not None, "the page is connected"
        page, relay, self._page, self._relay = self._page, self._relay, None, None
        await relay.close(code=3000)
        await page.close(code=3000)

    def _open(self, socket: WebSocketRoute) -> None:
        self._page, self._relay = socket, socket.connect_to_server()
        relay = self._relay

        def from_page(text: str | bytes) -> None:
            message = json.loads(text)
            self.sent.append(message)
            self._note("page", message)
            altered = self.alter_sent(message)
            if altered is not None:
                relay.send(json.dumps(altered))

        def from_relay(text: str | bytes) -> None:
            message = json.loads(text)
            self.received.append(message)
            self._note("relay", message)
            altered = self.alter_received(message)
            if altered is not None:
                socket.send(json.dumps(altered))

        socket.on_message(from_page)
        relay.on_message(from_relay)
