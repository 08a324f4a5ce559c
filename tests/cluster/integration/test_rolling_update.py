"""Every node of a cluster is stopped and started again, one after the other, while people talk.

A few calls by default, whose parties send as a browser does. As many as an operator may have on demand, with five packets a
second of each party, and ten devices in no call beside each call:

    RELAY_ROLLING=200 make test TESTS=tests/cluster/integration/test_rolling_update.py
"""

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import asyncpg
import jwt
import pytest
import pytest_asyncio
from aiortc import MediaStreamTrack
from av import AudioFrame
from sqlalchemy import make_url

from relay.client import ClientCall
from tests.cluster.integration.people import People, Person, taken
from tests.kit.cuttable import HERE
from tests.kit.databases import PostgresServer
from tests.kit.peer import SAMPLE_RATE, ToneTrack
from tests.kit.redis_server import RedisServer
from tests.kit.served_cluster import NAMES, SECRET, ServedCluster, ServedNode
from tests.kit.wait import eventually

ON_DEMAND: Final = int(os.environ.get("RELAY_ROLLING", "0"))

CALLS: Final = ON_DEMAND or 3

IDLE: Final = 10 * CALLS
"""Devices in no call."""

FIRST: Final = 10_000
"""The number of the first profile and of the first conversation."""

STOPS: Final = 90.0
"""Seconds: calls move over 10, what they had is kept for 15, and a busy machine takes its time."""

CONNECTS: Final = 30.0 + CALLS

PERIOD: Final = 0.02
"""Seconds between two looks at what has come."""


@pytest_asyncio.fixture(loop_scope="module")
async def cluster(tmp_path: Path, postgresql: PostgresServer, shared_redis: RedisServer) -> AsyncIterator[ServedCluster]:
    """Its nodes reach Redis straight: the usual way leads through this process, which hundreds of parties keep busy."""
    straight = {name: {"redis_url": f"redis://{HERE}:{shared_redis.port}"} for name in NAMES}
    async with ServedCluster.running(tmp_path, postgresql, shared_redis, straight) as running:
        yield running


class SparseTrack(ToneTrack):
    """Five frames a second: the parties of two hundred calls are in one process."""

    async def recv(self) -> AudioFrame:
        await asyncio.sleep(0.2)
        # The next frame is due now: without that, each would come 20 ms later after the one before than that did.
        self._start = asyncio.get_running_loop().time() - self._sent / SAMPLE_RATE
        return await super().recv()


def track() -> MediaStreamTrack:
    return SparseTrack(440) if ON_DEMAND else ToneTrack(440)


@contextlib.asynccontextmanager
async def silences(calls: Sequence[ClientCall]) -> AsyncIterator[list[float]]:
    """Meanwhile, for each of these parties: the longest time in which nothing came, in seconds; and at the end by how much this
    process was late at its worst moment."""
    longest = [0.0] * (len(calls) + 1)
    loop = asyncio.get_running_loop()

    async def watch() -> None:
        seen = [(one.packets, loop.time()) for one in calls]
        while True:
            due = loop.time() + PERIOD
            await asyncio.sleep(PERIOD)
            now = loop.time()
            longest[-1] = max(longest[-1], now - due)
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


async def populate(cluster: ServedCluster) -> None:
    """Two profiles and their conversation for each call."""
    url = make_url(cluster.database_url)
    host, port = str(url.query["host"]), int(str(url.query["port"]))
    connection = await asyncpg.connect(host=host, port=port, user=url.username, database=url.database)
    pairs = range(FIRST, FIRST + CALLS)
    try:
        people = [(kind, number, f"{kind} {number}") for number in pairs for kind in ("student", "tutor")]
        await connection.executemany("INSERT INTO profiles (profile_type, profile_id, name) VALUES ($1, $2, $3)", people)
        await connection.executemany("INSERT INTO conversations (id) VALUES ($1)", [(number,) for number in pairs])
        members = [(number, kind, number) for number in pairs for kind in ("student", "tutor")]
        insert = "INSERT INTO conversation_members (conversation_id, profile_type, profile_id) VALUES ($1, $2, $3)"
        await connection.executemany(insert, members)
    finally:
        await connection.close()


async def join(people: People, key: str, node: ServedNode) -> Person:
    token = jwt.encode({"sub": key, "exp": datetime.now(UTC) + timedelta(hours=1)}, SECRET, algorithm="HS256")
    return await people.join(key, node, token=token, decode=False)


async def pair(people: People, number: int) -> tuple[tuple[Person, Person], tuple[ClientCall, ClientCall]]:
    """Two more people who talk, each at another node."""
    nodes = people.cluster.nodes
    caller = await join(people, f"student_{FIRST + number}", nodes[number % 3])
    callee = await join(people, f"tutor_{FIRST + number}", nodes[(number + 1) % 3])
    call = await caller.client.call(callee.client.profile, "voice", FIRST + number, media=[track()])
    other = await taken(callee, [track()])
    async with asyncio.timeout(CONNECTS):
        await call.connected()
    return (caller, callee), (call, other)


async def update(cluster: ServedCluster, node: ServedNode) -> None:
    """The node's service manager stops it, and starts it again."""
    node.drain()
    await asyncio.wait_for(node.process.wait(), STOPS)
    assert node.process.returncode == 0
    await cluster.whole()


async def goes_on(calls: Sequence[ClientCall]) -> None:
    """Wait until each party has got something more."""
    before = [one.packets for one in calls]
    await eventually(lambda: all(one.packets > was for one, was in zip(calls, before, strict=True)), "media flows")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.timeout(180 + 10 * CALLS)
async def test_a_rolling_update_ends_no_call_and_no_party_hears_silence(
    cluster: ServedCluster, people: People, record_property: Callable[[str, object], None]
) -> None:
    await populate(cluster)
    talking = [await pair(people, number) for number in range(CALLS)]
    calls = [call for _, both in talking for call in both]
    parties = [person for both, _ in talking for person in both]
    idle = [await join(people, f"student_{FIRST + number % CALLS}", cluster.nodes[number % 3]) for number in range(IDLE)]
    await goes_on(calls)
    before = {row["call_id"]: row["owner_epoch"] for row in await cluster.rows()}
    async with silences(calls) as waits:
        for node in cluster.nodes:
            await update(cluster, node)
        await goes_on(calls)
    *longest, late = waits
    record_property(f"longest silence of a party of {CALLS} calls in a rolling update [s]", round(max(longest), 2))
    record_property(f"of these {2 * CALLS} parties, with a silence above 1 s", sum(one > 1 for one in longest))
    record_property("the parties' process was late by [s]", round(late, 2))
    states = Counter(call.state for call in calls)
    assert [*states] == ["connected"], states
    await eventually(lambda: all(one.types().count("welcome") > 1 for one in [*parties, *idle]), "all are back at a node")
    for person in parties:
        assert "call_ended" not in person.types()
        assert "reconnecting" not in [one["state"] for one in person.heard if one["type"] == "call_state"]
    after = {row["call_id"]: row["owner_epoch"] for row in await cluster.rows() if row["status"] == "answered"}
    assert after.keys() == before.keys()
    assert all(after[call_id] > epoch for call_id, epoch in before.items())
    for (_, _), (call, other) in talking:
        await call.hang_up()
        assert await other.ended() == "hangup"
