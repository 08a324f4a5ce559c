"""What the commands load: each no more than it needs, as every import is time before it does anything."""

import asyncio
import sys
from asyncio.subprocess import PIPE

import pytest

from tests.kit.children import child
from tests.kit.wait import PATIENCE

pytestmark = pytest.mark.servers

SERVER = {
    *("relay.app", "relay.signaling", "relay.http", "relay.media", "relay.workers"),
    *("alembic", "prometheus_client", "pywebpush"),
}
FIGURES = {"numpy", "scipy", "matplotlib", "jinja2"}

NEEDLESS = {
    "": {"sqlalchemy", "aiohttp", "aiortc", "av", *SERVER, *FIGURES},
    "check": {"sqlalchemy", *SERVER, *FIGURES},
    "call": {"sqlalchemy", *SERVER, *FIGURES},
    "verify": {"aiohttp", "aiortc", "av", *SERVER, *FIGURES},
    "check-config": FIGURES,
    "serve": {"alembic", "pywebpush", *FIGURES},  # only a schema that is behind, and a push message
}

PROGRAM = """
import contextlib, os, sys
from relay.__main__ import main
for name in sys.argv[1:]:
    if os.fork() == 0:
        with contextlib.suppress(SystemExit):
            main([*name.split(), "--help"])
        print("LOADED", name, *sys.modules, flush=True)
        os._exit(0)
    os.wait()
"""


async def test_a_command_loads_nothing_that_it_does_not_need() -> None:
    async with child(sys.executable, "-c", PROGRAM, *NEEDLESS, stdout=PIPE) as process, asyncio.timeout(PATIENCE):
        output, _ = await process.communicate()
    lines = [line.split(" ") for line in output.decode().splitlines() if line.startswith("LOADED")]
    loaded = {name: set(modules) for _, name, *modules in lines}
    assert {name: NEEDLESS[name] & modules for name, modules in loaded.items()} == {name: set() for name in NEEDLESS}
