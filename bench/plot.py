"""The plot: cost per packet against rate, and against the number of transports."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.plan import MIDDLE, Plan
from bench.summary import GOAL_RATE, Figure

_COSTS: Final = (2, 5, 10, 20, 50, 100, 200)
"""Where the vertical axis is marked, µs."""


def draw(plan: Plan, subjects: Sequence[str], rows: Sequence[Figure], path: Path) -> bool:
    """Write a PNG. False when matplotlib (the extra `bench`) is not installed."""
    try:
        from matplotlib.figure import Figure as Canvas  # noqa: PLC0415 - optional
    except ModuleNotFoundError:
        return False
    by_key = {row.key: row.values for row in rows}
    canvas = Canvas(figsize=(11, 4.5), layout="constrained")
    by_rate, by_transports = canvas.subplots(1, 2)
    panels = (
        (by_rate, plan.rates, [f"cost/{MIDDLE}/{rate}" for rate in plan.rates], f"{MIDDLE} transports", "packets per second"),
        (
            by_transports,
            plan.transports,
            [f"cost/{transports}/{GOAL_RATE}" for transports in plan.transports],
            f"{GOAL_RATE:,} packets per second",
            "transports",
        ),
    )
    for axes, positions, keys, title, label in panels:
        for number, subject in enumerate(subjects):
            points = [(x, by_key[key][subject]) for x, key in zip(positions, keys, strict=True) if subject in by_key.get(key, {})]
            if points:
                axes.plot([x for x, _ in points], [y for _, y in points], marker="o", color=f"C{number}", label=subject)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(positions, [f"{x:,}" for x in positions])
        axes.set_yticks(_COSTS, [str(cost) for cost in _COSTS])
        axes.minorticks_off()
        axes.set_title(title)
        axes.set_xlabel(label)
        axes.set_ylabel("µs of CPU per forwarded packet")
        axes.grid(visible=True, alpha=0.3)
        if axes.lines:
            axes.legend()
    canvas.savefig(path, dpi=120)
    return True
