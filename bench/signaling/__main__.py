"""`make bench-signaling`: 2,000 connected devices and 100 invitations a second, on one core.

The relay is one process on one core (no media workers), with SQLite. Invitations come at fixed times, whether earlier ones have
arrived or not; each callee declines at once. Measured is the time from the caller's sending to the callee's receiving, both in
this process, which is on another core.
"""

import argparse
import asyncio
import contextlib
import json
import os
import socket
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

import aiohttp
from yarl import URL

from bench.process import Process, pin_generator
from bench.sdp import Media, write
from bench.signaling.people import SECRET, Pair, make_pairs, token
from relay.client.bare import BareDescription
from relay.client.messages import about, invitation
from relay.client.websocket import open_websocket
from relay.ids import Profile, Scope, ScopeKind

RESULTS: Final = Path(__file__).parents[1] / "results"
CONNECTING_AT_ONCE: Final = 50
OPEN_WITHIN: Final = 30.0
"""Seconds for a WebSocket to open."""
START_WITHIN: Final = 30.0
"""Seconds for the relay to serve."""
ARRIVE_WITHIN: Final = 10.0
"""Seconds after the last invitation, for those that are still on their way."""


NO_LIMITS: Final = dict.fromkeys(
    (
        "RELAY_LIMIT_MESSAGES",
        "RELAY_LIMIT_MESSAGES_PER_ADDRESS",
        "RELAY_LIMIT_INVITATIONS",
        "RELAY_LIMIT_INVITATIONS_PER_ADDRESS",
        "RELAY_LIMIT_CONNECTIONS",
        "RELAY_LIMIT_REQUESTS",
        "RELAY_LIMIT_FAILED_LOGINS",
    ),
    "off",
)
"""Two thousand devices at one address are what the limits are there to stop."""

NOBODY: Final = BareDescription(ufrag="none", pwd="x" * 22, fingerprint=":".join(["AB"] * 32), address=("127.0.0.1", 9))
"""A caller that never gets as far as media."""


class Load:
    """Two devices for each pair, and the times of their invitations."""

    def __init__(self, url: str, pairs: list[Pair]) -> None:
        self._url = url
        self._pairs = pairs
        self._offer = write(NOBODY, (Media("audio", "sendrecv"),), "actpass")
        self._callers: list[aiohttp.ClientWebSocketResponse] = []
        self._sent: dict[int, float] = {}
        self._readers: list[asyncio.Task[None]] = []
        self._sockets: list[aiohttp.ClientWebSocketResponse] = []
        self._arrival = asyncio.Condition()
        self.latencies: list[float] = []
        """Seconds, of the invitations that have arrived."""
        self.refused: dict[str, int] = {}

    async def connect(self, http: aiohttp.ClientSession) -> None:
        """Open every WebSocket."""
        slots = asyncio.Semaphore(CONNECTING_AT_ONCE)

        async def one(pair: Pair) -> aiohttp.ClientWebSocketResponse:
            async with slots:
                caller, callee = [await self._open(http, profile) for profile in pair[:2]]
            self._readers += [
                asyncio.create_task(self._read_caller(caller)),
                asyncio.create_task(self._read_callee(callee, pair)),
            ]
            return caller

        self._callers = await asyncio.gather(*(one(pair) for pair in self._pairs))

    def url_for(self, profile: Profile) -> str:
        """Of the relay that a profile's device connects to."""
        return self._url

    async def _open(self, http: aiohttp.ClientSession, profile: Profile) -> aiohttp.ClientWebSocketResponse:
        url = URL(self.url_for(profile)) / f"ws/{profile.profile_id}/{profile.profile_type}" % {"version": "2"}
        opened = await open_websocket(http, url, token(profile), within=OPEN_WITHIN, heartbeat=None)
        self._sockets.append(opened)
        return opened

    async def invite(self, rate: float, seconds: float) -> None:
        """Send invitations at an even pace, whatever becomes of them."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(begin + number / rate - loop.time())
            index = number % len(self._pairs)
            pair = self._pairs[index]
            scope = Scope(ScopeKind.CONVERSATION, pair.conversation_id)
            message = {**about(scope, pair.callee), **invitation("voice", {"type": "offer", "sdp": self._offer})}
            self._sent[pair.conversation_id] = time.perf_counter()
            await self._callers[index].send_str(json.dumps(message))

    async def _read_callee(self, socket_: aiohttp.ClientWebSocketResponse, pair: Pair) -> None:
        scope = Scope(ScopeKind.CONVERSATION, pair.conversation_id)
        async for frame in socket_:
            if '"type":"call_invitation"' not in frame.data:
                continue
            self.note(pair, time.perf_counter() - self._sent[pair.conversation_id])
            async with self._arrival:
                self._arrival.notify_all()
            await socket_.send_str(json.dumps({"type": "call_declined", **about(scope, pair.caller)}))

    def note(self, pair: Pair, seconds: float) -> None:
        """The invitation of a pair has arrived."""
        del pair
        self.latencies.append(seconds)

    async def _read_caller(self, socket_: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in socket_:
            message: dict[str, Any] = json.loads(frame.data)
            if message["type"] == "error":
                self.refused[message["code"]] = self.refused.get(message["code"], 0) + 1

    async def arrived(self, count: int) -> None:
        """Wait for the last ones, within reason."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ARRIVE_WITHIN), self._arrival:
                await self._arrival.wait_for(lambda: len(self.latencies) >= count)

    async def close(self) -> None:
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        await asyncio.gather(*(one.close() for one in self._sockets), return_exceptions=True)


async def measure(devices: int, rate: float, seconds: float) -> dict[str, Any]:
    """One run; figures in milliseconds."""
    with tempfile.TemporaryDirectory(prefix="bench-signaling-") as folder:
        database = Path(folder) / "relay.db"
        pairs = await make_pairs(f"sqlite+aiosqlite:///{database}", devices // 2)
        port = free_port()
        settings = {
            "RELAY_HOST": "127.0.0.1",
            "RELAY_PORT": str(port),
            "RELAY_MEDIA_HOST": "127.0.0.1",
            "RELAY_MEDIA_PORT": "0",
            "RELAY_WORKERS": "0",
            "RELAY_LOG_LEVEL": "WARNING",
            "RELAY_JWT_SECRET": SECRET,
            "RELAY_DATABASE_URL": f"sqlite+aiosqlite:///{database}",
            **NO_LIMITS,
        }
        os.environ.update(settings)
        server = Process([sys.executable, "-m", "relay", "serve"], Path(folder) / "relay.log")
        try:
            return await _measure(server, f"http://127.0.0.1:{port}", pairs, rate, seconds)
        finally:
            await server.stop()
            sys.stderr.write((Path(folder) / "relay.log").read_text())


async def _measure(server: Process, url: str, pairs: list[Pair], rate: float, seconds: float) -> dict[str, Any]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        await serving(http, url)
        empty = server.memory_bytes()
        load = Load(url, pairs)
        await load.connect(http)
        connected = server.memory_bytes()
        await load.invite(rate, min(2.0, seconds))  # warm: every code path, every connection of the pool
        await load.arrived(int(rate * min(2.0, seconds)))
        load.latencies.clear()
        before = server.cpu_seconds()
        await load.invite(rate, seconds)
        used = server.cpu_seconds() - before
        await load.arrived(int(rate * seconds))
        await load.close()
    sent, arrived = int(rate * seconds), sorted(load.latencies)
    cuts = quantiles(arrived, n=1000)
    return {
        "devices": 2 * len(pairs),
        "invitations_per_second": rate,
        "sent": sent,
        "arrived": len(arrived),
        "refused": load.refused,
        "p50_ms": round(cuts[499] * 1000, 2),
        "p90_ms": round(cuts[899] * 1000, 2),
        "p99_ms": round(cuts[989] * 1000, 2),
        "longest_ms": round(arrived[-1] * 1000, 2),
        "core": round(used / seconds, 3),
        "cpu_ms_per_call": round(used / sent * 1000, 2),
        "memory_kib_per_device": round((connected - empty) / (2 * len(pairs)) / 1024, 1),
    }


async def serving(http: aiohttp.ClientSession, url: str) -> None:
    """Wait until a relay serves.

    Raises:
        aiohttp.ClientError: it does not.
    """
    deadline = time.monotonic() + START_WITHIN
    while True:
        try:
            async with http.get(f"{url}/healthz") as response:
                response.raise_for_status()
                return
        except aiohttp.ClientError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)


def free_port() -> int:
    """A TCP port that no server has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-signaling", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--devices", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=100.0, help="invitations per second")
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    pin_generator()
    figures = asyncio.run(measure(options.devices, options.rate, options.seconds))
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
    (RESULTS / f"{stamp}-signaling.json").write_text(json.dumps(figures, indent=2) + "\n")
    for name, value in figures.items():
        print(f"{name:>24}: {value}")


if __name__ == "__main__":
    main()
