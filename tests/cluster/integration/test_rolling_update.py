"""Every node of a cluster is stopped and started again, one after the other, while people talk.

A call of `relay.client`, whose parties send as a browser does, and beside it calls that cost little, with ten devices in no call
for each. Few by default; as many as an operator may have on demand:

    RELAY_ROLLING=200 make test TESTS=tests/cluster/integration/test_rolling_update.py
"""

import asyncio
import contextlib
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from statistics import quantiles
from typing import Final

import pytest
import pytest_asyncio

from relay.client import ClientCall
from tests.cluster.integration.crowd import Crowd, CrowdReport
from tests.cluster.integration.people import People, talk
from tests.kit.children import cpu_seconds
from tests.kit.cuttable import HERE
from tests.kit.databases import PostgresServer
from tests.kit.redis_server import RedisServer
from tests.kit.served_cluster import NAMES, ServedCluster, ServedNode
from tests.kit.wait import eventually

ON_DEMAND: Final = int(os.environ.get("RELAY_ROLLING", "0"))

CALLS: Final = ON_DEMAND or 2
"""Of the crowd."""

IDLE: Final = 10 * CALLS
"""Its devices in no call."""

RATE: Final = 10.0
"""Packets a second of each party of the crowd. A silence is measured as that much longer than it is."""

STOPS: Final = 90.0
"""Seconds: calls move over 10, what they had is kept for 15, and a busy machine takes its time."""

LASTS: Final = 240 + CALLS
"""Seconds for all of it: three times `STOPS` is more than it takes."""

PERIOD: Final = 0.02
"""Seconds between two looks at what has come."""

LOOK: Final = 1.0
"""Seconds between two looks at what nodes do."""

NOTABLE: Final = re.compile(r"^.*(?: WARNING |could not be|is refused|drain).*$", re.MULTILINE)
"""Lines of a log that say why calls were slow to move, or did not."""

Record = Callable[[str, object], None]


@pytest_asyncio.fixture(loop_scope="module")
async def cluster(tmp_path: Path, postgresql: PostgresServer, shared_redis: RedisServer) -> AsyncIterator[ServedCluster]:
    """Its nodes reach Redis straight: the usual way leads through this process."""
    straight = {name: {"redis_url": f"redis://{HERE}:{shared_redis.port}"} for name in NAMES}
    async with ServedCluster.running(tmp_path, postgresql, shared_redis, straight) as running:
        yield running
        for node in running.nodes:
            print(f"-- {node.name}", *NOTABLE.findall(node.log), sep="\n")  # noqa: T201 - shown if the test has failed


@contextlib.asynccontextmanager
async def silences(calls: Sequence[ClientCall]) -> AsyncIterator[list[float]]:
    """Meanwhile, for each of these parties: the longest time in which nothing came, in seconds."""
    longest = [0.0] * len(calls)
    loop = asyncio.get_running_loop()

    async def watch() -> None:
        seen = [(one.packets, loop.time()) for one in calls]
        while True:
            await asyncio.sleep(PERIOD)
            now = loop.time()
            for at, call in enumerate(calls):
                packets, since = seen[at]
                longest[at] = max(longest[at], now - since)
                if call.packets != packets:
                    seen[at] = call.packets, now

    task = asyncio.create_task(watch())
    try:
        yield longest
    finally:
        task.cancel()


@contextlib.asynccontextmanager
async def cores(cluster: ServedCluster) -> AsyncIterator[dict[str, list[float]]]:
    """Meanwhile, for each node: how much of a core it took, second by second."""
    shares: dict[str, list[float]] = {one.name: [] for one in cluster.nodes}
    loop = asyncio.get_running_loop()

    async def watch() -> None:
        used: dict[int, tuple[float, float]] = {}
        while True:
            for node in cluster.nodes:
                pid, now = node.process.pid, loop.time()
                cpu = cpu_seconds(pid) if node.runs else None
                if cpu is None:
                    continue
                if pid in used:
                    before, at = used[pid]
                    shares[node.name].append((cpu - before) / (now - at))
                used[pid] = cpu, now
            await asyncio.sleep(LOOK)

    task = asyncio.create_task(watch())
    try:
        yield shares
    finally:
        task.cancel()


async def update(cluster: ServedCluster, node: ServedNode) -> float:
    """The node's service manager stops it, and starts it again. Returns how many seconds it took to stop."""
    began = asyncio.get_running_loop().time()
    node.drain()
    await asyncio.wait_for(node.process.wait(), STOPS)
    assert node.process.returncode == 0
    stopped = asyncio.get_running_loop().time()
    await cluster.whole()
    return stopped - began


async def goes_on(calls: Sequence[ClientCall]) -> None:
    """Wait until each party has got something more."""
    before = [one.packets for one in calls]
    await eventually(lambda: all(one.packets > was for one, was in zip(calls, before, strict=True)), "media flows")


def write_down(report: CrowdReport, record: Record) -> None:
    """The figures of the crowd."""
    long = sorted(one.silence for one in report.parties)
    cuts = quantiles(long, n=20, method="inclusive")
    states = Counter(one.state for one in report.parties)
    record(f"states of the parties of {CALLS} calls, beside {IDLE} devices in no call", dict(states))
    record("longest silence of a party [s]: median, p95, max", [round(one, 2) for one in (cuts[9], cuts[18], long[-1])])
    record("parties with a silence above 1 s", sum(one > 1 for one in long))
    record("their own longest pause in sending [s]", round(max(one.pause for one in report.parties), 2))
    record("their processes: late by [s], cores", [round(report.late, 2), round(report.cpu, 2)])
    packets = sum(one.packets for one in report.parties)
    record("packets that came, that did not", [packets, sum(one.missing for one in report.parties)])
    moves = Counter(one.moves for one in report.parties)
    record("new transports, of which did not connect", [dict(sorted(moves.items())), sum(one.failures for one in report.parties)])


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.timeout(LASTS + 120)
async def test_a_rolling_update_ends_no_call_and_no_party_hears_silence(
    cluster: ServedCluster, people: People, record_property: Record
) -> None:
    def record(name: str, value: object) -> None:
        record_property(name, value)
        print(f"{name}: {value}", flush=True)  # noqa: T201 - what was measured until it failed

    caller, callee = await people.join("student_456", cluster.a), await people.join("tutor_789", cluster.b)
    async with asyncio.timeout(LASTS), Crowd.of(cluster, CALLS, IDLE, RATE) as crowd:
        calls = await talk(caller, callee)
        before = {row["call_id"]: row["owner_epoch"] for row in await cluster.rows()}
        assert len(before) == CALLS + 1
        await crowd.watch()
        async with silences(calls) as waits, cores(cluster) as shares:
            stops = [await update(cluster, node) for node in cluster.nodes]
            await goes_on(calls)
        report = await crowd.report()
        write_down(report, record)
        record("longest silence of a party of relay.client [s]", round(max(waits), 2))
        record("seconds until each node had stopped", [round(one, 1) for one in stops])
        busy = {name: [round(max(of), 2), round(sum(of) / len(of), 2)] for name, of in shares.items()}
        record("cores of each node: its busiest second, all", busy)

        for call in calls:
            assert call.state == "connected"
        for person in (caller, callee):
            assert person.types().count("welcome") > 1
            assert "call_ended" not in person.types()
            assert "reconnecting" not in [one["state"] for one in person.heard if one["type"] == "call_state"]
        assert {one.state for one in report.parties} == {"connected"}
        assert "reconnecting" not in {state for one in report.parties for state in one.states}
        assert min(one.welcomes for one in report.parties) > 1, "each has been at a node that stopped"
        assert min(report.welcomes) > 1, "and so has each device in no call"
        after = {row["call_id"]: row["owner_epoch"] for row in await cluster.rows() if row["status"] == "answered"}
        assert after.keys() == before.keys()
        assert all(after[call_id] > epoch for call_id, epoch in before.items())

        assert await crowd.hang_up() == []
        await calls[0].hang_up()
        assert await calls[1].ended() == "hangup"
        await eventually(lambda: ended(cluster, CALLS + 1), "each call is written down as ended")


async def ended(cluster: ServedCluster, count: int) -> bool:
    rows = await cluster.rows()
    return Counter((row["status"], row["end_reason"]) for row in rows) == {("ended", "hangup"): count}
