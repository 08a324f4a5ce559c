"""A lab for each test."""

from collections.abc import Iterator

import pytest

from tests.lab.namespaces import LabError, requirements
from tests.lab.network import Internet


@pytest.fixture(scope="session", autouse=True)
def lab_is_possible() -> None:
    try:
        requirements()
    except LabError as problem:
        pytest.fail(str(problem), pytrace=False)


@pytest.fixture
def internet() -> Iterator[Internet]:
    with Internet.built() as built:
        yield built
