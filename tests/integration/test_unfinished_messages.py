"""WebSocket messages that never come to their end cost no memory, however many clients hold back their last byte."""

import asyncio
import base64
import re
import signal
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from relay.signaling.presence.websocket import HARD_LIMIT
from tests.kit.process import ANEW, Server, serving

pytestmark = pytest.mark.servers

CONNECTIONS: Final = 30

ALLOWED: Final = 40 * 1024
"""kB that the process may grow by: the connections themselves, and 64 KB for each. They send 120 MB."""


def memory_of(server: Server) -> int:
    """kB that the process has."""
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{server.process.pid}/status").read_text())[0])


async def test_unfinished_messages_keep_no_memory(tmp_path: Path) -> None:
    async with serving(tmp_path, program=ANEW, limit_connections="off") as server:
        host, port = server.relay.url.removeprefix("http://").split(":")
        profile = {"profile_type": "student", "profile_id": 456}
        tokens = []
        async with aiohttp.ClientSession(server.relay.url) as http:
            for number in range(2):
                async with http.post("/api/dev/login", json={**profile, "profile_id": 456 + number}) as response:
                    tokens.append((await response.json())["token"])
        before = memory_of(server)
        writers = []
        for number in range(CONNECTIONS):
            reader, writer = await asyncio.open_connection(host, int(port))
            writers.append(writer)
            key = base64.b64encode(bytes(16)).decode()
            head = f"GET /ws/{456 + number % 2}/student?version=2 HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
            head += f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            writer.write(f"{head}Authorization: Bearer {tokens[number % 2]}\r\n\r\n".encode())
            assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
            fragmented = b"\x01" if number % 3 else b"\x81"
            writer.write(fragmented + b"\xff" + (HARD_LIMIT - 2).to_bytes(8) + b"mask" + b"x" * (HARD_LIMIT - 3))
            await writer.drain()
        assert memory_of(server) - before < ALLOWED
        for writer in writers:
            writer.transport.abort()
        outcome = await server.stop(signal.SIGTERM)
    assert "Traceback" not in outcome.err
