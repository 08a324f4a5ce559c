"""A cluster of relays on this machine: as a context, for the command, tests and measurements."""

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from deploy.cluster.balancer import ADDRESS, balancer
from deploy.cluster.engines import postgresql, redis
from deploy.cluster.process import Program, Show, running
from deploy.cluster.programs import PACKAGES, found
from relay.push.vapid import generate

MOVES: Final = 30.0
"""Seconds that a node which stops has to give its calls to others."""

STOPS: Final = 15.0
"""Seconds that a node may take to end, after those that its calls have."""

PROBE: Final = aiohttp.ClientTimeout(total=3.0)
"""Seconds for /readyz, which answers within 2."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the cluster is to be."""

    nodes: int = 3
    port: int = 8000
    """TCP port of the balancer; the first node has the next one, and so on. 0: any free ports."""
    drain_seconds: float = 3.0
    """Seconds that the calls of a node have when it is ended in order."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings of all nodes, such as `{"RELAY_LOG_LEVEL": "DEBUG"}`."""


@dataclass(slots=True)
class Node:
    """One relay of the cluster."""

    name: str
    port: int
    environment: Mapping[str, str] = field(repr=False)
    program: Program | None = None
    """None while it does not run."""
    _running: AsyncExitStack = field(default_factory=AsyncExitStack, repr=False)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    async def start(self, show: Show) -> None:
        """Start it, and wait until it is ready.

        Raises:
            NotStarted: it is not.
        """
        command = [sys.executable, "-m", "relay", "serve"]
        # SIGINT ends it at once. Its log is on its standard error; the other one only says how to try it alone.
        self.program = program = await self._running.enter_async_context(
            running(self.name, command, show, ends_by=signal.SIGINT, within=STOPS, environment=self.environment, only_errors=True)
        )
        async with aiohttp.ClientSession(timeout=PROBE) as http:

            async def ready() -> bool:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with http.get(f"http://127.0.0.1:{self.port}/readyz") as response:
                        return response.status == 200
                return False

            await program.ready(ready)

    async def drain(self, within: float) -> None:
        """SIGTERM: it takes no new calls, and ends with its last one, or after RELAY_DRAIN_SECONDS."""
        if self.program is not None:
            with contextlib.suppress(TimeoutError):
                await self.program.stop(signal.SIGTERM, within)
        await self.close()

    async def close(self) -> None:
        """End it at once, if it runs. It may be started again."""
        await self._running.aclose()
        self.program = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that runs."""

    url: str
    """Of the balancer: `http://localhost:8000`."""
    nodes: tuple[Node, ...]
    database_url: str
    redis_url: str
    service_token: str
    """Opens /api/admin at every node."""
    folder: Path
    """Gone when the cluster ends."""
    plan: Plan
    show: Show

    async def drain(self) -> None:
        """End the nodes in order, one after the other: the clients of each move to those that are left."""
        for node in self.nodes:
            await node.drain(self.plan.drain_seconds + MOVES + STOPS)


@contextlib.asynccontextmanager
async def running_cluster(plan: Plan, show: Show) -> AsyncIterator[Cluster]:
    """Run a cluster with the people of the development mode until the context ends; nothing of it is left then.

    Raises:
        ConfigurationError: a program is missing.
        NotStarted: one does not start; its last lines say why.
    """
    programs = found(PACKAGES)
    # Not below a folder of the user's: PostgreSQL, if it gives up root, has to get there, and its socket's path has to be short.
    folder = Path(tempfile.mkdtemp(prefix="relay-cluster-"))
    try:
        own = _folders(folder)
        async with AsyncExitStack() as stack:
            ports = _ports(plan)
            database_url = await stack.enter_async_context(postgresql(own["postgresql"], programs, show))
            redis_url = await stack.enter_async_context(redis(own["redis"], programs, show, _free_port()))
            shared = {**_shared(plan), "RELAY_DATABASE_URL": database_url, "RELAY_REDIS_URL": redis_url}
            shared["RELAY_RECORDING_DIRECTORY"] = str(own["recordings"])
            nodes = tuple(_node(f"relay-{at}", port, shared, own["journals"]) for at, port in enumerate(ports[1:], 1))
            for node in nodes:
                stack.push_async_callback(node.close)
            # The first one makes the schema and the people.
            await nodes[0].start(show)
            await asyncio.gather(*(node.start(show) for node in nodes[1:]))
            url = await stack.enter_async_context(
                balancer(own["haproxy"], programs, show, ports[0], {node.name: node.port for node in nodes})
            )
            yield Cluster(url, nodes, database_url, redis_url, shared["RELAY_SERVICE_TOKEN"], folder, plan, show)
    finally:
        shutil.rmtree(folder)


def _folders(folder: Path) -> Mapping[str, Path]:
    """One for each part below `folder`, which PostgreSQL's user may pass through, too."""
    folder.chmod(0o711)
    own = {name: folder / name for name in ("postgresql", "redis", "haproxy", "recordings", "journals")}
    for one in own.values():
        one.mkdir(mode=0o700)
    return own


def _shared(plan: Plan) -> dict[str, str]:
    """The environment of all nodes. Its secrets are made up, and the same at each: a node has to take what another one gave."""
    private, _ = generate()
    made = {name: secrets.token_hex(32) for name in ("RELAY_JWT_SECRET", "RELAY_SERVICE_TOKEN", "RELAY_TURN_SECRET")}
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("RELAY_")},
        **made,
        "RELAY_VAPID_PRIVATE_KEY": private,
        "RELAY_VAPID_SUBJECT": "mailto:operator@relay.example",
        "RELAY_WORKERS": "1",
        "RELAY_DRAIN_SECONDS": str(plan.drain_seconds),
        **plan.settings,
        "RELAY_DEV": "true",
        "RELAY_TRUSTED_PROXIES": ADDRESS,
        "RELAY_MEDIA_PORT": "0",
        "RELAY_TURN_PORT": "0",
    }


def _node(name: str, port: int, shared: Mapping[str, str], journals: Path) -> Node:
    own = {"RELAY_NODE": name, "RELAY_PORT": str(port), "RELAY_JOURNAL": str(journals / f"{name}.journal")}
    return Node(name, port, {**shared, **own, "RELAY_NODE_URL": f"http://localhost:{port}", "RELAY_TURN_HOST": "localhost"})


def _ports(plan: Plan) -> list[int]:
    """Of the balancer, then of each node."""
    if plan.port:
        return list(range(plan.port, plan.port + plan.nodes + 1))
    with contextlib.ExitStack() as stack:
        listening = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(plan.nodes + 1)]
        return [one.getsockname()[1] for one in listening]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
