"""Which public address this machine has, as a STUN server sees it (RFC 8489 section 2)."""

import asyncio
import ipaddress
import socket
from typing import Final

from aioice import stun

from relay.stun import parse

ATTEMPTS: Final = 5

FIRST_WAIT: Final = 0.25
"""Seconds until the request is sent again; doubled each time, so that five take 8 s (RFC 8489 section 6.2.1)."""


class _Asking(asyncio.DatagramProtocol):
    def __init__(self, request: stun.Message) -> None:
        self._request = request
        self.mapped: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        message = parse(data)
        if message is None:
            return
        mapped = message.attributes.get("XOR-MAPPED-ADDRESS") or message.attributes.get("MAPPED-ADDRESS")
        is_answer = message.transaction_id == self._request.transaction_id and message.message_class is stun.Class.RESPONSE
        if is_answer and mapped and not self.mapped.done():
            self.mapped.set_result(mapped[0])

    def error_received(self, exc: Exception) -> None:
        """No process listens there (ICMP): as good as no answer, and the next request may be answered."""


async def discover(server: str, *, first_wait: float = FIRST_WAIT) -> tuple[str, str] | None:
    """The public and the local address of the way to the internet.

    Args:
        server: of STUN, `HOST:PORT`.
        first_wait: seconds until the request is sent again; doubled each time.

    Returns:
        None, if there is no answer.
    """
    host, _, port = server.rpartition(":")
    loop = asyncio.get_running_loop()
    request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    try:
        transport, protocol = await loop.create_datagram_endpoint(
            lambda: _Asking(request), remote_addr=(host.strip("[]"), int(port)), family=socket.AF_UNSPEC
        )
    except OSError:
        return None
    try:
        local = transport.get_extra_info("sockname")[0]
        for attempt in range(ATTEMPTS):
            transport.sendto(bytes(request))
            try:
                mapped = await asyncio.wait_for(asyncio.shield(protocol.mapped), first_wait * 2**attempt)
            except TimeoutError:
                continue
            return str(ipaddress.ip_address(mapped)), str(ipaddress.ip_address(local.partition("%")[0]))
        return None
    finally:
        transport.close()
