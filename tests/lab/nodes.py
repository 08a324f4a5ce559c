"""Three nodes of a cluster, each a machine with an address of its own; Redis and PostgreSQL on another one; and their clients.

Clients reach the nodes by an address that no machine has: a balancer of packets leads each connection to a node, and says nothing
itself when that is gone. Media goes to the address of the node that owns the call.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from redis.asyncio import Redis
from sqlalchemy import make_url

from relay.client import connect
from relay.cluster.redis.keys import RedisKeys
from relay.ids import new_id
from tests.cluster.integration.people import Listener, came_back, judge
from tests.kit.databases import PORT as POSTGRESQL
from tests.kit.databases import running_postgresql
from tests.kit.process import START
from tests.kit.redis_server import RedisServer, redis_server
from tests.kit.served_cluster import FAULTS, NAMES, SECRET, UNLIMITED, finished_row, metrics_at, rows_of, settled
from tests.kit.wait import eventually
from tests.lab.gateways import Access
from tests.lab.loops import MachineLoop
from tests.lab.network import SERVER, Host, Internet, Site
from tests.lab.relay import LOG, PORT, process_on

SHARED: Final = "203.0.113.250"
"""The address of all nodes."""

SERVERS: Final = "203.0.113.0/24"
"""The addresses of the nodes and the engines."""


@dataclass(frozen=True)
class LabNode:
    name: str
    host: Host
    folder: Path

    @property
    def url(self) -> str:
        return f"http://{self.host.address}:{PORT}"

    def log(self) -> str:
        return (self.folder / LOG).read_text()


@dataclass(frozen=True)
class Resident(Listener):
    """A device of a profile, as a program that runs on a site's client."""

    loop: MachineLoop
    site: "LabSite"


@dataclass(frozen=True)
class LabSite:
    site: Site
    loop: MachineLoop
    """On its client."""


@dataclass
class LabCluster:
    """Make it with `running`.

    Attributes:
        nodes: each in a region of its own.
    """

    internet: Internet
    nodes: list[LabNode]
    database_url: str
    redis: RedisServer
    keys: RedisKeys
    operator: MachineLoop
    """On the machine of the engines."""
    stack: contextlib.ExitStack
    sites: list[LabSite] = field(default_factory=list)
    homes: dict[str, LabNode] = field(default_factory=dict)
    """Where the balancer leads the connections of a site, by its public address."""

    def __post_init__(self) -> None:
        self.a, self.b, self.c = self.nodes

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, folder: Path) -> AsyncIterator[Self]:
        """Start it all. At the end no node has logged an error."""
        with contextlib.ExitStack() as stack:
            internet = stack.enter_context(Internet.built())
            with internet.server.entered():  # a process begins in the namespace of the thread that starts it
                postgresql = stack.enter_context(running_postgresql(open_to=SERVERS))
                redis = stack.enter_context(redis_server("--bind", "0.0.0.0", password=SECRET))
            nodes = [LabNode(name, internet.host(), folder / name) for name in NAMES]
            operator = stack.enter_context(MachineLoop.on(internet.server))
            async with postgresql.copy() as database_url, contextlib.AsyncExitStack() as processes:
                keys = RedisKeys(new_id())
                settings = {
                    "port": str(PORT),
                    "database_url": f"postgresql+asyncpg://postgres@{SERVER}:{POSTGRESQL}/{make_url(database_url).database}",
                    "redis_url": f"redis://:{SECRET}@{SERVER}:{redis.port}",
                    "cluster_namespace": keys.namespace,
                    "jwt_secret": SECRET,
                    "turn_secret": SECRET,
                    "workers": "0",
                    **UNLIMITED,
                }
                await asyncio.gather(*(processes.enter_async_context(_served(node, settings)) for node in nodes))
                cluster = cls(internet, nodes, database_url, redis, keys, operator, stack)
                await cluster.whole()
                yield cluster
            faults = {node.name: node.log() for node in nodes if FAULTS.search(node.log())}
            assert not faults, f"nodes have logged errors: {faults}"

    async def whole(self) -> None:
        """Wait until the nodes know each other, and take calls."""
        for node in self.nodes:
            await self.figure(node, "relay_cluster_lease_held", 1)
            await self.figure(node, "relay_cluster_nodes", len(self.nodes))
        await eventually(lambda: self.operator.run(self._settled()), "claims are given", within=START)

    async def figure(self, node: LabNode, name: str, value: float, within: float = START) -> None:
        """Wait until a figure of a node has that value, as an operator sees it."""

        async def is_it() -> bool:
            return (await self.operator.run(metrics_at(node.url)))[name] == value

        await eventually(is_it, f"{name} of node {node.name} is {value:g}", within=within, every=0.1)

    def site(self, number: int, access: Access) -> LabSite:
        """That of the number, which has the access from the first time on that it is asked for."""
        while len(self.sites) <= number:
            site = self.internet.site(access)
            self.sites.append(LabSite(site, self.stack.enter_context(MachineLoop.on(site.client))))
        return self.sites[number]

    def lead(self, site: LabSite, node: LabNode) -> None:
        """New connections of a site come to that node."""
        self.homes[site.site.public_address] = node
        self.internet.balance(SHARED, PORT, {client: home.host.address for client, home in self.homes.items()})

    async def owner(self, call_id: str) -> LabNode:
        """The node that has a call, or had it last."""
        [row] = [one for one in await self.rows() if one["call_id"] == call_id]
        return next(node for node in self.nodes if node.name == row["node"])

    async def rows(self) -> list[dict[str, Any]]:
        return await rows_of(self.database_url)

    async def finished(self, call_id: str) -> dict[str, Any]:
        """The row of a call, once it is over."""
        return await finished_row(self.database_url, call_id)

    async def _settled(self) -> bool:
        async with Redis(host=SERVER, port=self.redis.port, password=SECRET) as redis:
            return await settled(redis, self.keys)


class Residents:
    """All of a test, and the watcher that judges their transcripts at the end."""

    def __init__(self, cluster: LabCluster, stack: contextlib.AsyncExitStack) -> None:
        self._cluster = cluster
        self._stack = stack
        self._all: list[Resident] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, cluster: LabCluster) -> AsyncIterator[Self]:
        async with contextlib.AsyncExitStack() as stack:
            residents = cls(cluster, stack)
            yield residents
        await judge(residents._all, cluster.rows)

    async def join(self, key: str, site: LabSite, node: LabNode) -> Resident:
        """Connect a device of the site, which comes to that node."""
        self._cluster.lead(site, node)
        heard: list[Mapping[str, Any]] = []
        own = contextlib.AsyncExitStack()
        connecting = own.enter_async_context(connect(f"http://{SHARED}:{PORT}", key, on_message=heard.append))
        client = await site.loop.run(connecting)
        self._stack.push_async_callback(site.loop.run, own.aclose())
        self._all.append(Resident(client, heard, site.loop, site))
        return self._all[-1]

    async def move(self, resident: Resident, node: LabNode) -> None:
        """Have a device come back to another node."""
        welcomes = resident.types().count("welcome")
        self._cluster.lead(resident.site, node)
        await resident.loop.run(resident.client.lose_connection())
        await came_back(resident, welcomes)


@contextlib.asynccontextmanager
async def _served(node: LabNode, settings: Mapping[str, str]) -> AsyncIterator[None]:
    node.folder.mkdir()
    own = {"node": node.name, "region": node.name, "journal": str(node.folder / "calls.journal")}
    async with process_on(node.host.machine, node.folder, **settings, **own):
        yield
