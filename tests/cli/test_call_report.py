"""What `python -m relay call` prints of calls, for people."""

from relay.cli.call_report import lines_of_load
from relay.client.load import LoadReport


def test_a_load_generator_that_was_too_busy_says_that_its_figures_are_its_own() -> None:
    busy, quiet = LoadReport(cpu=0.81, late=0.3), LoadReport(cpu=0.79, late=0.2)
    assert list(lines_of_load(quiet)) == ["0 calls, 0 failed", "this load generator used 79% of a core"]
    assert list(lines_of_load(busy)) == [
        "0 calls, 0 failed",
        "this load generator used 81% of a core",
        "It was up to 0.3 s late, as other programs took the processor: its own delays are in these figures.",
        "That is over 80%: its own delays are in these figures. Make fewer calls, or use another machine too.",
    ]
