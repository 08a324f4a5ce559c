"""Scores as ITU-T G.107 gives them, and how they move."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mos import BEST_MOS, WORST_MOS, QualityScore, mean_opinion, transmission_rating

DELAYS = st.floats(0, 5)
LOSSES = st.floats(0, 1)


def test_an_unimpaired_call_has_the_default_rating_of_g_107() -> None:
    assert transmission_rating(0.0, 0.0) == 93.2
    assert mean_opinion(93.2) == pytest.approx(4.41, abs=0.005)


@pytest.mark.parametrize(("rating", "opinion"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58), (0, 1.0)])
def test_ratings_map_to_opinions_as_in_annex_b_of_g_107(rating: float, opinion: float) -> None:
    assert mean_opinion(rating) == pytest.approx(opinion, abs=0.01)


def test_delay_hurts_more_beyond_177_milliseconds() -> None:
    below = transmission_rating(0.100, 0.0) - transmission_rating(0.150, 0.0)
    above = transmission_rating(0.250, 0.0) - transmission_rating(0.300, 0.0)
    assert below == pytest.approx(1.2)
    assert above == pytest.approx(6.7)


def test_a_quarter_of_the_packets_lost_costs_half_of_what_loss_can_cost() -> None:
    assert transmission_rating(0.0, 0.251) == pytest.approx(93.2 - 95 / 2)


@given(DELAYS, LOSSES)
def test_opinions_stay_between_one_and_four_and_a_half(delay: float, loss: float) -> None:
    assert WORST_MOS <= mean_opinion(transmission_rating(delay, loss)) <= BEST_MOS


@given(st.floats(0, 120))
def test_any_rating_has_an_opinion_on_the_scale(rating: float) -> None:
    assert WORST_MOS <= mean_opinion(rating) <= BEST_MOS


@given(DELAYS, LOSSES, DELAYS, LOSSES)
def test_more_delay_and_more_loss_never_make_a_call_better(
    delay: float, loss: float, more_delay: float, more_loss: float
) -> None:
    better = mean_opinion(transmission_rating(delay, loss))
    assert mean_opinion(transmission_rating(delay + more_delay, min(1.0, loss + more_loss))) <= better


def test_a_score_goes_down_fast_and_up_slowly() -> None:
    score = QualityScore(0.0)
    best = score.value
    after_fall = score.update(1.0, 2.0)
    assert best - after_fall > (best - 1.0) / 2
    after_rise = score.update(best, 4.0)
    assert after_fall < after_rise < after_fall + (best - after_fall) / 5
    for second in range(6, 120, 2):
        score.update(best, second)
    assert score.value == pytest.approx(best, abs=0.01)


@given(st.lists(st.tuples(st.floats(1, 4.5), st.floats(0, 10)), max_size=30))
def test_a_score_stays_among_the_opinions_that_it_has_had(opinions: list[tuple[float, float]]) -> None:
    score = QualityScore(0.0)
    lowest = highest = score.value
    now = 0.0
    for opinion, elapsed in opinions:
        now += elapsed
        lowest, highest = min(lowest, opinion), max(highest, opinion)
        assert lowest - 1e-9 <= score.update(opinion, now) <= highest + 1e-9


def test_a_score_does_not_move_in_no_time() -> None:
    score = QualityScore(5.0)
    assert score.update(1.0, 5.0) == mean_opinion(93.2)
