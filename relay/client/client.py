"""A device of a profile, by a program: connect, call, be called."""

import asyncio
import contextlib
import functools
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiohttp
from yarl import URL

from relay.client.call import ClientCall
from relay.client.call_media import CallOptions, Media
from relay.client.connection import ServerMessage, SignalingSocket
from relay.client.errors import ClientError
from relay.client.recorder import PacketRecorder
from relay.client.signin import ClientLogin, RelayHttp, SignedIn
from relay.ids import Profile, Scope, ScopeKind

MAX_RINGING: Final = 64
"""Incoming calls that wait for a program; more are left to ring."""

MENTIONED: Final = 4.0
"""Seconds after a `welcome` in which the relay says how a call stands that it knows (docs/protocol.md, "Coming back")."""

TAKEN_OVER: Final = 30.0
"""The same if the `welcome` names the call: the server that has it may have died, and another one has it after some 9 s."""

TokenSource = str | Callable[[], Awaitable[str]]
"""A token, or what gets one that is valid now: asked each time that a connection is made."""


class CallClient:
    """Made by `connect`.

    Attributes:
        profile: whose device this is.
        base: URL of the relay.
        calls: those that have not ended.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: URL,
        profile: Profile,
        token: TokenSource,
        *,
        turn: bool,
        options: CallOptions,
        on_message: Callable[[ServerMessage], None] = lambda _: None,
    ) -> None:
        self.profile = profile
        self.base = url
        self.calls: set[ClientCall] = set()
        self._relay = RelayHttp(http)
        self._token = token
        self._access: SignedIn | None = None
        self._options = options
        self._turn = turn
        self._on_message = on_message
        self._ringing: asyncio.Queue[ClientCall | None] = asyncio.Queue(MAX_RINGING)
        self._gone = asyncio.Event()
        self._unmentioned: dict[ClientCall, asyncio.TimerHandle] = {}
        """Calls of which the relay has said nothing since the latest `welcome`, and when they are over for that."""
        self._signaling = SignalingSocket(http, profile, self._sign_in, self._receive, self._welcomed, self._lost)

    # -- calls --------------------------------------------------------------------------------------------------------

    async def call(
        self,
        profile: Profile | str,
        kind: str = "voice",
        scope: Scope | int | None = None,
        *,
        media: Media = None,
        codecs: Collection[str] = (),
        record: str | Path | None = None,
    ) -> ClientCall:
        """Call a profile; returns once it rings. `ClientCall.connected` waits for media.

        Args:
            profile: such as `tutor_789`.
            kind: `voice` or `video`.
            scope: a conversation, by its id, or a whiteboard session; None: the first conversation that both are in.
            media: what is sent; None: silence.
            codecs: only these are offered, such as `VP8` and `opus`; empty: all, or that of the file which is sent.
            record: a file to write what is received to: `.webm` or `.mkv`.

        Raises:
            CallOver: the call was not taken at once; `reason` is `offline`, `busy` or `rejected`.
            Refused, UnusableMedia, ClientError: it cannot be made.
        """
        other = Profile.parse(profile) if isinstance(profile, str) else profile
        found = Scope(ScopeKind.CONVERSATION, scope) if isinstance(scope, int) else scope
        call = self._new_call(other, found or await self._scope_with(other), kind, True, record)
        try:
            await call.invite(media, codecs)
        except BaseException:
            self.calls.discard(call)
            call.lost()
            raise
        return call

    async def incoming(self, *, record: str | Path | None = None) -> AsyncGenerator[ClientCall, None]:
        """The calls that ring, from now on, each once: `answer` or `decline` it. Ends when the client does.

        Args:
            record: a file to write to what the next call receives.
        """
        self._record_incoming = record
        while (call := await self._ringing.get()) is not None:
            if call.state != "ended":
                yield call

    async def lose_connection(self, *, forget: bool = False) -> None:
        """Close the WebSocket as a network failure would; the device comes back.

        Args:
            forget: come back as a new device, as after a crash: a call is taken over with a new peer connection.
        """
        await self._signaling.lose(forget=forget)

    async def conversation_with(self, other: Profile) -> int | None:
        """The id of the first conversation that both are in; None: there is none."""
        return await self._relay.conversation_with(self._signed_in, self.profile, other)

    async def new_conversation(self, *others: Profile) -> int:
        """Make a conversation with others, in development mode; returns its id.

        Raises:
            SignInFailed: this is not development mode.
        """
        return await self._relay.new_conversation(self._signed_in, self.profile, *others)

    async def gone(self) -> None:
        """Wait until the connection is lost for good, or closed."""
        await self._gone.wait()

    _record_incoming: str | Path | None = None

    # -- connecting ---------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Sign in and connect. `connect` does it.

        Raises:
            SignInFailed: it does not work.
        """
        await self._signaling.open()
        self._on_message(self._signaling.welcome)

    async def close(self) -> None:
        """End all calls, and disconnect."""
        calls = [*self.calls]
        await asyncio.gather(*(call.hang_up() for call in calls), return_exceptions=True)
        await asyncio.gather(*(call.closed() for call in calls), return_exceptions=True)
        for call in [*self._unmentioned]:
            self._is_mentioned(call)
        await self._signaling.close()

    async def _sign_in(self) -> SignedIn:
        if isinstance(self._token, str):
            if self._access is not None:
                return self._access  # its token outlives a short loss; an expired one is refused, and given up
            credential = ClientLogin(self._token, *self.profile)
        else:
            credential = ClientLogin(await self._token(), *self.profile)
        self._access = await self._relay.sign_in(self.base, credential)
        return self._access

    @property
    def _signed_in(self) -> SignedIn:
        assert self._access is not None, "open() comes first"
        return self._access

    async def _scope_with(self, other: Profile) -> Scope:
        found = await self.conversation_with(other)
        if found is None:
            raise ClientError(f"{self.profile.key} and {other.key} have no conversation in common")
        return Scope(ScopeKind.CONVERSATION, found)

    def _new_call(self, other: Profile, scope: Scope, kind: str, outgoing: bool, record: str | Path | None) -> ClientCall:
        kinds = ("audio", "video") if kind == "video" else ("audio",)
        call = ClientCall(
            self._signaling,
            self.profile,
            other,
            scope,
            kind,
            outgoing=outgoing,
            options=replace(self._options, ice_servers=self._signed_in.ice_servers if self._turn else ()),
            record=PacketRecorder(record, kinds) if record is not None else None,
        )
        self.calls.add(call)
        return call

    # -- messages -----------------------------------------------------------------------------------------------------

    def _receive(self, message: ServerMessage) -> None:
        self._on_message(message)
        self.calls = {call for call in self.calls if call.state != "ended"}
        scope = _scope_of(message)
        if scope is None or message.get("type") == "error":
            return
        call = self._call_of(message, scope)
        if message.get("type") == "call_invitation":
            self._ring(message, scope, call)
        elif call is not None:
            self._is_mentioned(call)
            call.handle(message)

    def _call_of(self, message: ServerMessage, scope: Scope) -> ClientCall | None:
        """The call that a message is about. An outgoing call has no id until the first message about it."""
        named = message.get("call_id")
        calls = [call for call in self.calls if call.scope == scope]
        return next((call for call in calls if call.call_id == named), None) or next(
            (call for call in calls if not call.call_id and call.outgoing), None
        )

    def _ring(self, message: ServerMessage, scope: Scope, call: ClientCall | None) -> None:
        if call is not None and not call.outgoing:
            call.rings(message)  # the caller's page was loaded anew: the same call with another offer
            return
        other = Profile(str(message.get("from_profile_type")), int(message.get("from_profile_id") or 0))
        new = self._new_call(other, scope, str(message.get("call_type")), False, self._record_incoming)
        new.rings(message)
        with contextlib.suppress(asyncio.QueueFull):
            self._ringing.put_nowait(new)

    def _welcomed(self, resumed: bool) -> None:
        self._on_message(self._signaling.welcome)
        for call in self.calls:
            call.reconnected(resumed)
            self._is_mentioned(call)
            # The same device hears each end, however late: while an engine is away, nothing may come for long.
            if not resumed and call.call_id and (call.outgoing or call.state != "ringing"):
                within = TAKEN_OVER if self._signaling.welcome.get("call_id") == call.call_id else MENTIONED
                self._unmentioned[call] = asyncio.get_running_loop().call_later(within, self._forgotten, call)

    def _is_mentioned(self, call: ClientCall) -> None:
        if (timer := self._unmentioned.pop(call, None)) is not None:
            timer.cancel()

    def _forgotten(self, call: ClientCall) -> None:
        """The relay does not know a call any more: it ended while this device was away, and came back as another one. As long as
        media flows, it goes on all the same, as in the page: the engine that knows is away.
        """
        if call.media.is_connected:
            self._unmentioned[call] = asyncio.get_running_loop().call_later(MENTIONED, self._forgotten, call)
            return
        del self._unmentioned[call]
        if self._signaling.is_open:  # else the next `welcome` counts
            call.lost()

    def _lost(self) -> None:
        for call in [*self.calls]:
            call.lost()
        self._gone.set()
        if self._ringing.full():
            self._ringing.get_nowait()
        self._ringing.put_nowait(None)


@contextlib.asynccontextmanager
async def connect(
    url: str | URL,
    profile: Profile | str,
    *,
    token: TokenSource = "",
    verify: bool = True,
    turn: bool = False,
    decode: bool = True,
    can_show_recording: bool = False,
    consent: bool | None = None,
    connector: aiohttp.BaseConnector | None = None,
    on_message: Callable[[ServerMessage], None] = lambda _: None,
) -> AsyncIterator[CallClient]:
    """Connect to the relay at `url` as a device of `profile`, until the context ends.

    Args:
        url: of its page: `https://relay.example`; without a scheme it is https.
        profile: such as `student_456`.
        token: as the platform issues it, or a coroutine function that gets one; empty: log in without one, which development
            mode allows.
        verify: whether the TLS certificate must be valid.
        turn: gather relayed candidates from the relay's TURN server too.
        decode: False: packets that arrive are counted and not decoded, and neither `audio` nor `video` of a call has frames.
            aiortc then asks for no key frames or retransmissions.
        can_show_recording: this program tells the person that it acts for when a call is recorded.
        consent: the answer to each request to record a call; None: the program answers by `ClientCall.consent`.
        connector: of the HTTP requests, instead of one's own.
        on_message: called with each message of the relay as it is, a `welcome` for each connection among them; for logs.

    Raises:
        SignInFailed: the relay cannot be reached, or does not accept the credential.
        ValueError: `url` or `profile` is none.
    """
    base = URL(url if "://" in str(url) else f"https://{url}")
    if base.scheme not in {"http", "https"} or not base.host:
        raise ValueError(f"{url!r} is no URL of a relay, such as https://relay.example")
    own = Profile.parse(profile) if isinstance(profile, str) else profile
    tls = _tls_context(verify)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector or aiohttp.TCPConnector(ssl=tls), cookie_jar=jar) as http:
        client = CallClient(
            http,
            base,
            own,
            token,
            turn=turn,
            options=CallOptions(decode, can_show_recording, consent),
            on_message=on_message,
        )
        await client.open()
        try:
            yield client
        finally:
            await client.close()


@functools.cache
def _tls_context(verify: bool) -> ssl.SSLContext:
    """One for all clients: hundreds of calls at once have not the 50 ms of processor time that the system's certificates take."""
    tls = ssl.create_default_context()
    if not verify:
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    return tls


def _scope_of(message: Mapping[str, Any]) -> Scope | None:
    for kind in ScopeKind:
        if isinstance(number := message.get(kind.id_field), int):
            return Scope(kind, number)
    return None
