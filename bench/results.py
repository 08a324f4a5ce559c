"""Everything that a run measured, and where and with what it was measured."""

import importlib.metadata
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.calls import ActiveCalls, IdleCalls
from bench.plan import Plan
from bench.windows import Window


@dataclass(slots=True)
class Results:
    """Raw figures, in the order in which they were taken."""

    plan: Plan
    subjects: dict[str, str] = field(default_factory=dict)
    """Name → what it is, of the servers that were measured."""
    steady: list[Window] = field(default_factory=list)
    peaks: list[Window] = field(default_factory=list)
    """The windows of the highest rates without loss."""
    residence: list[Window] = field(default_factory=list)
    """At half of the highest rate; with `direct`, the same traffic without a server."""
    idle: list[IdleCalls] = field(default_factory=list)
    active: list[ActiveCalls] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """What could not be measured, and why."""

    def as_json(self) -> dict[str, Any]:
        """For `json.dump`: plain values only."""
        return {"taken": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), **asdict(self)}


def machine() -> dict[str, str]:
    """Processor, kernel and versions."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "processor": model,
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("aiortc", "pylibsrtp", "uvloop")},
        **{name: version for name in ("janus", "coturn") if (version := _debian_version(name))},
    }


def _debian_version(package: str) -> str:
    """Of an installed package, or an empty string."""
    command = ["dpkg-query", "--show", "--showformat=${Version}", package]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""
