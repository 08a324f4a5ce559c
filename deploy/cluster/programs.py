"""The programs of others that a cluster is made of, and the user that they run as."""

import os
import pwd
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from relay.errors import ConfigurationError

PACKAGES: Final = {"initdb": "postgresql", "postgres": "postgresql", "redis-server": "redis-server", "haproxy": "haproxy"}
"""Debian's package of each program."""


def find(name: str) -> str | None:
    """The program, or None. Debian keeps PostgreSQL's out of PATH, in a folder per version, and haproxy out of users' PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *map(str, versions)]))


def found(packages: Mapping[str, str]) -> Mapping[str, str]:
    """Where each of the programs is.

    Args:
        packages: the package of each program, as in `PACKAGES`.

    Raises:
        ConfigurationError: some are missing; a line with the command that installs their packages.
    """
    where = {name: find(name) for name in packages}
    missing = sorted({packages[name] for name, path in where.items() if path is None})
    if missing:
        names = " ".join(missing)
        raise ConfigurationError(
            f"A cluster on this machine needs programs that are missing. On Debian or Ubuntu: sudo apt-get install {names}"
        )
    return {name: path for name, path in where.items() if path is not None}


def unprivileged(directory: Path) -> dict[str, Any]:
    """Arguments of subprocess that give up root, which PostgreSQL refuses to run as; `directory` changes its owner."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(directory, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
