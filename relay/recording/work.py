"""The program of one job: `python -m relay.recording.work assemble|verify DIRECTORY ID`. `relay.recording.jobs` starts it.

It reports in lines of JSON (`relay.recording.process`). It ends when its standard input does, which is when the server dies.
"""

import argparse
import os
import shutil
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import msgspec

from relay.errors import RelayError
from relay.recording.folder import RecordingFolder, remove_tree
from relay.sealed import SealedFile, SealKeys, seal_file

NICE: Final = 10
"""Calls come first: with this a job gets a ninth of a processor that media wants too."""

REPORTS: Final = ("report.json", "report.html")

Verdict = dict[str, Any]


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
        reporter.say(failed=f"{type(error).__name__}: {error}"[:500])
        return 1
    reporter.say(result=result)
    return 0


def _assemble(folder: RecordingFolder, recording_id: str, reporter: _Reporter, *, mp4: bool, verify: bool) -> Verdict:
    assemble = import_module("relay.recording.assemble").assemble  # PyAV is loaded for it

    part, products = folder.part(recording_id), folder.products(recording_id)
    remove_tree(part)
    part.mkdir(mode=0o700)
    assemble(folder.capture(recording_id), part, mp4=mp4, keys=folder.keys, progress=reporter.progress)
    verdict = _judged(part, reporter.progress) if verify else {}
    _finish(folder, part, reporter)
    # Nothing is ever missing for longer than between these two: a download that has begun goes on with the old file.
    remove_tree(products)
    part.rename(products)
    _sync(folder.directory)
    return verdict


def _judged(directory: Path, progress: Callable[[str, float], None]) -> Verdict:
    """What the verification has found; nothing where it is not installed. That it fails does not make the products bad."""
    try:
        verify = import_module("relay.recording.verify").verify  # numpy and scipy are loaded for it
    except ImportError:
        return {}
    try:
        return {"verdict": _word(verify(directory, progress=progress))}
    except ImportError:
        return {}
    except Exception as error:
        return {"note": f"verifying failed: {type(error).__name__}: {error}"[:500]}


def _word(found: Any) -> str:
    """`passed`, `failed` or `unreadable`."""
    return str(getattr(found, "verdict", found))


def _verify(folder: RecordingFolder, recording_id: str, reporter: _Reporter) -> Verdict:
    verify = import_module("relay.recording.verify").verify

    products = folder.products(recording_id)
    if folder.keys.first is None:
        found = _word(verify(products, progress=reporter.progress))
        for name in REPORTS:
            (products / name).chmod(0o600)
        return {"verdict": found}
    plain = folder.plain(recording_id)
    remove_tree(plain)
    plain.mkdir(mode=0o700)
    try:
        for file in sorted(products.iterdir()):
            _unseal(folder, recording_id, file.name, plain / file.name)
        found = _word(verify(plain, progress=reporter.progress))
        for name in REPORTS:
            sealed = plain / f"{name}.sealed"
            seal_file(plain / name, sealed, folder.keys.first)
            sealed.replace(products / name)
    finally:
        remove_tree(plain)
    return {"verdict": found}


def _unseal(folder: RecordingFolder, recording_id: str, name: str, target: Path) -> None:
    opened = folder.open(recording_id, name)
    try:
        with target.open("wb") as file:
            for start in range(0, opened.size, 1 << 20):
                file.write(opened.read(start, start + (1 << 20)))
    finally:
        opened.close()


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
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
