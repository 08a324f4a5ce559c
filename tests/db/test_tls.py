"""TLS to PostgreSQL, by the parameters that libpq has for it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from relay.db.engine import check, create_engine
from relay.errors import ConfigurationError
from tests.edge.kit import write_certificate
from tests.kit.databases import PostgresServer, running_postgresql

# They share the server that they start.
pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("database with TLS")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Has the server's certificate, which signs itself, and in `other` another."""
    folder = tmp_path_factory.mktemp("tls")
    (folder / "other").mkdir()
    for one in (folder, folder / "other"):
        write_certificate(one, "database")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[PostgresServer]:
    with running_postgresql((folder / "certificate.pem", folder / "key.pem")) as running:
        yield running


@pytest.fixture
async def url(server: PostgresServer) -> AsyncIterator[str]:
    yield f"postgresql+asyncpg://postgres@127.0.0.1:{server.port}/postgres"


async def is_encrypted(url: str) -> bool:
    engine = create_engine(url)
    try:
        await check(engine)
        async with engine.connect() as connection:
            return bool((await connection.execute(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))).scalar_one())
    finally:
        await engine.dispose()


async def test_the_common_sslmode_require_works(url: str) -> None:
    assert await is_encrypted(f"{url}?sslmode=require")


async def test_asyncpgs_own_spelling_works_as_before(url: str) -> None:
    assert await is_encrypted(f"{url}?ssl=require")


async def test_a_server_whose_certificate_an_authority_signed_is_verified_by_that(url: str, folder: Path) -> None:
    assert await is_encrypted(f"{url}?sslmode=verify-full&sslrootcert={folder / 'certificate.pem'}&application_name=calls")


@pytest.mark.parametrize("root", ["{folder}/other/certificate.pem", "system"])
async def test_a_server_that_another_authority_signed_is_refused_in_one_line(url: str, folder: Path, root: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^cannot open the database .*certificate verify failed[^\n]*$"):
        await is_encrypted(f"{url}?sslmode=verify-full&sslrootcert={root.format(folder=folder)}")


async def test_without_tls_such_a_server_refuses_in_one_line(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^cannot open the database [^\n]*no encryption[^\n]*$"):
        await is_encrypted(f"{url}?sslmode=disable")


async def test_a_file_of_an_authority_that_is_missing_is_named(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^RELAY_DATABASE_URL: sslrootcert: /no/such\.pem: No such file or directory$"):
        await is_encrypted(f"{url}?sslmode=verify-full&sslrootcert=/no/such.pem")
