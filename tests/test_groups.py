"""Tests of a group, which share what is expensive to start, run in one process; those of a file that share something are beside
each other.
"""

import pytest


@pytest.mark.xdist_group("a group")
def test_a_test_has_its_group_where_the_scheduler_looks_for_it(request: pytest.FixtureRequest) -> None:
    is_distributed = request.config.getoption("loadgroup", default=False)
    assert request.node.nodeid.endswith("@a group") is is_distributed


@pytest.fixture(scope="module")
def made_once() -> object:
    return object()


@pytest.mark.parametrize("number", range(3))
def test_tests_that_share_what_one_of_them_makes_are_beside_each_other(
    request: pytest.FixtureRequest, made_once: object, number: int
) -> None:
    """Apart from each other, each would make it anew."""
    sharing = [place for place, item in enumerate(request.session.items) if "made_once" in getattr(item, "fixturenames", ())]
    assert sharing == [*range(sharing[0], sharing[0] + len(sharing))]
