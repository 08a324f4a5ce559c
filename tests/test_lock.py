"""What is installed, to the byte: the locks fit setup.cfg, and each other."""

import configparser
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]

PYTHONS = ("3.11.9", "3.12.4", "3.13.0")

LOCKS = ("requirements.lock", "requirements-dev.lock")


def pins(lock: str) -> list[Requirement]:
    text = (ROOT / lock).read_text()
    return [Requirement(line.removesuffix("\\")) for line in text.splitlines() if line and line[0] not in "# "]


def pinned(lock: str, python: str) -> dict[str, str]:
    """Version of each package for a Python on Linux."""
    where = {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    where |= {"sys_platform": "linux", "platform_python_implementation": "CPython", "implementation_name": "cpython"}
    fitting = [one for one in pins(lock) if one.marker is None or one.marker.evaluate(where)]
    versions = {str(canonicalize_name(one.name)): str(one.specifier).removeprefix("==") for one in fitting}
    assert len(versions) == len(fitting), "each package once"
    return versions


def wanted(extra: str | None) -> list[Requirement]:
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(ROOT / "setup.cfg")
    text = settings["options.extras_require"][extra] if extra else settings["options"]["install_requires"]
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("#", "%"))]
    return [Requirement(line.strip()) for line in lines]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_hashes_for_everything_and_names_no_registry(lock: str) -> None:
    text = (ROOT / lock).read_text()
    for entry in re.split(r"\n(?=[^# ])", text)[1:]:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry
    assert "://" not in text
    assert "index-url" not in text


@pytest.mark.parametrize("python", PYTHONS)
def test_the_locks_have_all_that_setup_cfg_asks_for_in_the_versions_that_it_allows(python: str) -> None:
    for lock, extras in (
        ("requirements.lock", (None, "postgresql", "cluster")),
        ("requirements-dev.lock", (None, "postgresql", "cluster", "dev")),
    ):
        versions = pinned(lock, python)
        for one in (one for extra in extras for one in wanted(extra)):
            name = canonicalize_name(one.name)
            assert name in versions, f"{name} is missing in {lock}: make lock"
            assert one.specifier.contains(versions[name]), f"{one} is not what {lock} has: make lock"


@pytest.mark.parametrize("python", PYTHONS)
def test_the_tested_versions_are_the_shipped_versions(python: str) -> None:
    assert pinned("requirements.lock", python).items() <= pinned("requirements-dev.lock", python).items()


def test_every_library_has_an_upper_end() -> None:
    """A new major version is tried before the bound is raised."""
    open_ended = [str(one) for one in wanted(None) if not re.search(r"<|==", str(one.specifier))]
    assert not open_ended


def test_the_container_file_installs_from_the_lock_what_is_there() -> None:
    text = (ROOT / "deploy" / "Containerfile").read_text()
    copied = [name for line in re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", text) for name in line.split()]
    assert {"requirements.lock", "setup.cfg", "relay", "web"} <= set(copied)
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert "--require-hashes -r requirements.lock" in text
