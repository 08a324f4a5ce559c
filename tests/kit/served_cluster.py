"""Nodes of a cluster as processes, each as an operator runs it, on a real Redis and a real PostgreSQL.

Each node reaches Redis by a path of its own, which a test cuts or freezes: a partition. Each client has a path to
the nodes of its own too, as by a load balancer (`ServedCluster.near`). Media goes straight to the node that owns the call.
"""

import asyncio
import contextlib
import re
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import asyncpg
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis
from sqlalchemy import make_url

from relay.cluster.redis.keys import RedisKeys
from relay.cluster.redis.timing import ClusterTiming
from relay.ids import new_id
from tests.kit.children import ENDS, kill_group
from tests.kit.cuttable import HERE, CuttablePath
from tests.kit.databases import PostgresServer
from tests.kit.process import LOCAL, PATIENCE, START, start
from tests.kit.redis_server import RedisServer
from tests.kit.standby import ReplicatedPostgres
from tests.kit.wait import eventually

NAMES: Final = ("a", "b", "c")

SECRET: Final = "a secret of the tests' clusters, which is long enough"

UNLIMITED: Final = dict.fromkeys(
    ("limit_invitations", "limit_invitations_per_address", "limit_connections", "limit_messages", "limit_requests"), "off"
)
"""All clients of a test have one address."""

SETTLES: Final = ClusterTiming().settle * 1000
"""Milliseconds."""

LAST: Final = 20
"""Lines of a log, to see why a test has failed."""

FAULTS: Final = re.compile(r"Traceback|CRITICAL|ERROR (?!relay\.cluster\.redis\.|relay\.db\.outage)")
"""In a log: all errors but those of outages, which a test has made."""


@dataclass
class ServedNode:
    """One of them. It can die, stop, and be started again."""

    name: str
    folder: Path
    settings: Mapping[str, str]
    redis: CuttablePath
    """Its way to Redis."""
    port: int = 0
    log: str = ""
    """What it wrote to standard error, in all its lives."""
    _process: Process | None = field(default=None, repr=False)
    _reader: "asyncio.Task[None] | None" = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://{HERE}:{self.port}"

    @property
    def process(self) -> Process:
        assert self._process is not None, "it has been started"
        return self._process

    async def start(self) -> None:
        """Start it, and wait until it is ready for clients."""
        self._process = await start(self.folder, "serve", **{**LOCAL, **self.settings, "port": str(self.port)})
        self._reader = asyncio.create_task(self._read_log(self._process))
        assert self._process.stdout is not None
        greeting = ""
        while not (url := re.search(r"https?://[^:]+:(\d+)", greeting)):
            line = await asyncio.wait_for(self._process.stdout.readline(), START)
            if not line:
                await self._reader
                raise AssertionError(f"node {self.name} did not start: {self.log}")
            greeting += line.decode()
        self.port = int(url[1])

    async def kill(self) -> None:
        """As the kernel or the power would."""
        kill_group(self.process.pid)
        await self._ended()

    def stop(self) -> None:
        """It is there, and does nothing, as a machine that hangs."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def drain(self) -> None:
        """As a service manager does that wants it to end."""
        self.process.send_signal(signal.SIGTERM)

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def end(self) -> None:
        """End it in order, or by force."""
        if self.runs:
            self.go_on()
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), PATIENCE)
            kill_group(self.process.pid)
            await self._ended()

    async def _ended(self) -> None:
        async with asyncio.timeout(ENDS):
            await self.process.wait()
            assert self._reader is not None
            await self._reader

    async def _read_log(self, process: Process) -> None:
        assert process.stderr is not None
        while line := await process.stderr.readline():
            self.log += line.decode(errors="replace")


class ServedCluster:
    """Three nodes, of which any may have been killed by the test.

    Attributes:
        a, b, c: the nodes.
        database_url: of the database that they share.
    """

    def __init__(self, nodes: list[ServedNode], database_url: str, redis: RedisServer, keys: RedisKeys) -> None:
        self.nodes = nodes
        self.a, self.b, self.c = nodes
        self.database_url = database_url
        self._redis = redis
        self._keys = keys

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls,
        folder: Path,
        postgresql: PostgresServer | ReplicatedPostgres,
        redis: RedisServer,
        each: Mapping[str, Mapping[str, str]] | None = None,
        /,
        **settings: str,
    ) -> AsyncIterator[Self]:
        """Start them, with a database and a namespace of their own. At the end no node has logged an error.

        Args:
            each: settings of a node, by its name.
            settings: of all nodes, besides.
        """
        async with postgresql.copy() as database_url, contextlib.AsyncExitStack() as stack:
            namespace = new_id()
            common = {
                "database_url": database_url,
                "cluster_namespace": namespace,
                "jwt_secret": SECRET,
                "turn_secret": SECRET,
                "service_token": SECRET,
                "workers": "0",
                **UNLIMITED,
                **settings,
            }
            nodes: list[ServedNode] = []
            for name in NAMES:
                path = await stack.enter_async_context(CuttablePath.to(redis.port))
                own = {"node": name, "journal": str(folder / f"{name}.journal"), "redis_url": f"redis://{HERE}:{path.port}"}
                nodes.append(ServedNode(name, folder, {**common, **own, **(each or {}).get(name, {})}, path))
                stack.push_async_callback(nodes[-1].end)
            await asyncio.gather(*(node.start() for node in nodes))
            cluster = cls(nodes, database_url, redis, RedisKeys(namespace))
            await cluster.whole()
            yield cluster
        faults = {node.name: node.log for node in nodes if FAULTS.search(node.log)}
        assert not faults, f"nodes have logged errors: {faults}"

    async def whole(self) -> None:
        """Wait until the nodes that run know each other, and take calls; those that do not are started again."""
        for node in self.nodes:
            if not node.runs:
                await node.start()
        for node in self.nodes:
            await eventually(lambda node=node: self._knows_all(node), f"node {node.name} knows the others", within=START)  # type: ignore[misc]

        await eventually(self._settled, "claims are given", within=START)

    async def mended(self) -> None:
        """`whole`, whatever a test has left; and no message is missing of which a node has not noticed yet.

        A node that hung notices with the next message of another, and has devices begin anew that it may have concerned: those of
        the next test.
        """
        for node in self.nodes:
            node.redis.thaw()
            if node.runs:
                node.go_on()
        await self.whole()
        for node in self.nodes:
            await eventually(lambda node=node: self._all_answer(node), f"all answer node {node.name}", within=START)  # type: ignore[misc]

    def logs(self) -> str:
        """The last lines of each node."""
        return "\n".join(line for node in self.nodes for line in (f"-- {node.name}", *node.log.splitlines()[-LAST:]))

    async def has_sheet(self, call_id: str) -> bool:
        """Whether the owner of a call has kept what a successor needs."""
        async with Redis(port=self._redis.port) as redis:
            return bool(await redis.exists(self._keys.sheet(call_id)))

    async def _settled(self) -> bool:
        """Nodes give Redis a while after it was empty, in case that others have calls which it does not know of."""
        async with Redis(port=self._redis.port) as redis:
            return await settled(redis, self._keys)

    async def _knows_all(self, node: ServedNode) -> bool:
        levels = await metrics(node)
        return levels["relay_cluster_lease_held"] == 1 and levels["relay_cluster_nodes"] == len(self.nodes)

    async def _all_answer(self, node: ServedNode) -> bool:
        headers = {"Authorization": f"Bearer {node.settings['service_token']}"}
        async with (
            aiohttp.ClientSession(node.url, headers=headers, raise_for_status=True) as http,
            http.get("/api/admin/calls") as response,
        ):
            return not (await response.json())["unanswered"]

    @contextlib.asynccontextmanager
    async def near(self, *nodes: ServedNode) -> AsyncIterator[CuttablePath]:
        """A client's way to the first of these nodes that takes connections; to all in their order if none is given."""
        first, *others = nodes or self.nodes
        async with CuttablePath.to(first.port) as path:
            path.lead_to(first.port, *(one.port for one in (others or self.nodes) if one is not first))
            yield path

    @contextlib.asynccontextmanager
    async def twin(self, node: ServedNode) -> AsyncIterator[ServedNode]:
        """Another process of the same name, as in a rolling update that starts it before the old one ends."""
        settings = {**node.settings, "journal": f"{node.folder / 'twin.journal'}"}
        twin = ServedNode(node.name, node.folder, settings, node.redis)
        try:
            await twin.start()
            yield twin
        finally:
            await twin.end()
        assert not FAULTS.search(twin.log), f"it has logged errors: {twin.log}"

    async def rows(self) -> list[dict[str, Any]]:
        """Of `call_logs`, oldest first, read through a connection of our own."""
        return await rows_of(self.database_url)

    async def row(self, call_id: str) -> dict[str, Any] | None:
        """That of one call; None: it is not written down."""
        return await row_of(self.database_url, call_id)

    async def owner(self, call_id: str) -> ServedNode:
        """The node that has a call, or had it last."""

        async def written() -> str | None:
            row = await self.row(call_id)
            return str(row["node"]) if row else None

        name = await eventually(written, f"call {call_id} is written down")
        return next(one for one in self.nodes if one.name == name)

    async def finished(self, call_id: str) -> dict[str, Any]:
        """The row of a call, once it is over."""

        return await finished_row(self.database_url, call_id)


async def rows_of(database_url: str) -> list[dict[str, Any]]:
    """Of `call_logs`, oldest first."""
    url = make_url(database_url)
    _, arguments = url.get_dialect()().create_connect_args(url)
    connection = await asyncpg.connect(target_session_attrs="primary", **arguments)
    try:
        return [dict(row) for row in await connection.fetch("SELECT * FROM call_logs ORDER BY id")]
    finally:
        await connection.close()


async def row_of(database_url: str, call_id: str) -> dict[str, Any] | None:
    """That of one call; None: it is not written down."""
    found = [one for one in await rows_of(database_url) if one["call_id"] == call_id]
    assert len(found) <= 1, f"more than one row: {found}"
    return found[0] if found else None


async def finished_row(database_url: str, call_id: str) -> dict[str, Any]:
    """That of a call, once it is over."""

    async def over() -> dict[str, Any] | None:
        row = await row_of(database_url, call_id)
        return row if row and row["status"] in {"ended", "missed"} else None

    return await eventually(over, f"the row of call {call_id} is closed")


def url_of(path: CuttablePath) -> str:
    """What a client takes that way."""
    return f"http://{HERE}:{path.port}"


async def settled(redis: "Redis", keys: RedisKeys) -> bool:
    """Whether claims are given."""
    opened, (seconds, _) = await redis.get(keys.opened), await redis.time()
    return opened is not None and seconds * 1000 - int(opened) > SETTLES


async def metrics(node: ServedNode) -> Mapping[str, float]:
    """What `/metrics` of a node says."""
    return await metrics_at(node.url)


async def metrics_at(url: str) -> Mapping[str, float]:
    """The same, of the node that is there."""
    async with aiohttp.ClientSession() as http, http.get(f"{url}/metrics") as response:
        text = await response.text()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    values: dict[str, float] = {}
    for sample in samples:
        values[sample.name] = values.get(sample.name, 0.0) + sample.value
    return values
