"""What a report means, in words."""

import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.check.report import PATHS, Hop, ProbeState, Report, Result, Target
from relay.check.verdicts import NO_MEDIA, NOT_TESTED, WORKS, explain, figures_text, result_text, verdict

CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("verdicts.json").read_text())
"""Reports, and what is said of them: by the command, and by the relay when the page asks for it."""


def explanation_of(case: dict[str, Any]) -> dict[str, Any]:
    """What the relay answers to the report of the case."""
    return {name: case.get(name) for name in ("status", "summary", "sentences", "lines", "figures")}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_report_has_the_verdict_of_the_table(case: dict[str, Any]) -> None:
    report = msgspec.convert(case["report"], Report)
    meaning = verdict(report)
    assert (meaning.status, list(meaning.sentences)) == (case["status"], case["sentences"])
    assert {hop: result_text(Hop(hop), report.result(Hop(hop))) for hop in case["lines"]} == case["lines"]
    assert (figures_text(report.figures) if report.figures else None) == case.get("figures")
    assert json.loads(msgspec.json.encode(explain(report))) == explanation_of(case)


def report_of(states: dict[Hop, ProbeState]) -> Report:
    hops = {hop: Result(state, (Target("203.0.113.10", 1000 + number),)) for number, (hop, state) in enumerate(states.items())}
    return Report("https://relay.example/", {Hop.PAGE: Result(ProbeState.OK), Hop.WEBSOCKET: Result(ProbeState.OK), **hops})


@pytest.mark.parametrize("udp", [ProbeState.OK, ProbeState.FAILED])
def test_the_verdict_names_each_transport_that_works_or_fails(udp: ProbeState) -> None:
    """Each way in each state that it can have: the status fits, and every way that fails or is turned off is named."""
    for others in itertools.product((ProbeState.OK, ProbeState.FAILED, ProbeState.OFF), repeat=len(PATHS) - 1):
        states = dict(zip(PATHS, (udp, *others), strict=True))
        through = ProbeState.OK in states.values()
        meaning = verdict(report_of({**states, Hop.CALL: ProbeState.OK if through else ProbeState.SKIPPED}))
        assert meaning.status == (WORKS if through else NO_MEDIA)
        text = " ".join(meaning.sentences)
        for number, (way, state) in enumerate(states.items()):
            assert (str(1000 + number) in text) or state is not ProbeState.FAILED, f"{way} fails, and is not in {text!r}"
        assert ("Turned off at the relay" in text) == (ProbeState.OFF in others)
        assert ("Everything works" in text) == (through and ProbeState.FAILED not in states.values())
        assert ("No media" in text) != through
        assert all(sentence.endswith(".") and ".." not in sentence for sentence in meaning.sentences)


def test_an_empty_report_is_not_a_success() -> None:
    assert verdict(Report("https://relay.example/", {})).status == NOT_TESTED
