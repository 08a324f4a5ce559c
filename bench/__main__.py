"""`python -m bench`: see `--help`."""

import argparse
import asyncio
import json
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from bench import assembly, namespace, verification
from bench.plan import FULL, QUICK
from bench.plan import RECORDING as RECORDING_PLAN
from bench.plot import draw
from bench.process import GENERATOR_CORE, SERVER_CORE, pin_generator, unpin
from bench.results import Results
from bench.run import Makers, run
from bench.subjects.registry import RECORDING, STANDARD, SUBJECTS
from bench.summary import figures, goals
from bench.table import render

ASSEMBLED_MINUTES: Final = 5
"""Duration of the call whose capture is assembled."""

_RESULTS: Final = Path(__file__).parent / "results"


def main() -> int:
    """Measure, print the table, and write JSON and plot. Returns 1 when the relay could not be measured to the end."""
    arguments = _arguments()
    if not namespace.INSIDE:
        namespace.enter(sys.argv[1:])  # Returns only where that is not possible.
    else:
        namespace.furnish()
    plan = replace(RECORDING_PLAN if arguments.record else QUICK if arguments.quick else FULL, burst=arguments.burst)
    if SERVER_CORE == GENERATOR_CORE:
        _say("only one core: server and generator share it, so the figures are worth little")
    pin_generator()
    for number in (signal.SIGALRM, signal.SIGTERM):
        signal.signal(number, _interrupt)
    signal.alarm(plan.deadline)
    results = Results(plan)
    try:
        asyncio.run(run(_present(arguments.subjects), results))
    except KeyboardInterrupt as interrupt:
        results.failures.append(f"incomplete: {interrupt!r}")
    signal.alarm(0)
    _publish(results, arguments.output)
    if arguments.record:
        print(assembly.row(assembly.measure(ASSEMBLED_MINUTES)))
        unpin()
        verification.report()
    return int(any(failure.startswith(("relay:", "incomplete:")) for failure in results.failures))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=sys.modules["bench"].__doc__)
    parser.add_argument("--quick", action="store_true", help="a short run, to see that everything works; its figures are rough")
    parser.add_argument("--record", action="store_true", help="what recording costs: the relay with and without, in turn")
    parser.add_argument(
        "--subjects",
        type=lambda text: text.split(","),
        default=None,
        metavar="NAME,…",
        help=f"which servers to measure, of {', '.join(SUBJECTS)} (default: {','.join(STANDARD)})",
    )
    parser.add_argument(
        "--burst",
        type=int,
        default=1,
        metavar="PACKETS",
        help="how many packets a transport sends in a row in steady traffic (default: 1, the hardest; a video frame has about 7)",
    )
    parser.add_argument(
        "--output", type=Path, default=_RESULTS, metavar="DIRECTORY", help="for JSON and plot (default: %(default)s)"
    )
    arguments = parser.parse_args()
    arguments.subjects = arguments.subjects or list(RECORDING if arguments.record else STANDARD)
    unknown = set(arguments.subjects) - set(SUBJECTS)
    if unknown:
        parser.error(f"no such subject: {', '.join(sorted(unknown))}")
    return arguments


def _present(names: list[str]) -> Makers:
    """Those that can run here; the others are named, with the reason."""
    present = {}
    for name in names:
        reason = SUBJECTS[name].missing()
        if reason is None:
            present[name] = SUBJECTS[name]
        else:
            _say(f"without {name}: {reason}")
    return present


def _publish(results: Results, directory: Path) -> None:
    rows = figures(results)
    print(render(results, rows, goals(rows)))
    directory.mkdir(parents=True, exist_ok=True)
    stem = directory / datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
    summary = {row.key: {"unit": row.unit, **row.values} for row in rows}
    stem.with_suffix(".json").write_text(json.dumps({"summary": summary, **results.as_json()}, indent=1) + "\n")
    _say(f"wrote {stem.with_suffix('.json')}")
    if draw(results.plan, list(results.subjects), rows, stem.with_suffix(".png")):
        _say(f"wrote {stem.with_suffix('.png')}")
    else:
        _say("no plot: matplotlib is not installed (pip install -e '.[bench]')")


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """End through the `finally` clauses, which end the servers."""
    raise KeyboardInterrupt(f"ended by {signal.Signals(number).name}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
