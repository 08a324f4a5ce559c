"""What the media plane of the tests says of a path."""

from typing import Any, Final

from relay.media.api import Address, TransportReport
from relay.media.quality.statistics import LegReport
from tests.signaling.harness import MemoryHarness

HOME: Final[Address] = ("198.51.100.7", 40_000)
"""Where a party's media comes from."""


def report(number: int, harness: MemoryHarness, **figures: Any) -> TransportReport:
    """Of the caller's transport (0) or the callee's (1)."""
    usual = {"rtt": 0.04, "loss_from_peer": 0.0, "loss_to_peer": 0.0, "jitter": 0.004, "bitrate": 40_000.0, "score": 4.3}
    return TransportReport(harness.engine.opened[number], LegReport(**{**usual, **figures}, streams=()), HOME)
