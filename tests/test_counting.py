"""Counts per host, of more hosts than there is room for."""

import pytest

from relay.counting import Counters, Holdings, HostCounts


def test_hosts_are_counted_one_by_one_as_long_as_there_is_room() -> None:
    counts = HostCounts(2)
    assert [counts.add("a"), counts.add("a"), counts.add("b")] == [1, 2, 1]
    assert (counts.of("a"), counts.of("b")) == (2, 1)


def test_all_hosts_beyond_the_bound_share_one_count() -> None:
    counts = HostCounts(1)
    counts.add("a")
    assert [counts.add(one) for one in "bcd"] == [1, 2, 3]
    assert (counts.of("a"), counts.of("e"), len(counts)) == (1, 3, 1)


def test_after_a_clear_everybody_begins_anew() -> None:
    counts = HostCounts(1)
    for one in "abc":
        counts.add(one)
    counts.clear()
    assert (counts.of("a"), counts.of("z"), len(counts)) == (0, 0, 0)


def test_a_name_that_is_not_counted_is_a_fault() -> None:
    counters = Counters(("lost", "found"))
    counters["found"] += 1
    assert counters == {"lost": 0, "found": 1}
    with pytest.raises(KeyError):
        counters["mislaid"] += 1


def test_one_that_has_nothing_left_is_not_remembered() -> None:
    holdings: Holdings[str] = Holdings()
    for holder in ("one", "one", "other"):
        holdings.take(holder)
    assert (holdings.of("one"), holdings.of("other"), holdings.of("third")) == (2, 1, 0)
    assert len(holdings) == 2, "asking is not taking"
    holdings.give_back("one")
    holdings.give_back("other")
    assert (holdings.of("one"), len(holdings)) == (1, 1)
