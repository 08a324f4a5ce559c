"""The table on the terminal."""

from collections.abc import Sequence
from typing import Final

from bench.results import Results
from bench.summary import Figure, Goal

_NOISE_LIMIT: Final = 0.1
"""Cores kept busy by others, above which the reader is warned."""


def render(results: Results, rows: Sequence[Figure], goals: Sequence[Goal]) -> str:
    """Everything a reader of the terminal gets to see."""
    return "\n".join([*_figures(results, rows), "", *_goals(goals), *_notes(results)])


def _figures(results: Results, rows: Sequence[Figure]) -> list[str]:
    subjects = [name for name in (*results.subjects, "direct") if any(name in row.values for row in rows)]
    head = ["", "unit", *subjects]
    lines = [[row.label, row.unit, *(_cell(row, name) for name in subjects)] for row in rows]
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(len(head))]

    def joined(line: Sequence[str]) -> str:
        left, unit, *cells = (
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        return "  ".join([left, unit, *cells]).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    note = "In brackets: the relay's figure divided by that of the column."
    return [joined(head), rule, *(joined(line) for line in lines), note]


def _cell(row: Figure, subject: str) -> str:
    value = row.values.get(subject)
    if value is None:
        return "-"
    own = row.values.get("relay")
    if subject in {"relay", "direct"} or own is None or not value:
        return _number(value)
    return f"{_number(value)} [{own / value:.2f}]"


def _number(value: float) -> str:
    """Three significant digits, without an exponent."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 1 else f"{value:.3f}"


def _goals(goals: Sequence[Goal]) -> list[str]:
    return [
        f"{'met   ' if goal.met else 'MISSED'}  {goal.label}: {_number(goal.value)}"
        f" (goal: {'≥' if goal.at_least else '≤'} {_number(goal.limit)})"
        for goal in goals
    ]


def _notes(results: Results) -> list[str]:
    notes = [f"failed: {failure}" for failure in results.failures]
    lossy = [window for window in results.steady if window.lost]
    notes += [f"loss: {w.subject} lost {w.lost:,} of {w.sent:,} at {w.rate:,}/s over {w.transports} transports" for w in lossy]
    others = [window.others for window in (*results.steady, *results.residence)]
    others += [calls.others for calls in results.active]
    others += [calls.others for calls in results.idle]
    noisy = sum(cores > _NOISE_LIMIT for cores in others)
    if noisy:
        notes.append(f"noise: in {noisy} of {len(others)} windows other processes used over {_NOISE_LIMIT:.0%} of a core")
    return ["", *notes] if notes else []
