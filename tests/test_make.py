"""`make run`, as a user types it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

SECRET = 'it\'s a "secret" of 32 characters or more; & so on'

SHOWING = """\
#!{python}
import os, sys
print(sys.argv[1:])
for name in ("RELAY_DEV", "RELAY_JWT_SECRET", "RELAY_PORT"):
    print(name, os.environ.get(name))
"""
"""In place of Python: shows what the relay would get."""


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment that has everything already."""
    programs = tmp_path / "bin"
    programs.mkdir()
    python = programs / "python"
    python.write_text(SHOWING.format(python=sys.executable))
    python.chmod(0o755)
    (programs / ".relay").touch()
    return tmp_path


def make(environment: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RELAY_", "MAKE"))}
    command = ["make", "--no-print-directory", f"VENV={environment}", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**inherited, **variables}, capture_output=True, text=True, check=True, timeout=60
    )


def test_settings_of_makes_command_line_reach_the_relay_by_its_environment(environment: Path) -> None:
    made = make(environment, "run", f"JWT_SECRET={SECRET}", "PORT=9000")
    assert made.stdout.splitlines() == [
        "['-m', 'relay', 'serve']",
        "RELAY_DEV 1",
        f"RELAY_JWT_SECRET {SECRET}",
        "RELAY_PORT 9000",
    ]


def test_no_command_that_make_runs_bears_a_secret_and_one_on_its_own_command_line_is_warned_of(environment: Path) -> None:
    shown = make(environment, "--dry-run", "run", f"JWT_SECRET={SECRET}", "PORT=9000")
    assert "secret" not in shown.stdout.lower()
    assert "JWT_SECRET is on the command line of make" in shown.stderr
    assert "RELAY_JWT_SECRET=… make run" in shown.stderr


def test_a_secret_of_the_environment_is_the_way_to_do_it(environment: Path) -> None:
    made = make(environment, "run", RELAY_JWT_SECRET=SECRET, RELAY_PORT="9000")
    assert f"RELAY_JWT_SECRET {SECRET}" in made.stdout
    assert made.stderr == ""


def test_development_mode_can_be_left_out(environment: Path) -> None:
    assert "RELAY_DEV 0" in make(environment, "run", "DEV=0").stdout


def test_a_part_of_the_tests_runs_in_as_many_processes_as_one_likes(environment: Path) -> None:
    for target in ("quick", "test"):
        shown = make(environment, "--dry-run", target, "TESTS=tests/sdp", "PROCESSES=2").stdout
        assert " -n 2 " in shown
        commands = [line for line in shown.splitlines() if "-m pytest" in line and "--collect-only" not in line]
        assert commands
        assert all(re.search(r"pytest .* tests/sdp($|;)", line) for line in commands)
    assert "hypothesis-profile" not in shown, "`make test` leaves nothing out"


def test_a_cluster_has_as_many_nodes_as_one_likes_and_the_settings_of_the_command_line(environment: Path) -> None:
    made = make(environment, "cluster", "NODES=5", "PORT=9000")
    assert made.stdout.splitlines()[0] == "['-m', 'deploy.cluster', '--nodes', '5']"
    assert "RELAY_PORT 9000" in made.stdout
    assert "'--nodes', '3'" in make(environment, "cluster").stdout


def test_no_script_that_minds_each_part_of_a_pipe_reads_only_the_beginning_of_one() -> None:
    """A program that writes into a pipe whose reader has ended fails, by chance: `set -o pipefail` then fails the script."""
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    scripts = [text for name in names if (text := (ROOT / name).read_bytes()).startswith(b"#!") and b"pipefail" in text[:200]]
    assert scripts
    for script in scripts:
        assert not re.search(rb"\|\s*(grep\s+(-\w*[qm]|--quiet|--max-count)|head\b|sed\s.*\bq\b)", script)
