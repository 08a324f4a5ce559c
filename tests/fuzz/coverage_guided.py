"""Fuzzing that follows coverage, with atheris (`pip install atheris`; it has wheels for Linux).

    python -m tests.fuzz.coverage_guided TARGET [libFuzzer's options, files or folders]

Begins with the committed corpus. What covers more is kept in `.fuzz/TARGET`; what fails is written to `.fuzz/crash-…`, and fed
again by naming it. `-max_total_time=60` ends after a minute.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Final

WORK: Final = Path(".fuzz")
"""Where it keeps its own finds: not in the repository."""


def main() -> None:
    try:
        atheris: Any = import_module("atheris")
    except ModuleNotFoundError:
        sys.exit("atheris is not installed: pip install atheris")  # not among what every test run needs
    with atheris.instrument_imports(include=["relay", "aioice"]):
        from tests.fuzz import targets
        from tests.fuzz.seeds import seeds
    if len(sys.argv) < 2 or sys.argv[1] not in targets.TARGETS:
        sys.exit(f"usage: python -m tests.fuzz.coverage_guided {'|'.join(targets.TARGETS)} [libFuzzer's options]")
    name, *options = sys.argv[1:]
    found, begin = WORK / name, WORK / f"{name}-corpus"
    for folder in (found, begin):
        folder.mkdir(parents=True, exist_ok=True)
    for seed, data in seeds(name).items():
        (begin / seed).write_bytes(data)
    folders = [] if any(not option.startswith("-") for option in options) else [str(found), str(begin)]
    arguments: list[Any] = [sys.argv[0], f"-artifact_prefix={WORK}/", *options, *folders]
    if not any(option.startswith("-max_len=") for option in options):
        arguments.insert(1, "-max_len=8192")
    atheris.Setup(arguments, targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
