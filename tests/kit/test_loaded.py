"""A relay that is a fork of one that is loaded is, to a test, what one is that an operator starts."""

import os
import signal
from pathlib import Path

import pytest

from tests.kit.process import ANEW, LOCAL, run, serving, started

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("arguments", [("--help",), ("dance",), ("check-config",), ("check-config", "--help")])
async def test_it_says_the_same_and_ends_with_the_same_status(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    given = {"jwt_secret": "s" * 40, "port": "8001"}
    assert await run(tmp_path, *arguments, **given) == await run(tmp_path, *arguments, program=ANEW, **given)


async def test_it_leads_a_session_of_its_own_and_a_signal_that_ends_it_is_its_status(tmp_path: Path) -> None:
    async with serving(tmp_path) as one, started(tmp_path, "serve", **LOCAL) as other:
        for process in (one.process, other):
            assert os.getsid(process.pid) == process.pid
        other.kill()
        assert await other.wait() == -signal.SIGKILL
        assert (await one.stop(signal.SIGTERM)).status == 0
