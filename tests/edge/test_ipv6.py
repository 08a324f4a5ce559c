"""Clients that have IPv6, and a relay that has nothing else to listen on."""

import asyncio
import socket
import time

import pytest
from aioice import stun
from aioice.turn import create_turn_endpoint

from tests.edge.kit import HERE, REQUEST, Connection, RunningEdge
from tests.edge.test_turn import Heard
from tests.kit.media import connectivity_check
from tests.kit.wait import eventually


async def test_http_and_ice_tcp_are_served_over_ipv6(no_errors_logged: None) -> None:
    async with RunningEdge.started(host="::1") as edge:
        relay = await edge.transport()
        for said in ("http", "check"):
            reader, writer = await asyncio.open_connection("::1", edge.edge.port)
            one = Connection(reader, writer)
            if said == "http":
                one.send(REQUEST)
                assert (await one.rest()).startswith(b"HTTP/1.1 200 ")
            else:
                await one.check(relay)
            writer.transport.abort()


@pytest.mark.parametrize("way", ["udp", "tcp"])
@pytest.mark.parametrize("host", ["::1", ""])
async def test_turn_is_served_over_ipv6(no_errors_logged: None, way: str, host: str) -> None:
    async with RunningEdge.started(host=host) as edge:
        relay = await edge.transport()
        [server] = edge.edge.ice_servers("student_456", "::1", time.time())
        [url] = [one for one in server.urls if one.endswith(f"={way}")]
        assert url.startswith("turn:[::1]:")
        port = int(url.partition("?")[0].rpartition(":")[2])
        username, password = edge.credentials()
        transport, heard = await create_turn_endpoint(
            Heard, server_addr=("::1", port), username=username, password=password, transport=way
        )
        assert isinstance(heard, Heard)
        request = connectivity_check(relay)
        transport.sendto(bytes(request), (relay.candidates[0].address, relay.candidates[0].port))
        await eventually(lambda: heard.datagrams, "the check is answered")
        assert stun.parse_message(heard.datagrams[0][0]).transaction_id == request.transaction_id
        transport.close()
        await eventually(lambda: edge.edge.turn_counters["allocations_closed"], "the allocation is gone")


async def test_allocations_are_ipv6_where_media_has_nothing_else(no_errors_logged: None) -> None:
    async with RunningEdge.started(host="::1", addresses=("::1",)) as edge:
        relay = await edge.transport()
        username, password = edge.credentials()
        server = "::1", edge.edge.port
        transport, heard = await create_turn_endpoint(Heard, server, username, password, transport="tcp")
        assert isinstance(heard, Heard)
        host, port = transport.get_extra_info("sockname")
        assert (host, port >= 49152, port % 2) == ("::1", True, 0)
        transport.sendto(bytes(connectivity_check(relay)), ("::1", relay.candidates[0].port))
        await eventually(lambda: heard.datagrams, "the check is answered")
        transport.close()
        await eventually(lambda: edge.edge.turn_counters["allocations_closed"], "the allocation is gone")


async def test_every_address_of_both_families_is_listened_on(no_errors_logged: None) -> None:
    async with RunningEdge.started(host="") as edge:
        for family, host in ((socket.AF_INET, HERE), (socket.AF_INET6, "::1")):
            with socket.socket(family) as one:
                one.setblocking(False)
                await asyncio.get_running_loop().sock_connect(one, (host, edge.edge.port))
        assert len({port.port for port in edge.edge._turn_ports}) == 1
        assert edge.edge.levels()["turn_udp_ports"] == 2
