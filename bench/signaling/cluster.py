"""`make bench-cluster`: what it costs that the caller's node is not the callee's.

Invitations come at fixed times, and each callee declines at once, as in `bench/signaling`. First one relay alone, then one node
of a cluster; then three nodes with the callers at one and the callees at another one, and each invitation crosses; then three
with all devices spread evenly, where two of three cross. Their loads decide which of the three owns a call. All relays and Redis
share one core, and the devices are on the other: so what is compared is processor time, which adds up on any machine, and not the
invitations per second of machines that are not here. What a process takes without calls is measured by itself: leases, and pings
of the devices. What the nodes could carry follows from both.

An invitation takes more of a process that has few of them, as it wakes up for each. So one node is also measured with a third of
the invitations: it has as many as each of three. And three are measured of which each has both devices of its calls: what these
take more than the one is due to the core that they share.

Where all callers are at one node and all callees at another, the third has no device: what it has more of memory once they are
connected is what it keeps of devices that are elsewhere.
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
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final, Literal

import aiohttp

from bench.process import Process, pin_generator
from bench.signaling.__main__ import NO_LIMITS, RESULTS, Load, free_port, serving
from bench.signaling.people import SECRET, Pair, make_pairs
from deploy.cluster.engines import postgresql
from deploy.cluster.programs import find
from relay.cluster.choose import RAMP_SECONDS
from relay.ids import Profile

WARM: Final = RAMP_SECONDS + 2.0
"""Seconds of invitations before those that count: every code path, each connection of the pools, the 2 s for which a new cluster
gives no claims, and the time for which a node's load counts the calls that have begun. Until then loads rise, and each node takes
those of the others, which it sees late, for lower than its own."""

IDLE: Final = 5.0
"""Seconds in which nothing but leases are renewed."""


Placing = Literal["apart", "together", "spread"]
"""All callers are at the first node and all callees at the last; or pairs are spread evenly over the nodes; or their devices
are, the two of a pair independently."""


class PlacedLoad(Load):
    """Devices at several nodes.

    Args:
        placing: of the two devices of a pair.
    """

    def __init__(self, urls: Sequence[str], pairs: list[Pair], placing: Placing) -> None:
        super().__init__(urls[0], pairs)
        self._urls = urls
        self._placing = placing
        self.crossed: list[float] = []
        """The latencies of invitations whose callee is at another node than the caller; the others are in `stayed`."""
        self.stayed: list[float] = []

    def url_for(self, profile: Profile) -> str:
        calls, count = profile.profile_type == "student", len(self._urls)
        if self._placing == "apart":
            return self._urls[0 if calls else -1]
        together = calls or self._placing == "together"
        return self._urls[(profile.profile_id if together else profile.profile_id // count) % count]

    def note(self, pair: Pair, seconds: float) -> None:
        super().note(pair, seconds)
        crosses = self.url_for(pair.caller) != self.url_for(pair.callee)
        (self.crossed if crosses else self.stayed).append(seconds)

    def forget(self) -> None:
        """Begin to measure."""
        for latencies in (self.latencies, self.crossed, self.stayed):
            latencies.clear()
        self.refused.clear()


@dataclass(frozen=True)
class Layout:
    """The relays of a run, and where its devices are."""

    nodes: int
    redis: bool
    placing: Placing = "apart"
    share: float = 1.0
    """Of the invitations."""


LAYOUTS: Final = (
    Layout(1, False),
    Layout(1, True),
    Layout(1, True, share=1 / 3),
    Layout(3, True, "together"),
    Layout(3, True, "spread"),
    Layout(3, True, "apart"),
)


async def measure(layout: Layout, devices: int, rate: float, seconds: float, folder: Path) -> dict[str, Any]:
    """One run; times in milliseconds."""
    programs = {name: _program(name) for name in ("initdb", "postgres", "redis-server")}
    place = Path(tempfile.mkdtemp(prefix="postgresql-", dir=folder))
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))  # for PostgreSQL, which is not what is measured
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(postgresql(place, programs, lambda _name, _line: None))
        os.sched_setaffinity(0, cores)
        pairs = await make_pairs(url, devices // 2)
        port = free_port()
        engine = Process(
            [programs["redis-server"], "--port", str(port), "--bind", "127.0.0.1", "--save", ""], folder / "redis.log"
        )
        stack.push_async_callback(engine.stop)
        relays: list[tuple[str, Process]] = []
        for number in range(layout.nodes):
            settings = _settings(url, number, folder, f"redis://127.0.0.1:{port}" if layout.redis else "")
            os.environ.update(settings)
            relay = Process([sys.executable, "-m", "relay", "serve"], folder / f"relay-{number}.log")
            stack.push_async_callback(relay.stop)
            relays.append((f"http://127.0.0.1:{settings['RELAY_PORT']}", relay))
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        for address, _ in relays:
            await serving(http, address)
        load = PlacedLoad([address for address, _ in relays], pairs, layout.placing)
        processes = engine, *(one for _, one in relays)
        alone = [one.memory_bytes() for one in processes]
        await load.connect(http)
        await asyncio.sleep(IDLE)  # a node's card, and what it knows of the others
        more = [(one.memory_bytes() - was) / devices for one, was in zip(processes, alone, strict=True)]
        memory = {"bytes_per_device_of_redis": round(more[0]), "bytes_per_device_of_each_relay": list(map(round, more[1:]))}
        rates = rate * layout.share, seconds / layout.share
        return asdict(layout) | memory | await _run(load, [one for _, one in relays], engine, *rates)


async def _run(load: PlacedLoad, relays: Sequence[Process], engine: Process, rate: float, seconds: float) -> dict[str, Any]:
    await load.invite(rate, WARM)
    await load.arrived(int(rate * WARM))
    processes = (engine, *relays)
    before = [one.cpu_seconds() for one in processes]
    await asyncio.sleep(IDLE)
    rested = [(one.cpu_seconds() - was) / IDLE for one, was in zip(processes, before, strict=True)]
    load.forget()
    before = [one.cpu_seconds() for one in processes]
    begin = time.perf_counter()
    await load.invite(rate, seconds)
    lasted = time.perf_counter() - begin
    used = [one.cpu_seconds() - was for one, was in zip(processes, before, strict=True)]
    sent = int(rate * seconds)
    await load.arrived(sent)
    await load.close()
    cuts, per_call = quantiles(load.latencies, n=100), [round(one / sent * 1000, 3) for one in used]
    more = [(one - idle * lasted) / sent for one, idle in zip(used, rested, strict=True)]
    return {
        "invitations_per_second": rate,
        "sent": sent,
        "arrived": len(load.latencies),
        "refused": load.refused,
        "p50_ms": round(cuts[49] * 1000, 2),
        "p99_ms": round(cuts[98] * 1000, 2),
        # Of callees at the caller's node, and at another one.
        "p50_ms_by_node": [round(median(some) * 1000, 2) if some else None for some in (load.stayed, load.crossed)],
        "cpu_ms_per_invitation_of_each_relay": per_call[1:],
        "cpu_ms_per_invitation_of_redis": per_call[0],
        "core_without_calls_of_each_relay": [round(one, 4) for one in rested[1:]],
        "redis_core_without_calls": round(rested[0], 4),
        "cpu_ms_more_per_invitation_of_all_relays": round(sum(more[1:]) * 1000, 3),
        "cpu_ms_more_per_invitation_of_redis": round(more[0] * 1000, 3),
        # On a core for each relay, with as many devices, if the calls are spread over the nodes as their loads are.
        "invitations_per_second_by_computation": round((len(relays) - sum(rested[1:])) / sum(more[1:]), 1),
    }


def _settings(database: str, number: int, folder: Path, redis: str) -> dict[str, str]:
    return {
        "RELAY_NODE": f"node-{number}",
        "RELAY_HOST": "127.0.0.1",
        "RELAY_PORT": str(free_port()),
        "RELAY_MEDIA_HOST": "127.0.0.1",
        "RELAY_MEDIA_PORT": "0",
        "RELAY_TURN_PORT": str(_free_udp_port()),
        "RELAY_TURN_SECRET": SECRET,
        "RELAY_WORKERS": "0",
        "RELAY_LOG_LEVEL": "WARNING",
        "RELAY_JWT_SECRET": SECRET,
        "RELAY_DATABASE_URL": database,
        "RELAY_REDIS_URL": redis,
        "RELAY_JOURNAL": str(folder / f"{number}-{bool(redis)}.journal"),
        **NO_LIMITS,
    }


def _free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _program(name: str) -> str:
    found = find(name)
    if found is None:
        raise SystemExit(f"{name} is not installed")
    return found


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-cluster-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL gives root up, and has to enter it
        yield folder


async def _all(devices: int, rate: float, seconds: float) -> list[dict[str, Any]]:
    figures = []
    for layout in LAYOUTS:
        with _folder() as folder:
            figures.append({"devices": devices} | await measure(layout, devices, rate, seconds, folder))
        print(json.dumps(figures[-1]), flush=True)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-cluster", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--devices", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=50.0, help="invitations per second")
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    pin_generator()
    figures = asyncio.run(_all(options.devices, options.rate, options.seconds))
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
    (RESULTS / f"{stamp}-cluster.json").write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
