"""Eviction when a table is full: attackers with a few addresses lose their own connections, and no other client's.

The attackers are 127.0.0.2 and so on; 127.0.0.1 counts as a proxy on this machine.
"""

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aioice import stun

from relay.edge.limits import DEFAULTS, EdgeLimits
from relay.edge.tcp.admission import keepalive
from relay.edge.tcp.bounds import Bound, Bounds
from relay.turn.messages import build
from tests.edge.kit import HERE, REQUEST, Connection, RunningEdge, limited, trusting
from tests.edge.test_turn import allocation, media_address
from tests.kit.media import connectivity_check
from tests.kit.wait import eventually

SILENT = b""
HALF_A_HEAD = b"GET /here HTTP/1.1\r\nHost:"
HELLO = b"\x16\x03\x01\x02\x00\x01"
BINDING = build(stun.Method.BINDING, stun.Class.REQUEST, bytes(12), {})
KEPT = REQUEST.replace(b"close", b"keep-alive")

SMALL = Bounds(undecided=Bound(12, 4), http=Bound(12, 4), websockets=Bound(3, 2), streams=Bound(4, 2))


@pytest.fixture
async def small(no_errors_logged: None, limits: EdgeLimits) -> AsyncIterator[RunningEdge]:
    """A edge that has few places."""
    async with RunningEdge.started(bounds=SMALL, limits=limits) as running:
        yield running


def attacker(number: int) -> dict[str, Any]:
    return {"local_addr": (f"127.0.0.{number + 2}", 0)}


async def is_served(edge: RunningEdge, context: ssl.SSLContext | None = None, **options: Any) -> bool:
    async with edge.connected(ssl=context, **options) as one:
        one.send(REQUEST)
        return (await one.rest()).startswith(b"HTTP/1.1 200 ")


async def kept(one: Connection) -> None:
    """Have a request answered, and keep the connection."""
    one.send(KEPT)
    async with asyncio.timeout(20):
        assert (await one.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        await one.reader.readuntil(b"}")


async def is_over(one: Connection) -> bool:
    return await one.rest() == b""


# -- those that have not said what they want ----------------------------------------------------------------------------


@pytest.mark.parametrize("said", [SILENT, HALF_A_HEAD, b"\x00\x14", BINDING], ids=["nothing", "half", "frame", "stun"])
async def test_a_few_silent_addresses_shut_no_one_out(small: RunningEdge, said: bytes) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for number in range(30):
            one = await stack.enter_async_context(small.connected(**attacker(number % 3)))
            one.send(said)
        await small.counted("connections", 30)
        assert await is_served(small, **attacker(7)), "another address"
        assert await is_served(small, **attacker(0)), "a neighbour of an attacker, behind the same address"
    assert small.counters["refused_address"] > 0


async def test_a_few_addresses_in_the_middle_of_tls_shut_no_one_out(secure: RunningEdge) -> None:
    secure.edge._admission.fit(SMALL)
    async with contextlib.AsyncExitStack() as stack:
        for number in range(20):
            one = await stack.enter_async_context(secure.connected(**attacker(number % 3)))
            one.send(HELLO)
        await secure.counted("connections_tls", 12)
        assert await is_served(secure, trusting(), **attacker(7))
        assert await is_served(secure, trusting(), **attacker(0))


async def test_the_one_that_has_been_silent_longest_goes(small: RunningEdge) -> None:
    async with contextlib.AsyncExitStack() as stack:
        ones = []
        for number in range(5):
            ones.append(await stack.enter_async_context(small.connected(**attacker(0))))
            await small.counted("connections", number + 1)
        assert await is_over(ones[0])
        for one in ones[1:]:
            one.send(REQUEST)
            assert (await one.rest()).startswith(b"HTTP/1.1 200 ")
    assert small.counters["refused_address"] == 1


async def test_many_addresses_with_one_connection_each_lose_the_oldest(small: RunningEdge) -> None:
    async with contextlib.AsyncExitStack() as stack:
        ones = []
        for number in range(13):
            ones.append(await stack.enter_async_context(small.connected(**attacker(number))))
            await small.counted("connections", number + 1)
        assert await is_over(ones[0])
    assert small.counters["refused_full"] == 1


# -- HTTP -------------------------------------------------------------------------------------------------------------


async def test_a_few_addresses_with_idle_http_connections_shut_no_one_out(small: RunningEdge) -> None:
    async with contextlib.AsyncExitStack() as stack:
        friend = await stack.enter_async_context(small.connected(**attacker(9)))
        await kept(friend)
        for number in range(24):
            await kept(await stack.enter_async_context(small.connected(**attacker(number % 4))))
        assert await is_served(small, **attacker(7))
        assert await is_served(small, **attacker(0))
        await kept(friend)  # the address that had least has lost nothing
    assert small.counters["refused_address"] + small.counters["refused_full"] >= 12


async def test_a_request_that_is_being_answered_is_not_cut_off_for_a_new_connection(small: RunningEdge) -> None:
    table = small.edge._admission.http
    async with small.connected(**attacker(0)) as busy, contextlib.AsyncExitStack() as stack:
        await kept(busy)
        [connection] = table
        with small.edge._admission.busy(table, connection):
            for _ in range(6):
                await kept(await stack.enter_async_context(small.connected(**attacker(0))))
        await kept(busy)


async def test_a_connection_that_asks_again_and_again_is_not_the_oldest_idle_one(small: RunningEdge) -> None:
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(small.connected(**attacker(0)))
        await kept(first)
        for _ in range(8):
            await kept(await stack.enter_async_context(small.connected(**attacker(0))))
            await kept(first)


async def test_a_trusted_proxy_has_more_connections_than_an_address(no_errors_logged: None) -> None:
    proxy = ipaddress.ip_network("127.0.0.5")
    async with RunningEdge.started(bounds=SMALL, trusted_proxies=(str(proxy),)) as edge, contextlib.AsyncExitStack() as stack:
        ones = []
        for _ in range(10):
            ones.append(await stack.enter_async_context(edge.connected(local_addr=("127.0.0.5", 0))))
            await kept(ones[-1])
        for number in range(8):
            await kept(await stack.enter_async_context(edge.connected(**attacker(number % 2))))
        for one in ones:
            await kept(one)
    assert edge.counters["refused_full"] == 6


@limited(keepalive=0.1, least_keepalive=0.01)
async def test_idle_connections_are_kept_for_a_shorter_time_when_places_are_scarce(small: RunningEdge) -> None:
    assert keepalive(0, 12) == keepalive(6, 12) == DEFAULTS.keepalive
    assert DEFAULTS.keepalive > keepalive(8, 12) > keepalive(11, 12) > keepalive(12, 12) > 0
    async with contextlib.AsyncExitStack() as stack:
        for number in range(10):
            await kept(await stack.enter_async_context(small.connected(**attacker(number))))
        await small.counted("idle_closed_early")
        assert await is_served(small)


async def test_websockets_are_counted_apart_from_requests(no_errors_logged: None) -> None:
    bounds = Bounds(http=Bound(4, 2), websockets=Bound(8, 4))
    async with RunningEdge.started(bounds=bounds) as edge, contextlib.AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(local_addr=("127.0.0.3", 0))
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        url = f"http://{HERE}:{edge.edge.port}/echo"
        sockets = [await stack.enter_async_context(http.ws_connect(url)) for _ in range(4)]
        assert (len(edge.edge._admission.http), len(edge.edge._admission.websockets)) == (0, 4)
        for _ in range(8):
            await kept(await stack.enter_async_context(edge.connected(local_addr=("127.0.0.3", 0))))
        for number, one in enumerate(sockets):
            await one.send_str(str(number))
            assert await one.receive_str(timeout=20) == str(number)
        fifth = await stack.enter_async_context(http.ws_connect(url))
        await fifth.send_str("here")
        assert await fifth.receive_str(timeout=20) == "here", "the new one is not refused"
        assert (await sockets[0].receive(timeout=20)).type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE}


# -- media ------------------------------------------------------------------------------------------------------------


async def test_media_that_flows_over_tcp_survives_every_flood(small: RunningEdge) -> None:
    """Its address is the one that has most, and the attackers come from there too."""
    relay = await small.transport()
    async with small.connected(**attacker(0)) as call, contextlib.AsyncExitStack() as stack:
        await call.check(relay)
        for said in (SILENT, HALF_A_HEAD, BINDING, len(BINDING).to_bytes(2) + BINDING):
            for _ in range(10):
                one = await stack.enter_async_context(small.connected(**attacker(0)))
                one.send(said)
        for _ in range(10):
            await kept(await stack.enter_async_context(small.connected(**attacker(0))))
        await call.check(relay)
        async with small.connected(**attacker(0)) as other:
            await other.check(relay)
        await call.check(relay)


async def test_an_allocation_survives_connections_without_one(small: RunningEdge) -> None:
    relay = await small.transport()
    async with allocation(small, "tcp") as (transport, heard), contextlib.AsyncExitStack() as stack:
        for number in range(30):
            one = await stack.enter_async_context(small.connected(**attacker(number % 4)))
            one.send(BINDING)
        await small.counted("connections_turn", 31)
        transport.sendto(bytes(connectivity_check(relay)), media_address(relay))
        await eventually(lambda: heard.datagrams, "the check is answered")


async def test_of_connections_with_media_the_one_that_has_been_silent_longest_goes(small: RunningEdge) -> None:
    relay = await small.transport()
    async with contextlib.AsyncExitStack() as stack:
        ones = [await stack.enter_async_context(small.connected(**attacker(0))) for _ in range(3)]
        for one in ones:
            await one.check(relay)
        assert await is_over(ones[0])
        for one in ones[1:]:
            await one.check(relay)
    assert small.counters["refused_address"] == 1


# -- handshakes and files ---------------------------------------------------------------------------------------------


@limited(handshakes_at_once=3, handshakes_per_second=0.001)
async def test_an_address_that_begins_too_many_handshakes_waits_and_others_do_not(secure: RunningEdge) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(5):
            one = await stack.enter_async_context(secure.connected(**attacker(0)))
            one.send(HELLO)
        await secure.counted("tls_delayed", 2)
        assert secure.counters["connections_tls"] == 3
        assert await is_served(secure, trusting(), **attacker(1))
        assert await is_served(secure, trusting()), "a proxy on this machine does not wait"


@pytest.mark.parametrize("files", [1024, 4096, 100_000])
def test_there_are_only_as_many_places_as_file_descriptors(files: int) -> None:
    bounds = Bounds().within(files)
    assert bounds.files <= max(files, Bounds().files)
    assert (bounds == Bounds()) == (files == 100_000)
    for kind in (bounds.undecided, bounds.http, bounds.websockets, bounds.streams):
        assert 0 < kind.per_network < kind.total
