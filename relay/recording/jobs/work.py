"""The program of one job: `python -m relay.recording.jobs.work assemble|verify DIRECTORY ID`, which `jobs` starts.

It reports in lines of JSON (`relay.recording.jobs.process`). It ends when its standard input does, which is when the server dies.
"""

import argparse
import contextlib
import os
import sys
import threading
from pathlib import Path
from typing import Any, Final

import msgspec

from relay.errors import RelayError
from relay.recording.jobs.folder import RecordingFolder, remove_tree
from relay.recording.jobs.placing import assemble_in_place, finish, sync
from relay.recording.limits import VerificationLimits, parse_limits
from relay.sealed import SealKeys

NICE: Final = 10
"""Calls come first: with this a job gets a ninth of a processor that media wants too."""

MAX_NOTE: Final = 500
"""Characters of what people are told."""

Outcome = dict[str, Any]
"""`verdict`, `note`, and why what was assembled could not be verified (`not_verified`), as far as there are."""


class _Reporter:
    """Writes lines that say how far the work is: one per percent, at most."""

    def __init__(self) -> None:
        self._output = sys.stdout.buffer
        self._last = ("", -1)

    def progress(self, step: str, done: float) -> None:
        now = (step, int(done * 100))
        if now != self._last:
            self._last = now
            self.say(step=step, done=done)

    def say(self, **line: object) -> None:
        self._output.write(msgspec.json.encode(line) + b"\n")
        self._output.flush()


def main(arguments: list[str]) -> int:
    """Do a job; the status is 0 if it was done."""
    parser = argparse.ArgumentParser(prog="relay.recording.jobs.work")
    parser.add_argument("kind", choices=("assemble", "verify"))
    parser.add_argument("directory", type=Path)
    parser.add_argument("recording_id")
    parser.add_argument("--mp4", action="store_true")
    parser.add_argument("--verify", action="store_true")
    parser.add_argument("--limits", type=parse_limits, default=VerificationLimits(), help="as of RELAY_VERIFY_LIMITS")
    parser.add_argument("--locked", action="store_true", help="the lock of the recording is in a descriptor of this process")
    given = parser.parse_args(arguments)
    os.nice(NICE)
    os.umask(0o077)
    threading.Thread(target=_end_with_input, daemon=True).start()
    reporter = _Reporter()
    folder = RecordingFolder(given.directory, SealKeys.parse(os.environ.pop("RELAY_RECORDING_KEY", "")))
    try:
        with contextlib.nullcontext() if given.locked else folder.locked(given.recording_id):
            if given.kind == "assemble":
                result = _assemble(folder, given.recording_id, reporter, given.limits, mp4=given.mp4, verify=given.verify)
            else:
                result = _verify(folder, given.recording_id, reporter, given.limits)
    except BlockingIOError:
        reporter.say(failed="another process works on this recording")
        return 1
    except (RelayError, OSError, ValueError, ImportError) as error:
        reporter.say(failed=f"{type(error).__name__}: {error}"[:MAX_NOTE])
        return 1
    reporter.say(result=result)
    return 0


def _assemble(
    folder: RecordingFolder, recording_id: str, reporter: _Reporter, limits: VerificationLimits, *, mp4: bool, verify: bool
) -> Outcome:
    outcome: Outcome = {}

    def judge(made: Path) -> None:
        try:
            outcome["verdict"] = _judge(folder, made, reporter, made, limits)
        except Exception as error:
            # The products are as good as they were; the verification can be asked for again.
            outcome["not_verified"] = f"{type(error).__name__}: {error}"[:MAX_NOTE]

    examine = judge if verify else None
    made = assemble_in_place(folder, recording_id, mp4=mp4, progress=reporter.progress, examine=examine)
    return {"note": "; ".join(made.warnings)[:MAX_NOTE], **outcome}


def _verify(folder: RecordingFolder, recording_id: str, reporter: _Reporter, limits: VerificationLimits) -> Outcome:
    products = folder.products(recording_id)
    report = folder.report(recording_id)
    remove_tree(report)
    report.mkdir(mode=0o700)
    try:
        verdict = _judge(folder, products, reporter, report, limits)
        finish(folder, report, reporter.progress)
        for file in report.iterdir():
            file.replace(products / file.name)
        sync(products)
    finally:
        remove_tree(report)
    return {"verdict": verdict, "note": ""}


def _judge(folder: RecordingFolder, products: Path, reporter: _Reporter, out: Path, limits: VerificationLimits) -> str:
    """What the verification finds: `passed`, `failed` or `unreadable`."""
    from relay.recording.verify import verify  # noqa: PLC0415 - numpy and scipy are loaded for it

    return verify(products, limits=limits, out=out, keys=tuple(folder.keys), progress=reporter.progress).verdict


def _end_with_input() -> None:
    # Not `sys.stdin`: its lock, which a thread has while it reads, aborts the interpreter as that ends.
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
