"""`make cluster`: several nodes with Redis and PostgreSQL on this machine, until Ctrl-C."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from typing import Final

from deploy.cluster.local import Cluster, Plan, running_cluster
from deploy.cluster.process import Program
from relay.errors import RelayError

_HOW_TO_TRY: Final = """
{count} nodes behind {url}
{nodes}

Open {url} in two browser windows: each WebSocket goes to the next node.
  1. In one, sign in as Maya Lindgren (student 456); in the other, as Daniel Okafor (tutor 789).
  2. Press the telephone or the camera beside their conversation; accept in the other window.
The nodes, as Redis has them:
  curl --header @{header} {url}/api/admin/nodes
A node that dies: kill -9 its process. One that leaves in order: kill its process.
Ctrl-C ends the nodes in order, one after the other; a second one ends all at once. Nothing is kept.
"""

MAX_NODES: Final = 16


def plan_of(arguments: list[str], environment: Mapping[str, str]) -> tuple[Plan, bool]:
    """What the command line and the environment ask for, and whether only lines of the nodes themselves are shown."""
    parser = argparse.ArgumentParser(prog="make cluster", description=__doc__)
    parser.add_argument("--nodes", type=int, default=3, choices=range(1, MAX_NODES + 1), metavar="NUMBER")
    parser.add_argument("--port", type=int, default=int(environment.get("RELAY_PORT") or 8000), help="0: any free ports")
    parser.add_argument("--drain", type=float, default=3.0, metavar="SECONDS", help="that calls have at the end of a node")
    parser.add_argument("--verbose", action="store_true", help="show what Redis, PostgreSQL and haproxy write, too")
    given = parser.parse_args(arguments)
    settings = {name: value for name, value in environment.items() if name.startswith("RELAY_") and name != "RELAY_PORT"}
    return Plan(given.nodes, given.port, given.drain, settings), given.verbose


async def serve(plan: Plan, *, verbose: bool) -> None:
    """Run it until a signal."""
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()
    assert main is not None
    started = False

    def told(number: signal.Signals) -> None:
        signals.put_nowait(number)
        if not started:
            main.cancel()  # nothing has begun that would have to end in order

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, told, number)

    def show(name: str, line: str) -> None:
        if verbose or name.startswith("relay-"):
            print(f"{name} | {line}", flush=True)

    print("Starting PostgreSQL, Redis, the nodes, and haproxy before them…", flush=True)
    try:
        async with running_cluster(plan, show) as cluster:
            started = True
            announce(cluster)
            watching = [asyncio.create_task(_watch(node.program)) for node in cluster.nodes if node.program is not None]
            try:
                await signals.get()
                print("Ending the nodes in order; Ctrl-C again ends all at once", flush=True)
                await _either(asyncio.create_task(cluster.drain()), asyncio.create_task(_received(signals)))
            finally:
                for one in watching:
                    one.cancel()
    except asyncio.CancelledError:
        if not signals.empty():
            return
        raise
    print("All have ended", flush=True)


def announce(cluster: Cluster) -> None:
    """Print how to use it."""
    header = cluster.folder / "authorization"
    header.touch(mode=0o600)
    header.write_text(f"Authorization: Bearer {cluster.service_token}\n")
    pids = [(node, "" if node.program is None else node.program.pid) for node in cluster.nodes]
    nodes = "\n".join(f"  {node.name}  {node.url}  process {pid}" for node, pid in pids)
    print(_HOW_TO_TRY.format(count=len(cluster.nodes), url=cluster.url, nodes=nodes, header=header), flush=True)


async def _watch(program: Program) -> None:
    await program.ended.wait()
    print(f"{program.name} has ended with status {program.status}", flush=True)


async def _received(signals: "asyncio.Queue[signal.Signals]") -> None:
    await signals.get()


async def _either(*tasks: asyncio.Task[None]) -> None:
    """Wait for the first of them, and cancel the others."""
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for one in tasks:
        one.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def main() -> int:
    plan, verbose = plan_of(sys.argv[1:], os.environ)
    try:
        asyncio.run(serve(plan, verbose=verbose))
    except RelayError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
