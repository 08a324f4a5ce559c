"""The engines of a session, which its clusters share; each cluster has a database and a namespace of its own.

A cluster lives in the event loop of its module, and so do the tests: starting three nodes takes as long as most of these tests.
"""

import json
from collections.abc import AsyncIterator, Generator
from typing import Any

import pytest
import pytest_asyncio

from tests.cluster.integration.people import People
from tests.kit.databases import postgresql
from tests.kit.redis_server import shared_redis
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


@pytest_asyncio.fixture(loop_scope="module")
async def people(cluster: ServedCluster) -> AsyncIterator[People]:
    async with People.of(cluster) as people:
        yield people
