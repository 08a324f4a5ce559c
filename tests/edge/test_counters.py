"""What the edge counts."""

import re
from pathlib import Path

import pytest

from relay.edge.counters import NAMES, EdgeCounters

RELAY = Path(__file__).parents[2] / "relay"


def test_a_name_that_is_no_counter_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        EdgeCounters()["connections_of_pigeons"] += 1


def test_every_counter_is_counted_somewhere() -> None:
    files = [file for file in (RELAY / "edge").rglob("*.py") if file.name != "counters.py"]
    source = "\n".join(file.read_text() for file in [*files, RELAY / "serving.py"])
    by_kind = {"connections_http", "connections_ice_tcp", "connections_turn"}
    named = set(re.findall(r'"([a-z_]+)"', source)) | by_kind
    assert set(NAMES) <= named
