"""A call goes on while a client floods the shared port and the TURN port.

The relay is a process of its own, with a media worker. The caller's media comes by TURN over TCP, so every packet of it goes
through the process that is flooded; the callee's comes by UDP.
"""

import asyncio
import contextlib
import hashlib
import random
import re
import signal
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from aioice.stun import Class, Method
from aiortc import RTCConfiguration, RTCIceServer, RTCIceTransportPolicy

from relay.turn.messages import build, parse
from tests.edge.kit import HERE
from tests.kit.peer import BLUE, RED, Peer
from tests.kit.process import ANEW, Server, serving
from tests.kit.wait import eventually

pytestmark = pytest.mark.servers

ROUNDS: Final = 3
"""Of every kind of flood."""

RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: close with a reset."""

UDP: Final = {"REQUESTED-TRANSPORT": 17 << 24}
BINDING: Final = build(Method.BINDING, Class.REQUEST, bytes(12), {})
ALLOCATE: Final = build(Method.ALLOCATE, Class.REQUEST, bytes(12), UDP)

REFUSED: Final = (
    *("front_refused_address", "front_refused_garbage", "front_refused_silent", "front_refused_flood", "front_http_malformed"),
    *("front_ice_tcp_refused", "front_turn_malformed"),
    *("turn_unauthentic", "turn_refused_quota", "turn_limited", "turn_malformed", "turn_dropped_unbound"),
)
"""Counters that show what was done to the relay."""

MEMORY: Final = 64 * 1024
"""kB that the process may grow by."""


class Flooder:
    """A remote client with blocking sockets that breaks every protocol.

    Args:
        server: an RTCIceServer of a profile that is not in the call.
    """

    def __init__(self, server: dict[str, Any], http_port: int) -> None:
        self._tcp = HERE, http_port
        [udp] = [url for url in server["urls"] if url.endswith("=udp")]
        self._udp = HERE, int(re.findall(r":(\d+)\?", udp)[0])
        self._username, self._password = server["username"], server["credential"]
        self._random = random.Random(5)

    def everything(self) -> None:
        for _ in range(ROUNDS):
            for one in (self.silence, self.garbage, self.resets, self.frames, self.turn_garbage, self.strangers, self.datagrams):
                one()
        self.allocations()

    def silence(self) -> None:
        """More connections at a time than one address may have, that say nothing or half of something."""
        with contextlib.ExitStack() as stack:
            ones = [stack.enter_context(self._connected()) for _ in range(300)]
            for number, one in enumerate(ones):
                with contextlib.suppress(ConnectionError):  # the first ones are closed for the last ones
                    self._say(one, (b"", b"\x00", b"GET / HTTP/1.1\r\n", b"\x00\x14\x00\x01")[number % 4])
            with contextlib.suppress(ConnectionError):
                assert ones[0].recv(1) == b"", "the oldest one has had to go"

    def garbage(self) -> None:
        for number in range(100):
            self._one_way(self._random.randbytes(1 + number * 10))
            self._one_way(b"GET / HTTP/1.1\r\n" + self._random.randbytes(number) + b"\r\n\r\n")

    def resets(self) -> None:
        """A connection that breaks at every moment of the way."""
        request = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
        for whole in (request, len(BINDING).to_bytes(2) + BINDING, ALLOCATE, b"\x16\x03\x01\x00\x64\x01"):
            for cut in range(0, len(whole) + 1, 5):
                with self._connected() as one:
                    self._say(one, whole[:cut])
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def frames(self) -> None:
        """ICE-TCP: empty frames, frames that are too long, checks with a ufrag that no transport has."""
        check = build(Method.BINDING, Class.REQUEST, bytes(12), {"USERNAME": "unknown:ufrags"})
        for tail in (b"\x00\x00" * 20_000, b"\xff\xff" + bytes(5000), b"\x00\x01\x00" * 20_000):
            self._one_way(len(check).to_bytes(2) + check + tail)
            self._one_way(len(BINDING).to_bytes(2) + BINDING + tail)

    def turn_garbage(self) -> None:
        """TURN over TCP: channels that are not bound, empty channel data, messages with lengths that are not valid."""
        for tail in (
            b"\x40\x00\x00\x00" * 20_000,
            b"\x40\x00\xff\xff" + bytes(5000),
            b"\x00\x01\xff\xfc" + BINDING[4:],
            b"\x80" * 99,
        ):
            self._one_way(BINDING + tail)

    def strangers(self) -> None:
        """Requests with passwords, realms and times that are not good, from a port of their own each."""
        old = f"1000000000:{self._username.partition(':')[2]}"
        for username, realm in ((self._username, "relay"), (self._username, "elsewhere"), (old, "relay"), ("nobody", "relay")):
            with self._turn() as one:
                for _ in range(50):
                    self._ask(one, username, "wrong", realm)

    def datagrams(self) -> None:
        with self._turn() as one:
            for number in range(1500):
                one.sendto((ALLOCATE, BINDING, b"", self._random.randbytes(number), BINDING + bytes(1900))[number % 5], self._udp)

    def allocations(self) -> None:
        """Good credentials, and more allocations than they are good for."""
        with contextlib.ExitStack() as stack:
            codes = []
            for _ in range(80):
                one = stack.enter_context(self._turn())
                while (code := self._ask(one, self._username, self._password, "relay")) < 0:
                    pass
                codes.append(code)
            assert codes.count(0) == 64
            assert set(codes) == {0, 486}

    # -- its tools ------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        with socket.create_connection(self._tcp, 10) as one:
            yield one

    def _say(self, one: socket.socket, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the relay may have hung up already
            one.sendall(data)

    def _one_way(self, data: bytes) -> None:
        with self._connected() as one:
            self._say(one, data)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind((HERE, 0))
            one.settimeout(0.5)
            yield one

    def _ask(self, one: socket.socket, username: str, password: str, realm: str) -> int:
        """Ask for an allocation, with a nonce that is good; the error code, or 0. -1: there were too many from here."""
        nonce = b""
        try:
            while True:
                given = {**UDP, "USERNAME": username, "REALM": realm, "NONCE": nonce} if nonce else UDP
                key = hashlib.md5(f"{username}:{realm}:{password}".encode()).digest() if nonce else None
                one.sendto(build(Method.ALLOCATE, Class.REQUEST, self._random.randbytes(12), given, key=key), self._udp)
                answer = parse(one.recv(2000))
                assert answer is not None
                if "ERROR-CODE" not in answer.attributes:
                    return 0
                if nonce:
                    return int(answer.attributes["ERROR-CODE"][0])
                nonce = answer.attributes["NONCE"]
        except TimeoutError:
            return -1


async def sign_in(url: str, profile_type: str, profile_id: int) -> dict[str, Any]:
    """The RTCIceServer of a profile."""
    login = {"profile_type": profile_type, "profile_id": profile_id}
    async with aiohttp.ClientSession(url) as http, http.post("/api/dev/login", json=login) as response:
        [server] = (await response.json())["ice_servers"]
        return dict(server)


async def only_by_turn(peer: Peer, server: dict[str, Any], way: str) -> None:
    [url] = [one for one in server["urls"] if one.endswith(f"={way}")]
    turn = RTCIceServer(urls=[url], username=server["username"], credential=server["credential"])
    await peer.replace_connection(RTCConfiguration(iceServers=[turn], iceTransportPolicy=RTCIceTransportPolicy.RELAY))


@contextlib.asynccontextmanager
async def call(url: str) -> AsyncIterator[tuple[Peer, Peer]]:
    server = await sign_in(url, "student", 456)
    async with (
        Peer.connected(url, "student_456", colour=RED, size=(160, 120), tone=440.0) as caller,
        Peer.connected(url, "tutor_789", colour=BLUE, size=(128, 96), tone=1200.0) as callee,
    ):
        await only_by_turn(caller, server, "tcp")
        await caller.call("tutor_789", 123, "video", ("VP8", "opus"))
        await callee.answer(await callee.ring())
        await caller.accept_answer()
        yield caller, callee


def memory_of(server: Server) -> int:
    """kB that the process has."""
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", text)[0])


async def both_go_on(caller: Peer, callee: Peer, frames: int) -> None:
    """Wait until both have decoded so many more frames, and hear each other."""
    wanted = caller.frames + frames, callee.frames + frames
    for one in (caller, callee):
        one.forget_what_was_heard()
    await eventually(lambda: caller.frames >= wanted[0] and callee.frames >= wanted[1], "frames on both sides")
    await eventually(lambda: caller.hears(1200.0) and callee.hears(440.0), "audio on both sides")


async def test_a_call_goes_on_through_a_flood(tmp_path: Path) -> None:
    async with serving(tmp_path, program=ANEW, turn_realm="relay", workers="1") as server:
        url = server.relay.url
        flooder = Flooder(await sign_in(url, "parent", 321), int(url.rpartition(":")[2]))
        async with call(url) as (caller, callee):
            await both_go_on(caller, callee, 30)
            before = memory_of(server)
            frames = caller.frames, callee.frames
            await asyncio.to_thread(flooder.everything)
            during = caller.frames - frames[0], callee.frames - frames[1]
            assert min(during) > 10, "the call went on meanwhile"
            await both_go_on(caller, callee, 30)
            counters = await server.relay.counters()
            assert memory_of(server) - before < MEMORY
        outcome = await server.stop(signal.SIGTERM)
    assert {name for name in REFUSED if not counters[f"relay_{name}_total"]} == set()
    assert counters["relay_front_streams"] == 1, "only the caller's is left"
    assert outcome.status == 0
    assert "Traceback" not in outcome.err
    assert "ERROR" not in outcome.err
