"""A network of its own for the benchmark: what it sends cannot leave the machine, by construction.

It also gives the servers an interface that is not the loopback one: libnice (Janus) and aioice (aiortc) gather no candidates on
that. Its address is still of the loopback range.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

_MARK: Final = "BENCH_ADDRESS"
_ADDRESS_INSIDE: Final = "127.0.1.1"
_ADDRESS_OUTSIDE: Final = "127.0.0.1"

INSIDE: Final = _MARK in os.environ
ADDRESS: Final = os.environ.get(_MARK, _ADDRESS_OUTSIDE)
"""Where every server listens and every generator socket is bound."""


def enter(arguments: Sequence[str]) -> None:
    """Start this program over in a network namespace of its own. Returns without one where the system does not allow it."""
    command = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    if not (shutil.which("unshare") and shutil.which("ip")):
        return
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        return
    environment = {**os.environ, _MARK: _ADDRESS_INSIDE}
    os.execvpe(command[0], [*command, sys.executable, "-m", "bench", *arguments], environment)


def furnish() -> None:
    """Bring up the namespace's loopback interface and a pair of virtual ones that lead nowhere."""
    for command in (
        "ip link set lo up",
        "ip link add bench0 type veth peer name bench1",
        f"ip address add {ADDRESS}/32 dev bench0",
        "ip link set bench0 up",
        "ip link set bench1 up",
    ):
        subprocess.run(command.split(), check=True)
