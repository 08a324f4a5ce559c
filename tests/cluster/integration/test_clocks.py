"""Nodes whose clocks are ten seconds apart, as where NTP does not run."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.cluster.integration.people import People, chat_crosses, goes_on, move, talk
from tests.kit.databases import PostgresServer
from tests.kit.redis_server import RedisServer
from tests.kit.served_cluster import ServedCluster, metrics

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("clocks")]

AHEAD = 10.0
"""Seconds."""


def relay_by_a_fast_clock(folder: Path) -> str:
    """A program that is the relay, and takes the wall's clock for so much later."""
    [library] = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    program = folder / "relay-by-a-fast-clock"
    clock = f"LD_PRELOAD={library} FAKETIME=+{AHEAD:g}s FAKETIME_DONT_FAKE_MONOTONIC=1"
    program.write_text(f'#!/bin/sh\n{clock} exec {sys.executable} -m relay "$@"\n')
    program.chmod(0o755)
    return str(program)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nodes(
    tmp_path_factory: pytest.TempPathFactory, postgresql: PostgresServer, shared_redis: RedisServer
) -> AsyncIterator[ServedCluster]:
    folder = tmp_path_factory.mktemp("clocks")
    fast = {"a": {"program": relay_by_a_fast_clock(folder)}}
    async with ServedCluster.running(folder, postgresql, shared_redis, fast) as running:
        yield running


async def test_each_node_knows_by_how_much_its_clock_differs(cluster: ServedCluster) -> None:
    found = [(await metrics(node))["relay_cluster_clock_ahead_seconds"] for node in cluster.nodes]
    assert found == pytest.approx([AHEAD, 0.0, 0.0], abs=0.5)


@pytest.mark.parametrize("dies", ["the node whose clock is fast", "another one"])
async def test_a_call_that_goes_on_at_a_node_with_another_clock_lasts_as_long_as_it_did(
    cluster: ServedCluster, people: People, dies: str
) -> None:
    loop = asyncio.get_running_loop()
    caller, callee = await people.join("student_456", cluster.a), await people.join("tutor_789", cluster.b)
    owner = None
    while owner is not (wanted := cluster.a if dies.startswith("the node") else cluster.b):
        began = loop.time()
        call, other = await talk(caller, callee)
        talked = loop.time()
        owner = await cluster.owner(call.call_id)
        if owner is not wanted:
            await call.hang_up()
            await other.ended()
    before = await cluster.row(call.call_id)
    assert before is not None
    await move(caller, *(node for node in cluster.nodes if node is not owner))
    await owner.kill()
    await goes_on(call, other)
    await chat_crosses(call, other, caller, callee, "here")
    least = loop.time() - talked
    await call.hang_up()
    assert await other.ended() == "hangup"
    most = loop.time() - began
    row = await cluster.finished(call.call_id)
    assert row["node"] != owner.name
    assert least - 1 <= row["duration_seconds"] <= most, "rounded down, and answered between the two"
    assert (row["started_at"], row["answered_at"]) == (before["started_at"], before["answered_at"])
    assert 0 <= (row["ended_at"] - row["answered_at"]).total_seconds() - row["duration_seconds"] < 1


async def test_a_device_that_signed_in_at_a_node_whose_clock_is_fast_is_taken_by_the_others(
    cluster: ServedCluster, people: People
) -> None:
    async with (
        aiohttp.ClientSession(raise_for_status=True) as http,
        http.post(f"{cluster.a.url}/api/dev/login", json={"profile_type": "student", "profile_id": 456}) as response,
    ):
        token = (await response.json())["token"]
    await people.join("student_456", cluster.b, token=token)
