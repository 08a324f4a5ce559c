"""The engines of a session, which its clusters share; each cluster has a database and a namespace of its own.

A cluster lives in the event loop of its module, and so do the tests: starting three nodes takes as long as most of these tests.
"""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.cluster.integration.people import People
from tests.kit.databases import postgresql
from tests.kit.redis_server import shared_redis
from tests.kit.served_cluster import ServedCluster

__all__ = ["postgresql", "shared_redis"]


@pytest_asyncio.fixture(loop_scope="module")
async def people(cluster: ServedCluster) -> AsyncIterator[People]:
    async with People.of(cluster) as people:
        yield people
