"""A lab for each test, and one that tests with browsers share."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.lab.gateways import Access
from tests.lab.namespaces import LabError
from tests.lab.network import Internet
from tests.lab.shared import Lab


@pytest.fixture(scope="session", autouse=True)
def lab_is_possible() -> None:
    """Skip these tests where the process may not make network namespaces: without root, and in containers with few privileges."""
    try:
        with Internet.built() as built:
            built.site(Access.ONLY_TLS_443)
    except LabError as problem:
        pytest.skip(f"no network lab here: {problem}")


@pytest.fixture
def internet() -> Iterator[Internet]:
    with Internet.built() as built:
        yield built


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    async with Lab.built(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest_asyncio.fixture(loop_scope="session")
async def lab(shared_lab: Lab) -> AsyncIterator[Lab]:
    """That of the session, for tests in its event loop."""
    async with shared_lab.lent() as lent:
        yield lent
