"""Tests of a group, which share what is expensive to start, run in one process."""

import pytest


@pytest.mark.xdist_group("a group")
def test_a_test_has_its_group_where_the_scheduler_looks_for_it(request: pytest.FixtureRequest) -> None:
    is_distributed = request.config.getoption("loadgroup", default=False)
    assert request.node.nodeid.endswith("@a group") is is_distributed
