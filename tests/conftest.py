"""Fixtures that several folders of tests share."""

import functools
import gc
import logging
import signal
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from _pytest.nodeid import NodeId
from aiohttp import web_app

from tests.kit.compiled import share_compiled_statements

pytest_plugins = ("tests.kit.hanging",)

LAB = Path(__file__).with_name("lab")
INTEGRATION = Path(__file__).with_name("integration")

EXPENSIVE = {"shared_lab": "lab", "firefox": "Firefox", "whole_browser": "whole browser"}
"""Fixtures that start browsers for a whole run or module: groups whose tests run in one process, so that only one starts them."""

QUICK = "bare_page"
"""Tests that take it take the least of those with browsers."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "settings(**values): settings of the relay that this test starts")
    share_compiled_statements()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts its background jobs so (POSIX, "Asynchronous Lists"), and what a test starts would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if _within(LAB, item.path):
            item.add_marker(pytest.mark.lab)
        if _within(INTEGRATION, item.path) or "postgresql" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.servers)
        if (group := _group(item)) and config.getoption("loadgroup", default=False):
            # xdist 3.8 writes it where pytest has not looked since 9.1. Those of a group run in one process.
            item._id = NodeId.parse(f"{item.nodeid}@{group}")
    if config.getoption("loadgroup", default=False):
        items.sort(key=_place)


def _place(item: pytest.Item) -> tuple[bool, int]:
    """Where a test comes among several processes. Tests of one file often wait alike: where each comes is left to chance, the
    same chance each time, so that those that wait run beside those that compute.
    """
    if item.get_closest_marker("browser"):
        # Groups go first, and each process has three tests ahead: at the end they are to be short.
        return QUICK in getattr(item, "fixturenames", ()), 0
    part = item.nodeid.partition("::")[0] if _shares(item) else item.nodeid
    return False, zlib.crc32(part.encode())


def _shares(item: pytest.Item) -> bool:
    """Whether tests of its file share what one of them makes. Apart from each other, each would make it anew."""
    if item.get_closest_marker("servers"):
        return True
    fixtures = item._fixtureinfo.name2fixturedefs if isinstance(item, pytest.Function) else {}
    return any(definitions[-1].scope == "module" for definitions in fixtures.values() if definitions)


def _group(item: pytest.Item) -> str | None:
    if marker := item.get_closest_marker("xdist_group"):
        return str(marker.args[0])
    return next((group for fixture, group in EXPENSIVE.items() if fixture in getattr(item, "fixturenames", ())), None)


@functools.cache
def _within(folder: Path, file: Path) -> bool:
    """Asked for thousands of tests in some hundred files."""
    return folder in file.parents


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """The thousands of tests are there to the end: the garbage collector need not look at them again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_runtest_teardown() -> None:
    """aiohttp keeps the last 1024 applications that it answered for, each with the whole relay that it was."""
    web_app._cached_build_middleware.cache_clear()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The durations that the tests measured, and did not judge."""
    passed = terminalreporter.stats.get("passed", [])
    lines = [f"{name}: {value}  ({report.nodeid})" for report in passed for name, value in report.user_properties]
    if lines:
        terminalreporter.section("measured")
    for line in sorted(lines):
        terminalreporter.write_line(line)


@pytest.fixture
def no_errors_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail the test if, from here on, anybody logs an error or a traceback."""
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.WARNING, "aioice")  # the peers' own: every state of every candidate pair
    yield
    records = [record for phase in ("setup", "call", "teardown") for record in caplog.get_records(phase)]
    bad = [record for record in records if record.levelno >= logging.ERROR or record.exc_info]
    lines = map(logging.Formatter("%(levelname)s %(name)s %(message)s").format, bad)
    assert not bad, "logged:\n" + "\n".join(lines)


@pytest.fixture
def relay_settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the marker `settings` asks for."""
    marker = request.node.get_closest_marker("settings")
    return dict(marker.kwargs) if marker else {}


# Its deadline is a wall-clock time, and machines are busy.
hypothesis.settings.register_profile("relay", deadline=None)
hypothesis.settings.load_profile("relay")
# That of `make quick`: `make test` looks at a hundred.
hypothesis.settings.register_profile("quick", deadline=None, max_examples=25)
