"""`make run`, as a user types it."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
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
        commands = [line for line in shown.splitlines() if "-m pytest" in line]
        assert commands
        assert all(re.search(r"pytest .* tests/sdp($|;|')", line) for line in commands)
    assert "hypothesis-profile" not in shown, "`make test` leaves nothing out"


def test_a_cluster_has_as_many_nodes_as_one_likes_and_the_settings_of_the_command_line(environment: Path) -> None:
    made = make(environment, "cluster", "NODES=5", "PORT=9000")
    assert made.stdout.splitlines()[0] == "['-m', 'deploy.cluster', '--nodes', '5']"
    assert "RELAY_PORT 9000" in made.stdout
    assert "'--nodes', '3'" in make(environment, "cluster").stdout


def side_by_side(first: str, second: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "tests" / "side-by-side"), first, second]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_two_parts_of_the_tests_run_at_once_and_what_they_say_does_not_mix() -> None:
    ran = side_by_side("sleep 0.2; echo one; echo two", "echo three")
    assert (ran.returncode, ran.stdout) == (0, "three\none\ntwo\n")


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [("exit 5", "true", 0), ("true", "exit 5", 0), ("exit 1", "exit 5", 1), ("true", "exit 2", 2), ("exit 1", "true", 1)],
)
def test_a_part_without_tests_is_no_failure_and_any_other_one_is(first: str, second: str, status: int) -> None:
    assert side_by_side(first, second).returncode == status


def test_both_parts_of_the_tests_end_by_ctrl_c(tmp_path: Path) -> None:
    as_pytest = "import pathlib, signal, sys, time; signal.signal(signal.SIGINT, signal.default_int_handler)"
    waits = f"{as_pytest}; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
    ready = [tmp_path / name for name in ("first", "second")]
    parts = [shlex.join([sys.executable, "-c", waits, str(path)]) for path in ready]
    command = [str(ROOT / "tests" / "side-by-side"), *parts]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True) as both:
        while not all(path.exists() for path in ready):
            time.sleep(0.05)
        os.killpg(both.pid, signal.SIGINT)  # as a terminal does
        said, _ = both.communicate(timeout=60)
    assert both.returncode == 130
    assert said.count("KeyboardInterrupt") == 2
