"""The engines of a session, which its clusters share; each cluster has a database and a namespace of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cluster.integration.people import People
from tests.kit.databases import PostgresServer, postgresql
from tests.kit.redis_server import RedisServer, own_redis, shared_redis
from tests.kit.served_cluster import ServedCluster

__all__ = ["own_redis", "postgresql", "shared_redis"]


@pytest.fixture
async def cluster(tmp_path: Path, postgresql: PostgresServer, shared_redis: RedisServer) -> AsyncIterator[ServedCluster]:
    """For a test that does something to the nodes."""
    async with ServedCluster.running(tmp_path, postgresql, shared_redis) as running:
        yield running


@pytest.fixture
async def people(cluster: ServedCluster) -> AsyncIterator[People]:
    async with People.of(cluster) as people:
        yield people
