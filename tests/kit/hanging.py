"""A pytest plugin: a test that hangs says where, and leaves nothing behind that would keep the run from its end.

After `timeout` seconds (setup.cfg) pytest-timeout lets the test fail, and the run goes on. Where even that does not help, because
the test catches everything or never returns to Python, its process ends after `faulthandler_timeout`. With several processes
that is a failure of this test only, too.
"""

import asyncio
import contextlib
import ctypes
import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key

PR_SET_CHILD_SUBREAPER: Final = 36
"""Of prctl(2): processes whose parent has ended become this process's children."""


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer() -> Generator[None, object, object]:
    done = yield
    fail = signal.getsignal(signal.SIGALRM)

    def tell(number: int, frame: FrameType | None) -> None:
        # What runs at that moment is the event loop: the test that waits is not among its frames.
        with contextlib.suppress(RuntimeError):
            for task in asyncio.all_tasks(asyncio.get_running_loop()):
                sys.stderr.write(f"\n{task.get_name()} waits in\n{''.join(traceback.format_list(waiting_in(task)))}")
        if callable(fail):
            fail(number, frame)

    if callable(fail):
        signal.signal(signal.SIGALRM, tell)
    return done


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """pytest ends the watch over a test when it fails, for the sake of debuggers; but what follows may hang, too."""
    if isinstance(node, pytest.Item):
        limit, stderr = float(node.config.getini("faulthandler_timeout")), node.config.stash[fault_handler_stderr_fd_key]
        faulthandler.dump_traceback_later(limit, file=stderr, exit=True)


def waiting_in(task: "asyncio.Task[Any]") -> traceback.StackSummary:
    """Where a task waits, from the outermost coroutine to the innermost. (`Task.get_stack` has the outermost only.)"""
    frames: list[tuple[FrameType, int]] = []
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            frames.append((frame, frame.f_lineno))
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return traceback.StackSummary.extract(iter(frames))


def pytest_configure(config: pytest.Config) -> None:
    if leads(config):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        threading.Thread(target=_reap, name="reaper", daemon=True).start()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End what the processes of tests that hung have left. It would hold the run's output open, which CI reads to its end."""
    if leads(config):
        for pid in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def leads(config: pytest.Config) -> bool:
    """Whether other processes run the tests for this one."""
    return sys.platform == "linux" and not hasattr(config, "workerinput") and bool(config.getoption("numprocesses", default=None))


def _reap() -> None:
    """What a test left and has ended since: until its status is asked for, it seems to be there."""
    while True:
        for pid in children(os.getpid()):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.1)


def descendants(pid: int) -> list[int]:
    return [deeper for child in children(pid) for deeper in (child, *descendants(child))]


def children(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        listed = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children")]
        return [int(one) for one in " ".join(listed).split()]
    return []
