"""Connections that break at any moment: all their state is dropped, and nothing is in the log."""

import asyncio
import contextlib
import socket
import ssl

import pytest
from aioice import stun

from relay.edge.limits import EdgeLimits
from relay.edge.tcp.framing import frame
from relay.turn.messages import build
from tests.edge.kit import HERE, REQUEST, RunningEdge, trusting
from tests.kit.media import connectivity_check
from tests.kit.wait import eventually

RESET = b"\x01\0\0\0\0\0\0\0"
"""SO_LINGER: on, no seconds."""

ALLOCATE = build(stun.Method.ALLOCATE, stun.Class.REQUEST, bytes(12), {"REQUESTED-TRANSPORT": 17 << 24})


@pytest.fixture
def limits() -> EdgeLimits:
    """uvloop does not always report a reset while nothing has been read: then the decision timeout ends the connection."""
    return EdgeLimits(decision_timeout=2.0)


async def forgotten(edge: RunningEdge) -> None:
    [listener] = edge.edge._listeners
    admission = edge.edge._admission
    await eventually(lambda: not listener._undecided and not len(admission.undecided), "no connection is undecided")
    await eventually(lambda: edge.edge.connection_count == 0 and not len(admission.streams), "no stream is left")
    await eventually(lambda: not edge.edge._tunnel, "no stream to a worker is left")


def break_off(port: int, data: bytes, kind: str, context: ssl.SSLContext | None) -> None:
    """Connect, say something, and go: with a reset, in order, or leaving the other direction open first."""
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        plain = socket.create_connection((HERE, port), 10)
        one = stack.enter_context(context.wrap_socket(plain) if context else plain)
        one.sendall(data)
        if kind == "reset":
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        elif kind == "half":
            plain.shutdown(socket.SHUT_WR) if context is None else one.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("within", ["tcp", "tls"])
@pytest.mark.parametrize("kind", ["reset", "close", "half"])
async def test_a_connection_may_break_after_any_byte(secure: RunningEdge, within: str, kind: str) -> None:
    relay = await secure.transport()
    context = trusting() if within == "tls" else None
    for whole in (REQUEST, frame(bytes(connectivity_check(relay))) * 2, ALLOCATE * 2):
        for cut in range(0, len(whole) + 1, 1 if context is None else 9):
            await asyncio.to_thread(break_off, secure.edge.port, whole[:cut], kind, context)
    await forgotten(secure)
    async with secure.connected(ssl=context) as one:
        one.send(REQUEST)
        assert (await one.rest()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("kind", ["reset", "close", "half"])
async def test_a_handshake_may_break_after_any_byte(secure: RunningEdge, kind: str) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        trusting().wrap_bio(incoming, outgoing).do_handshake()
    hello = outgoing.read()
    for cut in range(0, len(hello) + 1, 5):
        await asyncio.to_thread(break_off, secure.edge.port, hello[:cut], kind, None)
    for garbage in (
        hello + bytes(50),
        hello[:5] + b"\xff" * 600,
        b"\x16\x03\x01\xff\xff" + bytes(70_000),
        hello * 3,
        b"\x16\x03" * 99,
    ):
        await asyncio.to_thread(break_off, secure.edge.port, garbage, kind, None)
    await forgotten(secure)
    async with secure.connected(ssl=trusting()) as one:
        one.send(REQUEST)
        assert (await one.rest()).startswith(b"HTTP/1.1 200 ")


async def test_the_edge_may_close_while_connections_are_in_every_stage(secure: RunningEdge) -> None:
    relay = await secure.transport()
    check = frame(bytes(connectivity_check(relay)))
    async with contextlib.AsyncExitStack() as stack:
        for said in (b"", b"GET", b"\x16\x03\x01\x02\x00", check, ALLOCATE, check[:30], ALLOCATE[:15]):
            for _ in range(5):
                one = await stack.enter_async_context(secure.connected())
                one.send(said)
        secure.edge.close()
    [listener] = secure.edge._listeners
    await eventually(lambda: not listener._undecided, "no connection is undecided")
