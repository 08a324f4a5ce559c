"""Whether the server can take new calls."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.app import create_app
from relay.http.operations import OBSERVED
from relay.http.readiness import DEADLINE, FRESH, Readiness
from relay.serving import serve
from relay.settings.all import Settings
from tests.kit.clock import in_virtual_time
from tests.kit.databases import PostgresServer, postgresql
from tests.kit.outages import frozen
from tests.kit.server import RunningRelay, running_relay
from tests.kit.wait import eventually

__all__ = ["postgresql"]

READY = {"database": True, "media": True, "accepting": True}


async def asked(url: str) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as http, http.get(f"{url}/readyz") as response:
        assert (response.headers.get("Retry-After") == "5") is (response.status == 503)
        return response.status, await response.json()


async def becomes(url: str, status: str, **checks: bool) -> None:
    wanted = (200 if status == "ready" else 503, {"status": status, "checks": {**READY, **checks}})

    async def is_so() -> bool:
        return await asked(url) == wanted

    await eventually(is_so, f"it is {status}, {checks}")


async def test_a_server_that_can_take_calls_is_ready(relay: RunningRelay) -> None:
    assert await asked(relay.url) == (200, {"status": "ready", "checks": READY})


async def test_a_server_whose_database_hangs_is_alive_and_not_ready(postgresql: PostgresServer, tmp_path: Path) -> None:
    async with postgresql.database() as url, running_relay(tmp_path, database_url=url, media_host="127.0.0.1") as relay:
        await becomes(relay.url, "ready")
        with frozen(postgresql):
            await becomes(relay.url, "not_ready", database=False)
            async with aiohttp.ClientSession() as http, http.get(f"{relay.url}/healthz") as response:
                assert response.status == 200
        await becomes(relay.url, "ready")


@pytest.mark.settings(workers=1)
async def test_a_server_whose_workers_hang_is_not_ready(relay: RunningRelay) -> None:
    [worker] = relay.workers
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        await becomes(relay.url, "not_ready", media=False)
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    await becomes(relay.url, "ready")


async def test_a_server_that_stops_is_not_ready(tmp_path: Path) -> None:
    database = f"sqlite+aiosqlite:///{tmp_path / 'relay.db'}"
    app = create_app(
        Settings(
            dev=True, host="127.0.0.1", port=0, media_host="127.0.0.1", media_port=0, workers=0, turn=False, database_url=database
        )
    )
    async with serve(app) as port:
        await app[OBSERVED].calls.close()
        await becomes(f"http://127.0.0.1:{port}", "not_ready", accepting=False)


@in_virtual_time
async def test_a_check_that_hangs_delays_no_probe_and_probes_share_a_check() -> None:
    looks = 0

    async def hangs() -> bool:
        nonlocal looks
        looks += 1
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(3600)
        return True

    async def fails() -> bool:
        raise OSError("no")

    async def is_well() -> bool:
        return True

    readiness = Readiness({"hangs": hangs, "fails": fails, "is well": is_well})
    loop = asyncio.get_running_loop()
    found = await asyncio.gather(*(readiness.look() for _ in range(10)))
    assert found == [{"hangs": False, "fails": False, "is well": True}] * 10
    assert (looks, loop.time()) == (1, DEADLINE)
    await readiness.look()
    assert looks == 2, "what was found out is old"


@in_virtual_time
async def test_a_result_is_cached_for_a_moment() -> None:
    looks = 0

    async def check() -> bool:
        nonlocal looks
        looks += 1
        return True

    readiness = Readiness({"check": check})
    for _ in range(5):
        await readiness.look()
    await asyncio.sleep(FRESH + 0.1)
    await readiness.look()
    assert looks == 2
