"""What is counted has a name, and every name is counted somewhere."""

import re
from pathlib import Path

import pytest

from relay.turn.counters import NAMES, TurnCounters
from relay.turn.refusal import REASONS, Refusal

FOLDER = Path(__file__).parents[2] / "relay" / "turn"


def test_all_begin_at_zero_and_no_other_can_be_counted() -> None:
    counters = TurnCounters()
    assert counters == dict.fromkeys(NAMES, 0)
    with pytest.raises(KeyError):
        counters["no such thing"] += 1


def test_every_name_is_counted_and_every_refusal_has_one() -> None:
    source = "".join(file.read_text() for file in FOLDER.glob("*.py") if file.name != "counters.py")
    assert all(f'"{name}"' in source for name in NAMES)
    refusals = re.findall(r'Refusal\((\d+), "(\w+)"', source)
    assert refusals
    assert {int(code) for code, _ in refusals} <= set(REASONS)
    assert {name for _, name in refusals} <= set(NAMES)


def test_a_refusal_names_its_attributes_as_the_wire_does() -> None:
    refusal = Refusal(420, "unknown_attributes", unknown_attributes=(1,))
    assert refusal.attributes == {"UNKNOWN-ATTRIBUTES": (1,)}
    assert str(refusal) == "420 Unknown Attribute"
