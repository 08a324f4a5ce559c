"""A lease: whether a node may act, by its own clock, whatever is slow or stops in between."""

from hypothesis import given
from hypothesis import strategies as st

from relay.cluster.lease import Lease, LeaseTiming

USUAL = LeaseTiming()

DELAYS = st.floats(0, 60)
"""Seconds that a request, its answer, or the whole process is held up."""


def test_a_node_without_a_lease_may_not_act() -> None:
    lease = Lease(USUAL)
    assert not lease.may_act(0)
    assert lease.acts_until() is None


def test_a_node_may_act_until_a_margin_before_its_lease_runs_out() -> None:
    lease = Lease(USUAL)
    lease.renewed(100)
    assert lease.may_act(100)
    assert lease.may_act(107.4)
    assert not lease.may_act(107.5)
    assert lease.acts_until() == 107.5


def test_an_answer_that_comes_late_does_not_shorten_the_lease() -> None:
    lease = Lease(USUAL)
    lease.renewed(103)
    lease.renewed(100)
    assert lease.acts_until() == 110.5


def test_a_node_whose_lease_the_engine_does_not_have_may_not_act() -> None:
    lease = Lease(USUAL)
    lease.renewed(100)
    lease.gone()
    assert not lease.may_act(100)


RENEWALS = st.lists(st.tuples(DELAYS, DELAYS, DELAYS, st.booleans()), max_size=20)
"""Of each: how long its request takes, its answer, the pause until the next one, and whether it arrives at all."""


@given(RENEWALS, DELAYS)
def test_a_node_never_acts_when_others_may_take_over_however_long_anything_is_held_up(
    renewals: list[tuple[float, float, float, bool]], pause: float
) -> None:
    lease, now, gone = Lease(USUAL), 0.0, 0.0
    for request, reply, between, arrives in renewals:
        began = now
        if arrives:
            gone = max(gone, began + request + USUAL.duration)
        now += request + reply
        if arrives:
            lease.renewed(began)
        for at in (now, now + between / 2, now + between):
            assert not (lease.may_act(at) and at >= gone)
        now += between
    at = now + pause
    assert not (lease.may_act(at) and at >= gone)


@given(st.lists(st.booleans(), max_size=40), st.floats(0, 1))
def test_a_node_that_misses_one_renewal_at_a_time_goes_on_acting(missed: list[bool], delay: float) -> None:
    lease, now, before = Lease(USUAL), 0.0, False
    lease.renewed(0)
    for one in missed:
        now += USUAL.renewal
        assert lease.may_act(now + delay)
        before = one and not before
        if not before:
            lease.renewed(now)


def test_a_node_that_wakes_after_a_pause_of_20_seconds_may_not_act_before_anything_else_runs() -> None:
    lease = Lease(USUAL)
    lease.renewed(0)
    assert not lease.may_act(20)
