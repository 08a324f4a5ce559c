"""What becomes of tests that hang: run by a pytest of its own, with the settings of ours and shorter times."""

import asyncio
import configparser
import os
import re
import sys
from pathlib import Path

import pytest

from tests.kit.children import child
from tests.kit.wait import PATIENCE

pytestmark = pytest.mark.servers

ROOT = Path(__file__).parents[2]

HANGING = """
import asyncio
import subprocess
import threading
import time

import pytest
import pytest_asyncio


async def test_of_a_task():
    await asyncio.Event().wait()


async def test_of_a_child():
    process = await asyncio.create_subprocess_exec("sleep", "999", stdout=subprocess.PIPE)
    await process.communicate()


def test_of_a_thread():
    thread = threading.Thread(target=time.sleep, args=(999,), daemon=True)
    thread.start()
    thread.join()


@pytest.fixture
async def end():
    yield
    await asyncio.Event().wait()


async def test_of_an_end(end):
    pass


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def beginning():
    await asyncio.Event().wait()


def test_of_a_beginning(beginning):
    pass


async def test_that_catches_everything():
    while True:
        try:
            await asyncio.sleep(999)
        except BaseException:
            pass


def test_that_is_well():
    pass
"""


async def test_a_test_that_hangs_fails_and_the_others_are_run(tmp_path: Path) -> None:
    """The output is read to its end, as CI does: no process that hangs may hold it open."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(ROOT / "setup.cfg")
    settings["tool:pytest"].update({"timeout": "0.5", "faulthandler_timeout": "2.5", "testpaths": "."})
    with (tmp_path / "setup.cfg").open("w") as file:
        settings.write(file)
    (tmp_path / "test_hanging.py").write_text(HANGING)
    command = (sys.executable, "-m", "pytest", "-n", "1", "--color=no", "-p", "tests.kit.hanging")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    path = {"cwd": tmp_path, "env": {**environment, "PYTHONPATH": str(ROOT)}}
    async with child(*command, **path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT) as run:
        said, _ = await asyncio.wait_for(run.communicate(), 3 * PATIENCE)
    output = said.decode()
    assert {*re.findall(r"(?m)^(?:FAILED|ERROR) test_hanging\.py::(\w+)", output)} == {
        "test_of_a_task",
        "test_of_a_child",
        "test_of_a_thread",
        "test_of_an_end",
        "test_of_a_beginning",
        "test_that_catches_everything",
    }, output
    assert re.search("worker 'gw[0-9]+' crashed while running 'test_hanging.py::test_that_catches_everything'", output), output
    where = r'waits in\n  File ".*test_hanging.py", line \d+, in test_of_a_task\n    await asyncio.Event'
    assert re.search(where, output), output
