"""A lab for each test."""

from collections.abc import Iterator

import pytest

from tests.lab.gateways import Access
from tests.lab.namespaces import LabError
from tests.lab.network import Internet


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
