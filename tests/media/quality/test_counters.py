"""What is counted has a name that operators can look up, and what has a name is counted."""

import ast
from pathlib import Path

import pytest

import relay
from relay.media.quality.counters import NAMES, MediaCounters
from tests.kit.sources import parsed

SOURCES = sorted(file for plane in ("media", "workers") for file in (Path(relay.__file__).parent / plane).rglob("*.py"))


def strings(path: Path) -> set[str]:
    return {node.value for node in ast.walk(parsed(path)) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def counted_in(path: Path) -> set[str]:
    """What `counters[...] += ` names, whatever the counters are called there."""
    names: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).rpartition(".")[2].lstrip("_") == "counters":
            # Both branches of a conditional expression, but not its condition.
            found = [node.slice.body, node.slice.orelse] if isinstance(node.slice, ast.IfExp) else [node.slice]
            names |= {one.value for one in found if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return names


def test_every_counter_that_the_code_adds_to_has_a_name() -> None:
    counted = set().union(*map(counted_in, SOURCES))
    assert len(counted) > 20, "the test finds them"
    assert counted <= set(NAMES)


def test_every_name_is_used_by_the_code() -> None:
    used = set().union(*(strings(path) for path in SOURCES if path.name != "counters.py"))
    assert set(NAMES) <= used


def test_every_name_says_what_it_counts() -> None:
    for name, meaning in NAMES.items():
        assert name.isidentifier()
        assert name == name.lower()
        assert len(meaning) > 10
        assert not meaning.endswith(".")


def test_counters_start_at_zero_and_take_no_other_names() -> None:
    counters = MediaCounters()
    assert set(counters) == set(NAMES)
    assert set(counters.values()) == {0}
    counters["packets_sent"] += 2
    assert counters["packets_sent"] == 2
    assert MediaCounters()["packets_sent"] == 0
    with pytest.raises(KeyError):
        counters["no_such_thing"] += 1
