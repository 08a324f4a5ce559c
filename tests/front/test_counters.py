"""What the front counts."""

import re
from pathlib import Path

import pytest

from relay.front.counters import NAMES, Counters

RELAY = Path(__file__).parents[2] / "relay"


def test_a_name_that_is_no_counter_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Counters()["connections_of_pigeons"] += 1


def test_every_counter_is_counted_somewhere() -> None:
    files = [file for file in (RELAY / "front").rglob("*.py") if file.name != "counters.py"]
    source = "\n".join(file.read_text() for file in [*files, RELAY / "serving.py"])
    named = set(re.findall(r'"([a-z_]+)"', source)) | {"connections_ice_tcp", "connections_turn"}  # those two by their kind
    assert set(NAMES) <= named
