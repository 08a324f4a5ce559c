"""docs/client_example.py, run."""

import asyncio
import contextlib
import sys
from pathlib import Path

import pytest

from relay.client import CallClient, CallOver, ClientCall, connect
from tests.kit import process
from tests.kit.peer import ToneTrack
from tests.kit.wait import eventually

pytestmark = pytest.mark.servers

LEVEL = "student_456: -15 dBFS"
"""Of the tone: -12 dBFS in one channel, which aiortc makes two of equal power."""
END = "student_456: the call is over: hangup"

EXAMPLE = Path(__file__).parents[2] / "docs" / "client_example.py"


async def called(client: CallClient) -> ClientCall | None:
    with contextlib.suppress(CallOver):  # it is offline
        return await client.call("tutor_789", media=[ToneTrack(440)])
    return None


async def read(stream: asyncio.StreamReader, lines: list[str]) -> None:
    async for line in stream:
        lines.append(line.decode().rstrip())


async def test_the_example_prints_the_level_of_the_other_party(tmp_path: Path) -> None:
    async with (
        process.serving(tmp_path, limit_invitations="off") as server,
        process.started(tmp_path, str(EXAMPLE), server.relay.url, "tutor_789", program=sys.executable) as example,
        connect(server.relay.url, "student_456") as client,
    ):
        assert example.stdout is not None
        call = await eventually(lambda: called(client), "the example is connected")
        printed: list[str] = []
        reading = asyncio.create_task(read(example.stdout, printed))
        await eventually(lambda: LEVEL in printed, lambda: f"the tone's level: {printed}")
        await call.hang_up()
        await eventually(lambda: printed[-1] == END, lambda: f"the end of the call: {printed}")
        reading.cancel()
