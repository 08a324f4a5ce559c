"""How fast recordings are verified: `make bench-verify`, or `python -m bench.verification`. Also run by `--record`.

A call of two 720p parties is verified as it is, and beside its reference. The bars are those of docs/performance.md: 10 times
as fast as the call was without a reference, 2 times with one.
"""

import argparse
import json
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from relay.recording.verify import ReferencePlan, VerificationLimits, verify, write_reference

BARS: Final = {"without a reference": 10.0, "with a reference": 2.0}
"""Times real time."""

SECONDS: Final = 30
SIZE: Final = "1280x720"
"""Of the call, and of its videos."""


def main() -> int:
    """Measure and print. 0, whatever the figures are: they are this machine's."""
    parser = argparse.ArgumentParser(prog="python -m bench.verification", description=__doc__)
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of the call (default: %(default)s)")
    parser.add_argument("--size", default=SIZE, help="of its videos (default: %(default)s)")
    arguments = parser.parse_args()
    rows = report(arguments.seconds, arguments.size)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({name: round(wall, 2) for name, (wall, _) in rows.items()} | {"peak_mib": round(peak)}), file=sys.stderr)
    return 0


def report(seconds: int = SECONDS, size: str = SIZE) -> dict[str, tuple[float, float]]:
    """Measure, and print the rows."""
    width, height = map(int, size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), ReferencePlan(seconds, width, height, bitrate=1_500_000))
    print(f"| verification of {seconds} s of two {size} parties | × real time | CPU, × real time | bar |")
    print("|---|---|---|---|")
    for name, (wall, cpu) in rows.items():
        print(f"| {name} | {wall:.1f} | {cpu:.1f} | {BARS[name]:.0f} |")
    return rows


def measure(folder: Path, plan: ReferencePlan) -> dict[str, tuple[float, float]]:
    """How many times as fast as the call, by the clock and by CPU time, of each kind."""
    reference = folder / "reference.webm"
    write_reference(reference, plan)
    recording = folder / "recording"
    recording.mkdir()
    for party in "AB":
        shutil.copy(reference, recording / f"{party}.webm")
    limits = VerificationLimits(max_freeze=0.5, max_av_offset=0.08)
    verify(recording, limits=limits)  # loads what is loaded once
    rows = {}
    for name, source in (("without a reference", None), ("with a reference", reference)):
        wall, cpu = time.perf_counter(), time.process_time()
        result = verify(recording, reference=source, limits=limits)
        assert result.verdict == "passed", result.reasons
        rows[name] = (plan.duration / (time.perf_counter() - wall), plan.duration / (time.process_time() - cpu))
    return rows


if __name__ == "__main__":
    sys.exit(main())
