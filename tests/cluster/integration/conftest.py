"""The engines of a session, which its clusters share; each cluster has a database and a namespace of its own.

A cluster lives in the event loop of its module, and so do the tests: starting three nodes takes as long as most of these tests.
"""

import json
from collections.abc import AsyncIterator, Generator
from typing import Any

import pytest
import pytest_asyncio

from tests.cluster.integration.people import People
from tests.kit.databases import PostgresServer, postgresql
from tests.kit.redis_server import RedisServer, shared_redis
from tests.kit.served_cluster import ServedCluster

__all__ = ["postgresql", "shared_redis"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Beside a failure: what the nodes have logged, and what each device was told."""
    report = yield
    people = getattr(item, "funcargs", {}).get("people")
    if report.failed and call.when != "setup" and isinstance(people, People):
        report.sections.append(("nodes", people.cluster.logs()))
        for one in people.all:
            report.sections.append((f"told to {one.client.profile.key}", "\n".join(map(json.dumps, one.heard))))
    return report


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nodes(
    tmp_path_factory: pytest.TempPathFactory, postgresql: PostgresServer, shared_redis: RedisServer
) -> AsyncIterator[ServedCluster]:
    """Those of a module that asks for none of its own."""
    async with ServedCluster.running(tmp_path_factory.mktemp("nodes"), postgresql, shared_redis) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def cluster(nodes: ServedCluster) -> ServedCluster:
    """Its nodes run and know each other, whatever was done to them or to Redis."""
    await nodes.mended()
    return nodes


@pytest_asyncio.fixture(loop_scope="module")
async def people(cluster: ServedCluster) -> AsyncIterator[People]:
    async with People.of(cluster) as people:
        yield people
