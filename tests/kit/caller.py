"""A device of `relay.client` by protocol version 1, without any media, each of whose messages a test sends and sees itself."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

import aiohttp
from yarl import URL

from relay.client.messages import about, invitation
from relay.client.signin import ClientLogin, RelayHttp
from relay.client.websocket import open_websocket
from relay.ids import Profile, Scope, ScopeKind
from tests.kit.wait import PATIENCE, eventually

Message = dict[str, Any]


class Caller:
    """One device of a profile.

    Attributes:
        received: every message that came, oldest first.
        shows_recording: it says that it shows its user when the call is recorded.
    """

    shows_recording = False

    def __init__(self, profile: Profile, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.profile = profile
        self.received: list[Message] = []
        self._socket = socket
        self._unread: list[Message] = []
        self._conversation: dict[str, Any] = {}
        self._tasks = {asyncio.create_task(self._read())}

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(
        cls, url: str, key: str, *, connector: aiohttp.BaseConnector | None = None, **options: Any
    ) -> AsyncIterator[Self]:
        """Log in as `key` and connect, by `connector` if given. `options`: what the class takes besides."""
        profile, base = Profile.parse(key), URL(url)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http:
            token = await RelayHttp(http, timeout=PATIENCE).log_in(base, ClientLogin("", *profile))
            address = base / f"ws/{profile.profile_id}/{profile.profile_type}"
            async with await open_websocket(http, address, token, within=PATIENCE, heartbeat=None) as socket:
                caller = cls(profile, socket, **options)
                try:
                    await caller.expect("welcome")
                    yield caller
                finally:
                    await caller.close()

    async def close(self) -> None:
        """Leave: end the connection and everything that waits for it."""
        await self._socket.close()
        for task in self._tasks:
            task.cancel()
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended

    async def lose_socket(self) -> None:
        """Close the WebSocket; media goes on."""
        await self._socket.close()

    # -- messages -----------------------------------------------------------------------------------------------------

    async def send(self, kind: str, **fields: Any) -> None:
        """Send a message of the call that this device is in."""
        await self.send_message({"type": kind, **fields})

    async def send_message(self, message: Mapping[str, Any]) -> None:
        """The same, with the message as `relay.client.messages` makes it."""
        await self.send_text(json.dumps({**self._conversation, **message}))

    async def send_text(self, frame: str) -> None:
        await self._socket.send_str(frame)

    async def expect(self, kind: str) -> Message:
        """The next message of that type, once it is here. Each is given out once; others are left for later."""
        return await eventually(lambda: self._next(kind), lambda: f"{self.profile.key} got {kind}; it got {self.received}")

    def _next(self, kind: str) -> Message | None:
        for message in self._unread:
            if message["type"] == kind:
                self._unread.remove(message)
                return message
        assert not self._socket.closed, f"the socket of {self.profile.key} was closed; it got {self.received}"
        return None

    async def _read(self) -> None:
        async for frame in self._socket:
            message = json.loads(frame.data)
            self.received.append(message)
            self._unread.append(message)

    # -- calls --------------------------------------------------------------------------------------------------------

    async def invite(self, key: str, conversation_id: int, call_type: str, offer: Mapping[str, str]) -> None:
        """Send an invitation with that offer."""
        self._talk_to(Profile.parse(key), conversation_id)
        await self.send_message(invitation(call_type, offer, **self.abilities))

    async def ring(self) -> Message:
        """Wait for an invitation, and from then on belong to that call."""
        message = await self.expect("call_invitation")
        self._talk_to(Profile(message["from_profile_type"], message["from_profile_id"]), message["conversation_id"])
        return message

    @property
    def abilities(self) -> dict[str, bool]:
        """What an invitation or an answer says of this client, beyond version 1."""
        return {"can_show_recording": True} if self.shows_recording else {}

    async def hang_up(self) -> None:
        await self.send("call_ended")

    def talk_to(self, key: str, conversation_id: int) -> None:
        """Belong to a call that another device of the profile has made or taken."""
        self._talk_to(Profile.parse(key), conversation_id)

    def _talk_to(self, other: Profile, conversation_id: int) -> None:
        scope = Scope(ScopeKind.CONVERSATION, conversation_id)
        self._conversation = {**about(scope, other), "from_profile_id": self.profile.profile_id}
