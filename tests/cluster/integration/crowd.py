"""Calls by the hundred and devices by the thousand, in processes of their own: a test's own one would be late all the time."""

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, Literal

import asyncpg
import msgspec
from sqlalchemy import make_url

from tests.kit.children import child
from tests.kit.served_cluster import SECRET, ServedCluster

FIRST: Final = 10_000
"""The number of the first profile and of the first conversation."""

CALLS_OF_ONE: Final = 70
"""Calls of one process: it has a part of a core, and each handshake keeps all others waiting."""

MAX_LINE: Final = 16 << 20
"""Bytes of an answer."""

Command = Literal["connect", "watch", "report", "hang_up"]


class CrowdPlan(msgspec.Struct, frozen=True):
    """The people of one process."""

    nodes: Sequence[str]
    """URLs."""
    secret: str
    """Of their tokens."""
    calls: Sequence[int]
    """Conversations, each of a student and a tutor of its number."""
    idle: Sequence[int]
    """Students in no call."""
    rate: float
    """Packets a second of each party."""


class Asked(msgspec.Struct, frozen=True):
    """A command."""

    do: Command


class PartyReport(msgspec.Struct, frozen=True):
    """How a party of a call fared since `watch`."""

    key: str
    call_id: str
    state: str
    reason: str
    silence: float
    """Seconds, the longest."""
    missing: int
    """Packets that never came."""
    packets: int
    pause: float
    """Seconds, the longest in which it sent nothing itself."""
    moves: int
    """New transports."""
    failures: int
    """Of these, did not connect."""
    welcomes: int
    """Since it connected first."""
    states: Sequence[str]
    """Of its call, that it was ever told."""


class CrowdReport(msgspec.Struct, frozen=True):
    """How those of a process fared."""

    parties: Sequence[PartyReport]
    welcomes: Sequence[int]
    """Of each device in no call."""
    late: float
    """Seconds by which packets were sent late at the worst moment: what is below is not the relay's silence."""
    cpu: float
    """Of a core."""


class Crowd:
    """Processes of such people."""

    def __init__(self, processes: Sequence[Process]) -> None:
        self._processes = processes

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, cluster: ServedCluster, calls: int, idle: int, rate: float) -> "AsyncIterator[Crowd]":
        """So many calls and devices in no call."""
        numbers = range(FIRST, FIRST + calls + idle)
        await _populate(cluster, numbers)
        count = -(-calls // CALLS_OF_ONE)
        async with contextlib.AsyncExitStack() as stack:
            processes = []
            for at in range(count):
                command = (sys.executable, "-m", f"{__package__}.crowd_process")
                process = await stack.enter_async_context(child(*command, stdin=PIPE, stdout=PIPE, limit=MAX_LINE))
                urls = [one.url for one in cluster.nodes]
                plan = CrowdPlan(urls, SECRET, [*numbers[:calls][at::count]], [*numbers[calls:][at::count]], rate)
                await _write(process, plan)
                processes.append(process)
            crowd = cls(processes)
            await crowd._ask("connect", None)
            yield crowd

    async def watch(self) -> None:
        """Begin to count."""
        await self._ask("watch", None)

    async def report(self) -> CrowdReport:
        """What was counted, of all processes."""
        all_of_them = await self._ask("report", CrowdReport)
        return CrowdReport(
            parties=[party for one in all_of_them for party in one.parties],
            welcomes=[number for one in all_of_them for number in one.welcomes],
            late=max(one.late for one in all_of_them),
            cpu=sum(one.cpu for one in all_of_them),
        )

    async def hang_up(self) -> Sequence[str]:
        """End all calls; returns what was wrong with what devices were told."""
        return [fault for faults in await self._ask("hang_up", list[str]) for fault in faults]

    async def _ask(self, do: Command, kind: Any) -> Sequence[Any]:
        return await asyncio.gather(*(self._ask_one(one, do, kind) for one in self._processes))

    @staticmethod
    async def _ask_one(process: Process, do: Command, kind: Any) -> Any:
        await _write(process, Asked(do))
        assert process.stdout is not None
        line = await process.stdout.readline()
        assert line, "a process of the crowd has ended: see its standard error"
        return msgspec.json.decode(line, type=kind)


async def _write(process: Process, message: msgspec.Struct) -> None:
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(message) + b"\n")
    await process.stdin.drain()


async def _populate(cluster: ServedCluster, numbers: range) -> None:
    """Two profiles and their conversation for each number."""
    url = make_url(cluster.database_url)
    host, port = str(url.query["host"]), int(str(url.query["port"]))
    connection = await asyncpg.connect(host=host, port=port, user=url.username, database=url.database)
    try:
        people = [(kind, number, f"{kind} {number}") for number in numbers for kind in ("student", "tutor")]
        await connection.executemany("INSERT INTO profiles (profile_type, profile_id, name) VALUES ($1, $2, $3)", people)
        await connection.executemany("INSERT INTO conversations (id) VALUES ($1)", [(number,) for number in numbers])
        members = [(number, kind, number) for number in numbers for kind in ("student", "tutor")]
        insert = "INSERT INTO conversation_members (conversation_id, profile_type, profile_id) VALUES ($1, $2, $3)"
        await connection.executemany(insert, members)
    finally:
        await connection.close()
