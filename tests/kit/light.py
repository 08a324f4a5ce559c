"""Parties of calls by the hundred in one process: clients of `relay.client`, with media that costs next to nothing.

A party sends numbered packets of audio, and counts those of the other party. It is on a bare transport, without aiortc's peer
connection above it, and follows its call to another server as `relay.client` and the page do: it sends by both transports, until
something comes by the next one.
"""

import asyncio
import logging
import random
import re
import secrets
import socket
import struct
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Literal

import aiohttp
from yarl import URL

from bench.sdp import AUDIO_TYPE, Media, read, write
from relay.client.bare import BareTransport
from relay.client.call import ClientCall
from relay.client.call_media import CallMedia, CallOptions, Spawn
from relay.client.call_media import Media as Sent
from relay.client.client import CallClient
from relay.client.connection import ServerMessage
from relay.client.peer import SdpDescription, ufrag_in
from relay.client.signin import SignedIn
from relay.ids import Profile, Scope
from tests.kit.cuttable import HERE

STEP: Final = 0.01
"""Seconds between two looks at whose packet is due."""

CLOCK: Final = 48_000
"""Hz, of RTP timestamps of Opus."""

PAYLOAD: Final = bytes(76)
"""Behind the number: 80 bytes are 20 ms of Opus at 32 kbit/s."""

_HEADER: Final = struct.Struct("!BBHIII")
"""An RTP header, and the number of the packet as the first four bytes of its payload."""

_NUMBER: Final = struct.Struct("!I")

_SETUP: Final = re.compile(r"^a=setup:(\w+)", re.MULTILINE)

_log = logging.getLogger(__name__)


class Beat:
    """The clock by which all parties of a process send, each at its own moment.

    Args:
        rate: packets a second of each.

    Attributes:
        late: seconds by which it was late at its worst moment.
    """

    def __init__(self, rate: float) -> None:
        self.late = 0.0
        self._rate = rate
        self._groups: list[list[LightMedia]] = [[] for _ in range(max(1, round(1 / rate / STEP)))]

    @property
    def ticks(self) -> int:
        """Of the RTP clock, from packet to packet."""
        return round(CLOCK / self._rate)

    def join(self, one: "LightMedia") -> None:
        min(self._groups, key=len).append(one)

    def leave(self, one: "LightMedia") -> None:
        for group in self._groups:
            if one in group:
                group.remove(one)

    async def run(self) -> None:
        """Until it is cancelled."""
        loop = asyncio.get_running_loop()
        number, due = 0, loop.time()
        while True:
            number, due = number + 1, due + STEP
            await asyncio.sleep(max(0.0, due - loop.time()))
            now = loop.time()
            self.late = max(self.late, now - due)
            for one in self._groups[number % len(self._groups)]:
                one.send(now)


class Heard:
    """What a party has heard of numbered packets since `begin`.

    Attributes:
        silence: seconds, the longest time in which nothing new came; `at` looks at the one that lasts.
    """

    def __init__(self) -> None:
        self.begin(0.0)

    def begin(self, now: float) -> None:
        self.silence = 0.0
        self._latest = now
        self._numbers: set[int] = set()

    def take(self, number: int, now: float) -> None:
        if number not in self._numbers:
            self._numbers.add(number)
            self.at(now)
            self._latest = now

    def at(self, now: float) -> float:
        self.silence = max(self.silence, now - self._latest)
        return self.silence

    @property
    def packets(self) -> int:
        return len(self._numbers)

    @property
    def missing(self) -> int:
        """Packets between the first and the last one that came by neither transport."""
        return max(self._numbers) - min(self._numbers) + 1 - len(self._numbers) if self._numbers else 0


class LightLine:
    """One transport of a party.

    Args:
        take: called with each packet that comes.
    """

    def __init__(self, take: "Callable[[LightLine, bytes], None]") -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind((HERE, 0))
        self.transport = BareTransport(sock, lambda packet: take(self, packet))
        self.remote_ufrag = ""
        self.is_up = self.brings = self.is_closed = False
        self._ssrc = secrets.randbits(32)
        self._sequence = secrets.randbits(15)
        self._role: Literal["client", "server"] = "client"

    def describe(self, kind: Literal["offer", "answer"]) -> SdpDescription:
        setup = "actpass" if kind == "offer" else "active" if self._role == "client" else "passive"
        return {"type": kind, "sdp": write(self.transport.local, (Media("audio", "sendrecv", self._ssrc),), setup)}

    def hears_of(self, description: Mapping[str, str]) -> None:
        """Take the relay's description."""
        sdp = description.get("sdp", "")
        self.remote_ufrag = ufrag_in(sdp)
        found = _SETUP.search(sdp)
        self._role = "server" if found is not None and found[1] == "active" else "client"

    async def connect(self, description: Mapping[str, str]) -> bool:
        """Whether it works."""
        try:
            await self.transport.connect(read(description["sdp"]), role=self._role)
        except (TimeoutError, ConnectionError) as error:
            _log.warning("a transport does not connect: %s", str(error) or type(error).__name__)
            return False
        self.is_up = not self.is_closed
        return self.is_up

    def send(self, number: int, timestamp: int) -> None:
        self._sequence += 1
        header = _HEADER.pack(0x80, AUDIO_TYPE, self._sequence & 0xFFFF, timestamp & 0xFFFFFFFF, self._ssrc, number)
        self.transport.send(header + PAYLOAD)

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed, self.is_up = True, False
            self.transport.close()


class LightMedia(CallMedia):
    """The media of a call, by bare transports.

    Attributes:
        heard: of the other party.
        pause: seconds, the longest time in which this party itself sent nothing.
        moves: how often it got another transport.
        failures: transports that did not connect.
    """

    def __init__(self, spawn: Spawn, beat: Beat) -> None:
        super().__init__(spawn, CallOptions(decode=False), None)
        self.heard = Heard()
        self.pause, self.moves, self.failures = 0.0, 0, 0
        self._beat = beat
        self._transports: list[LightLine] = []
        """The one of now at last."""
        self._number = 0
        self._sent_at: float | None = None

    def begin(self, now: float) -> None:
        """Count from now on."""
        self.heard.begin(now)
        self.pause, self.moves, self.failures = 0.0, 0, 0

    def send(self, now: float) -> None:
        """The next packet."""
        up = [one for one in self._transports if one.is_up]
        if up:
            self._number += 1
            self.pause = max(self.pause, now - self._sent_at if self._sent_at is not None else 0.0)
            self._sent_at = now
        for one in up:
            one.send(self._number, self._number * self._beat.ticks)

    # -- as the media of a peer connection ----------------------------------------------------------------------------

    @property
    def has_begun(self) -> bool:
        return bool(self._transports)

    async def offer(self, media: Sent, kinds: Collection[str], codecs: Collection[str]) -> SdpDescription:
        return self._new_transport().describe("offer")

    async def answer(self, offer: Mapping[str, str], media: Sent, codecs: Collection[str]) -> SdpDescription:
        return self._reply(offer)

    async def accept(self, answer: Mapping[str, str]) -> None:
        line = self._transports[-1]
        line.hears_of(answer)
        self._spawn(self._connect(line, answer))

    async def answer_update(self, offer: Mapping[str, str]) -> SdpDescription:
        return self._transports[-1].describe("answer")

    def is_for_another(self, offer: Mapping[str, str]) -> bool:
        return bool(self._transports) and self._transports[-1].remote_ufrag not in {"", ufrag_in(offer.get("sdp", ""))}

    async def rejoin(self, offer: Mapping[str, str]) -> SdpDescription:
        self.moves += 1
        brings = [one for one in self._transports if one.brings][-1:]
        for one in [one for one in self._transports if one not in brings]:
            self._remove(one)
        return self._reply(offer)

    async def close(self) -> None:
        self._beat.leave(self)
        for one in [*self._transports]:
            self._remove(one)
        await super().close()

    def _reply(self, offer: Mapping[str, str]) -> SdpDescription:
        line = self._new_transport()
        line.hears_of(offer)
        self._spawn(self._connect(line, offer))
        return line.describe("answer")

    def _new_transport(self) -> LightLine:
        if not self._transports:
            self._beat.join(self)
        line = LightLine(self._take)
        self._transports.append(line)
        return line

    async def _connect(self, line: LightLine, description: Mapping[str, str]) -> None:
        if not await line.connect(description) and not line.is_closed:
            self.failures += 1
            self._remove(line)

    def _remove(self, line: LightLine) -> None:
        if line in self._transports:
            self._transports.remove(line)
        line.close()

    def _take(self, line: LightLine, packet: bytes) -> None:
        if not line.brings:
            line.brings = True
            at = self._transports.index(line) if line in self._transports else 0
            for older in self._transports[:at]:
                self._remove(older)
        (number,) = _NUMBER.unpack_from(packet, 12)
        self.heard.take(number, asyncio.get_running_loop().time())


class LightCall(ClientCall):
    """A call with such media.

    Attributes:
        light: it.
    """

    def __init__(self, *whose: Any, outgoing: bool, beat: Beat) -> None:
        super().__init__(*whose, outgoing=outgoing, options=CallOptions(decode=False))
        self.media = self.light = LightMedia(self._start, beat)


class LightClient(CallClient):
    """A device whose calls are so, and which comes back to another node than the one that it was at, by chance.

    Args:
        nodes: URLs of all of them.
        at: the first one to connect to, by its place among these.
        token: of its profile.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        nodes: Sequence[URL],
        at: int,
        profile: Profile,
        token: str,
        beat: Beat,
        on_message: Callable[[ServerMessage], None],
    ) -> None:
        super().__init__(http, nodes[at], profile, token, turn=False, options=CallOptions(decode=False), on_message=on_message)
        self._nodes = nodes
        self._at: int | None = at
        self._credential = token
        self._beat = beat

    async def _sign_in(self) -> SignedIn:
        """It has its token, and needs no TURN servers."""
        if self._access is not None:
            self._at = random.choice([one for one in range(len(self._nodes)) if one != self._at])
        self._access = SignedIn(self._nodes[self._at or 0], self._credential, ())
        return self._access

    def _new_call(self, other: Profile, scope: Scope, kind: str, outgoing: bool, record: object) -> LightCall:
        call = LightCall(self._signaling, self.profile, other, scope, kind, outgoing=outgoing, beat=self._beat)
        self.calls.add(call)
        return call
