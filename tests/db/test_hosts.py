"""PostgreSQL on several hosts: which of them is connected to."""

import pytest
from sqlalchemy import make_url, text

from relay.db.engine import check, create_engine
from relay.errors import ConfigurationError
from tests.kit.standby import ReplicatedPostgres, replicated_postgresql

__all__ = ["replicated_postgresql"]


async def where(url: str) -> list[bool]:
    """Whether each of three connections is to a standby."""
    engine = create_engine(url)
    found = []
    for _ in range(3):
        async with engine.connect() as connection:
            found.append(bool((await connection.execute(text("SELECT pg_is_in_recovery()"))).scalar_one()))
        await engine.dispose()
    return found


async def test_of_several_hosts_the_one_that_takes_writes_is_found_in_any_order_and_after_a_failover(
    replicated_postgresql: ReplicatedPostgres,
) -> None:
    async with replicated_postgresql.copy() as url:
        hosts = make_url(url).query["host"]
        assert isinstance(hosts, tuple)
        turned = make_url(url).update_query_dict({"host": hosts[::-1]}).render_as_string(hide_password=False)
        assert await where(url) == await where(turned) == [False] * 3
        assert await where(f"{url}&target_session_attrs=standby") == [True] * 3
        replicated_postgresql.stop_primary()
        replicated_postgresql.promote()
        assert await where(url) == await where(turned) == [False] * 3
        replicated_postgresql.kill_primary()
        assert await where(url) == [False] * 3


async def test_without_any_host_that_takes_writes_the_start_says_why(replicated_postgresql: ReplicatedPostgres) -> None:
    async with replicated_postgresql.copy() as url:
        replicated_postgresql.kill_primary()
        engine = create_engine(url)
        with pytest.raises(
            ConfigurationError, match=r"cannot open the database .*: None of the hosts match the target attribute"
        ):
            await check(engine)
