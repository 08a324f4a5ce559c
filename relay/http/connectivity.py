"""`GET /ws/connectivity`: a client calls itself through the relay, to test over which paths media gets through.

One WebSocket is one test. It carries a call's offers and answers, with both parties at the other end: an offer comes back as the
relay's offer to the same client, the answer to that as the relay's answer (`relay.signaling.sessions.loopback`). There is no
`Call`, no row and no device, so nothing rings and nothing is written down. The address is beside that of the calls, so that a
proxy that passes one passes the other.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import web

from relay.check.report import Report
from relay.check.verdicts import Explanation, explain
from relay.errors import SignalingError
from relay.http.access.auth import SUBPROTOCOL, HttpAuthenticator
from relay.http.api import Access, Operation, get, post
from relay.http.limits import Limit
from relay.http.proxies import remote_address
from relay.http.responses import answer, body_of, problem
from relay.http.sockets import UPGRADE, OpenSockets
from relay.ids import Profile
from relay.sdp.model import SessionDescription
from relay.sdp.parse import parse_sdp
from relay.settings.http import HttpSettings
from relay.signaling.messages.common import Answer, Offer
from relay.signaling.presence.websocket import WebSocketConnection
from relay.signaling.sessions.addresses import Addresses
from relay.signaling.sessions.loopback import Loopback
from relay.signaling.sessions.session import SessionManager

MAX_PROBES: Final = 16
"""Tests at a time, so that they leave the capacity to calls."""

MAX_SECONDS: Final = 60.0
"""Of one test. Five paths at 5 s each, a call of 3 s, and some time for the browser."""

MAX_LOOPS: Final = 12
"""Loop-back calls of one test, one after the other."""

RATE: Final = "12/minute"
"""Tests that a profile may begin."""

MAX_MESSAGES: Final = 64
"""Messages of one test, invalid ones included."""

MAX_FRAME: Final = 64 * 1024
"""Bytes or characters of one message."""

TIME_IS_UP: Final = 4408
"""Close code: the test took too long."""

REPLACED: Final = 4409
"""Close code: the same profile has begun another test."""

REFUSED: Final = 4429
"""Close code: there is no capacity for a test now. An `error` before it gives the reason."""

NAMES: Final[Mapping[str, str]] = {
    "probes": "connectivity tests begun",
    "loops": "loop-back calls of connectivity tests",
    "loops_answered": "loop-back calls that got as far as the answer",
    "busy": "connectivity tests refused because there were too many",
    "malformed": "messages of connectivity tests that could not be taken",
    "unavailable": "loop-back calls that the media plane could not take",
    "overdue": "connectivity tests ended because they took too long, or said too much",
}
"""Counters, and what each counts."""

_Message = Offer | Answer
_decoder: Final = msgspec.json.Decoder(_Message)


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The first message to the client."""

    address: str | None
    """The source address of the client's request: its public address, if there is NAT."""


class Failed(msgspec.Struct, frozen=True, tag="error"):
    """The client's message was refused, or there is no capacity."""

    code: str
    message: str


class Probe:
    """One test: the messages of its WebSocket, and the limits of one test.

    Args:
        loopback: makes its calls.
    """

    def __init__(self, loopback: Loopback, counters: Counter[str]) -> None:
        self._loopback = loopback
        self._counters = counters
        self._loops = 0

    async def take(self, frame: str | bytes) -> _Message:
        """Handle one message of the client; the reply.

        Raises:
            SignalingError: `malformed`, `too_large`, `invalid_sdp`, `wrong_state`, `busy` or `unavailable`.
        """
        match _decode(frame):
            case Offer(text):
                return Offer(await self._offer(parse_sdp(text)))
            case Answer(text):
                answer = Answer(await self._loopback.answer(parse_sdp(text)))
                self._counters["loops_answered"] += 1
                return answer

    async def close(self) -> None:
        """End the loop-back call that there is."""
        await self._loopback.close()

    async def _offer(self, offer: SessionDescription) -> str:
        if self._loops >= MAX_LOOPS:
            raise SignalingError("busy", f"one test makes at most {MAX_LOOPS} calls")
        self._loops += 1
        self._counters["loops"] += 1
        return await self._loopback.offer(offer)


class Probes:
    """All tests that run at this moment.

    Args:
        max_seconds: as of `MAX_SECONDS`.

    Attributes:
        counters: by the names in `NAMES`.
    """

    def __init__(self, sessions: SessionManager, max_seconds: float = MAX_SECONDS) -> None:
        self.counters: Counter[str] = Counter()
        self.max_seconds = max_seconds
        self._sessions = sessions
        self._running: dict[Profile, WebSocketConnection] = {}
        self._rate = Limit(RATE)

    @property
    def count(self) -> int:
        return len(self._running)

    def begin(self, profile: Profile, connection: WebSocketConnection) -> Probe:
        """A test of that profile; `end` it. One of the same profile that runs is over: likely its network changed, or its page
        was loaded anew.

        Raises:
            SignalingError: `busy`; there is no room for it now.
        """
        reason = ""
        if not self._rate.admits(profile.key):
            reason = f"too many tests; try again in {self._rate.retry_after(profile.key)} s"
        elif profile not in self._running and len(self._running) >= MAX_PROBES:
            reason = "too many tests run at this moment; try again in a minute"
        if reason:
            self.counters["busy"] += 1
            raise SignalingError("busy", reason)
        if profile in self._running:
            self._running[profile].drop(REPLACED, "another test has begun")
        self._running[profile] = connection
        self.counters["probes"] += 1
        addresses = Addresses(connection.local_address, connection.remote_address)
        return Probe(Loopback(self._sessions, addresses), self.counters)

    async def end(self, profile: Profile, connection: WebSocketConnection, probe: Probe) -> None:
        if self._running.get(profile) is connection:
            del self._running[profile]
        await probe.close()


async def connect(
    request: web.Request, *, who: HttpAuthenticator, probes: Probes, sockets: OpenSockets, settings: HttpSettings
) -> web.StreamResponse:
    credential = await who.signed_in(request)
    profile = credential.profile
    connection = WebSocketConnection(
        profile.key, (SUBPROTOCOL,), settings.ping_interval, on_overdue=lambda: probes.counters.update(["overdue"])
    )
    if not connection.response.can_prepare(request).ok:
        return problem(426, "upgrade_required", "this address is a WebSocket")
    await connection.open(request, remote_address(request))
    async with sockets.registered(connection, credential, who) as good:
        if good:
            await _serve(probes, profile, connection)
    return connection.response


async def _serve(probes: Probes, profile: Profile, connection: WebSocketConnection) -> None:
    # A browser cannot read the response to a refused upgrade, so the error is sent over an accepted WebSocket.
    try:
        probe = probes.begin(profile, connection)
    except SignalingError as error:
        _send(connection, Failed(error.code, str(error)))
        connection.drop(REFUSED, "no room for a test")
        return
    end = asyncio.get_running_loop().call_later(probes.max_seconds, _overdue, probes, connection)
    try:
        _send(connection, Ready(connection.remote_address))
        for _ in range(MAX_MESSAGES):
            frame = await connection.receive()
            if frame is None:
                return
            await _answer(probes, probe, connection, frame)
        _overdue(probes, connection)
    finally:
        end.cancel()
        await probes.end(profile, connection, probe)


async def _answer(probes: Probes, probe: Probe, connection: WebSocketConnection, frame: str | bytes) -> None:
    try:
        _send(connection, await probe.take(frame))
    except SignalingError as error:
        probes.counters["unavailable" if error.code == "unavailable" else "malformed"] += 1
        _send(connection, Failed(error.code, str(error)))


def _overdue(probes: Probes, connection: WebSocketConnection) -> None:
    probes.counters["overdue"] += 1
    connection.drop(TIME_IS_UP, "the test took too long")


def _send(connection: WebSocketConnection, message: msgspec.Struct) -> None:
    connection.send(msgspec.json.encode(message))


def _decode(frame: str | bytes) -> _Message:
    if len(frame) > MAX_FRAME:
        raise SignalingError("too_large", f"a message may have at most {MAX_FRAME} bytes")
    try:
        message: _Message = _decoder.decode(frame)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise SignalingError("malformed", f"neither an offer nor an answer: {str(error)[:300]}") from None
    return message


async def verdict(request: web.Request) -> web.Response:
    """Explain a report. Needs no credential: a missing credential is one of the verdicts."""
    return answer(explain(await body_of(request, Report)))


ROUTES: Final = [
    get(
        "/ws/connectivity",
        connect,
        Operation(
            "Opens the WebSocket of a connection test (RFC 6455). Its messages are those of `docs/http.md`.",
            status=101,
            errors=UPGRADE,
            access=Access.SOCKET,
        ),
    ),
    post(
        "/api/connectivity/verdict",
        verdict,
        Operation("What the report of a connection test means, in words.", Explanation, body=Report, access=Access.ANYONE),
    ),
]
