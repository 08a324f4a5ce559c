"""The program of one job: `python -m relay.recording.work assemble|verify DIRECTORY ID`. `relay.recording.jobs` starts it.

It reports in lines of JSON (`relay.recording.process`). It ends when its standard input does, which is when the server dies.
"""

import argparse
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Any, Final

import msgspec

from relay.errors import RelayError
from relay.recording.assemble import assemble
from relay.recording.folder import RecordingFolder, remove_tree
from relay.sealed import SealedFile, SealKeys, seal_file

NICE: Final = 10
"""Calls come first: with this a job gets a ninth of a processor that media wants too."""

MAX_NOTE: Final = 500
"""Characters of what people are told."""

Outcome = dict[str, Any]
"""`verdict` and `note`, as far as there are."""


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
    parser = argparse.ArgumentParser(prog="relay.recording.work")
    parser.add_argument("kind", choices=("assemble", "verify"))
    parser.add_argument("directory", type=Path)
    parser.add_argument("recording_id")
    parser.add_argument("--mp4", action="store_true")
    parser.add_argument("--verify", action="store_true")
    given = parser.parse_args(arguments)
    os.nice(NICE)
    os.umask(0o077)
    threading.Thread(target=_end_with_input, daemon=True).start()
    reporter = _Reporter()
    folder = RecordingFolder(given.directory, SealKeys.parse(os.environ.pop("RELAY_RECORDING_KEY", "")))
    try:
        with folder.locked(given.recording_id):
            if given.kind == "assemble":
                result = _assemble(folder, given.recording_id, reporter, mp4=given.mp4, verify=given.verify)
            else:
                result = _verify(folder, given.recording_id, reporter)
    except BlockingIOError:
        reporter.say(failed="another process works on this recording")
        return 1
    except (RelayError, OSError, ValueError, ImportError) as error:
        reporter.say(failed=f"{type(error).__name__}: {error}"[:MAX_NOTE])
        return 1
    reporter.say(result=result)
    return 0


def _assemble(folder: RecordingFolder, recording_id: str, reporter: _Reporter, *, mp4: bool, verify: bool) -> Outcome:
    part, products = folder.part(recording_id), folder.products(recording_id)
    folder.remove_parts(recording_id)
    made = assemble(folder.capture(recording_id), part, mp4=mp4, keys=tuple(folder.keys), progress=reporter.progress)
    outcome: Outcome = {"note": "; ".join(made.warnings)[:MAX_NOTE]}
    if verify:
        try:
            outcome["verdict"] = _judge(folder, part, reporter, part)
        except Exception as error:
            # The products are as good as they were; the verification can be asked for again.
            outcome["note"] = f"verifying failed: {type(error).__name__}: {error}"[:MAX_NOTE]
    _finish(folder, part, reporter)
    # Nothing is there for the moment between these two. A download that has begun goes on with the old file.
    remove_tree(products)
    part.rename(products)
    _sync(folder.directory)
    return outcome


def _verify(folder: RecordingFolder, recording_id: str, reporter: _Reporter) -> Outcome:
    products = folder.products(recording_id)
    report = folder.report(recording_id)
    remove_tree(report)
    report.mkdir(mode=0o700)
    try:
        verdict = _judge(folder, products, reporter, report)
        _finish(folder, report, reporter)
        for file in report.iterdir():
            file.replace(products / file.name)
        _sync(products)
    finally:
        remove_tree(report)
    return {"verdict": verdict, "note": ""}


def _judge(folder: RecordingFolder, products: Path, reporter: _Reporter, out: Path) -> str:
    """What the verification finds: `passed`, `failed` or `unreadable`."""
    from relay.recording.verify import verify  # noqa: PLC0415 - numpy and scipy are loaded for it

    return verify(products, out=out, keys=tuple(folder.keys), progress=reporter.progress).verdict


def _finish(folder: RecordingFolder, part: Path, reporter: _Reporter) -> None:
    """Seal what was made, if there is a key, and wait until it is on the disk."""
    for file in sorted(part.iterdir()):
        if file.is_dir():
            shutil.rmtree(file)
        elif folder.keys.first is None:
            file.chmod(0o600)
            _sync(file)
        else:
            reporter.progress("sealing", 0.0)
            sealed = file.with_name(f"{file.name}.sealed")
            seal_file(file, sealed, folder.keys.first)
            SealedFile(sealed, folder.keys).close()
            sealed.replace(file)
    _sync(part)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _end_with_input() -> None:
    # Not `sys.stdin`: its lock, which a thread has while it reads, aborts the interpreter as that ends.
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
