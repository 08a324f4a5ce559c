"""PostgreSQL behind PgBouncer in transaction mode: two transactions of a connection may meet different server processes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.engine import create_engine
from relay.db.schema.migrate import downgrade, upgrade
from relay.db.schema.revision import current, head
from tests.http.conftest import SECRET, bearer
from tests.kit.databases import PostgresServer
from tests.kit.pgbouncer import pgbouncer
from tests.kit.server import running_relay

pytestmark = pytest.mark.xdist_group("PgBouncer")


@pytest.fixture(scope="module")
def bouncer(postgresql: PostgresServer) -> Iterator[PostgresServer]:
    with pgbouncer(postgresql) as running:
        yield running


@pytest.fixture
async def url(postgresql: PostgresServer, bouncer: PostgresServer) -> AsyncIterator[str]:
    """An empty database, reached through PgBouncer."""
    async with postgresql.database() as direct:
        name = make_url(direct).database
        assert name is not None
        yield bouncer.url(name)


@pytest.fixture
async def engines(url: str) -> AsyncIterator[list[AsyncEngine]]:
    """Three servers' connections to that database."""
    made: list[AsyncEngine] = [create_engine(url) for _ in range(3)]
    yield made
    await asyncio.gather(*(engine.dispose() for engine in made))


async def test_sixty_requests_at_a_time_are_answered_through_pgbouncer(url: str, tmp_path: Path, no_errors_logged: None) -> None:
    async with (
        running_relay(tmp_path, jwt_secret=SECRET, media_host="127.0.0.1", database_url=url) as relay,
        aiohttp.ClientSession(relay.url, cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):

        async def status(path: str, key: str) -> int:
            async with http.get(path, headers=bearer(key)) as response:
                await response.read()
                return response.status

        paths = ("/api/calls", "/api/settings", "/api/blocks", "/api/conversations")
        asked = [(paths[number % len(paths)], ("student_456", "tutor_789")[number // 4 % 2]) for number in range(60)]
        assert await asyncio.gather(*(status(*one) for one in asked)) == [200] * 60


async def test_servers_that_start_together_migrate_through_pgbouncer_up_and_down(engines: list[AsyncEngine]) -> None:
    await asyncio.gather(*map(upgrade, engines))
    assert await current(engines[0]) == head()
    await downgrade(engines[0])
    assert await current(engines[1]) is None


async def test_no_statement_stays_prepared_at_the_server(engines: list[AsyncEngine]) -> None:
    """Behind PgBouncer nothing would ever remove it: memory of a server process that all clients share."""
    engine = engines[0]
    for number in range(5):
        async with engine.connect() as connection:
            await connection.execute(text(f"SELECT CAST(:value AS integer) + {number}"), {"value": number})
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''"))).scalar_one() == 0
