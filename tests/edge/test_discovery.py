"""Asking a STUN server for the public address."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast

import pytest
from aioice import stun

from relay.edge.discovery import ATTEMPTS, discover


class StunServer(asyncio.DatagramProtocol):
    """Says that everybody comes from 203.0.113.7, after some attempts, and with some garbage before."""

    def __init__(self, ignored: int = 0) -> None:
        self.requests = 0
        self._ignored = ignored
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.requests += 1
        if self.requests <= self._ignored:
            return
        request = stun.parse_message(data)
        self._transport.sendto(b"garbage", addr)
        for number, transaction_id in (("198.51.100.66", b"another one!"), ("203.0.113.7", request.transaction_id)):
            answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, transaction_id)
            answer.attributes["XOR-MAPPED-ADDRESS"] = (number, 4711)
            self._transport.sendto(bytes(answer), addr)


@contextlib.asynccontextmanager
async def serving(ignored: int = 0) -> AsyncIterator[tuple[str, StunServer]]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: StunServer(ignored), local_addr=("127.0.0.1", 0)
    )
    host, port = transport.get_extra_info("sockname")
    try:
        yield f"{host}:{port}", server
    finally:
        transport.close()


async def test_the_servers_answer_is_the_public_address() -> None:
    async with serving() as (address, _):
        assert await discover(address, first_wait=0.02) == ("203.0.113.7", "127.0.0.1")


async def test_a_lost_request_is_sent_again() -> None:
    async with serving(ignored=2) as (address, server):
        assert await discover(address, first_wait=0.02) == ("203.0.113.7", "127.0.0.1")
        assert server.requests >= 3, "more, where the machine is slow"


async def test_a_server_that_is_silent_is_given_up() -> None:
    async with serving(ignored=1000) as (address, server):
        assert await discover(address, first_wait=0.02) is None
        assert server.requests == ATTEMPTS


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no such host:3478", "host.invalid:3478"])
async def test_a_server_that_is_not_there_is_given_up(address: str) -> None:
    assert await discover(address, first_wait=0.02) is None
