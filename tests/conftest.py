"""Fixtures that several folders of tests share."""

import logging
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "settings(**values): settings of the relay that this test starts")


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
