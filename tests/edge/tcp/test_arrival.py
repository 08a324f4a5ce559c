"""A connection from its first byte until a server takes it over."""

import asyncio
import json
import socket
import ssl

import aiohttp
import pytest
from aioice import stun

from relay.edge.tcp import arrival
from relay.edge.tcp.demux import MAX_HEAD
from tests.edge.kit import HERE, REQUEST, RunningEdge, limited, trusting
from tests.kit.media import connectivity_check

BINDING = bytes(stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST))


def body(response: bytes) -> dict[str, object]:
    head, _, text = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), response
    return dict(json.loads(text))


# -- what is served ---------------------------------------------------------------------------------------------------


async def test_http_is_served(edge: RunningEdge) -> None:
    async with edge.connected() as one:
        one.send(REQUEST)
        assert body(await one.rest())["scheme"] == "http"
    assert edge.counters["connections_http"] == 1


async def test_https_is_served_on_the_same_port(secure: RunningEdge) -> None:
    async with secure.connected(ssl=trusting()) as one, secure.connected() as other:
        one.send(REQUEST)
        other.send(REQUEST)
        first, second = body(await one.rest()), body(await other.rest())
        assert (first["scheme"], second["scheme"]) == ("https", "http")
        assert first["reached"] == second["reached"] == [HERE, secure.edge.port]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_websocket_and_a_body_get_through(secure: RunningEdge, scheme: str) -> None:
    url = f"{scheme}://{HERE}:{secure.edge.port}"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting())) as http:
        async with http.post(f"{url}/here", data=b"x" * 100_000) as response:
            assert len((await response.json())["body"]) == 100_000
        async with http.ws_connect(f"{url}/echo") as websocket:
            for number in range(3):
                await websocket.send_str(str(number))
                assert await websocket.receive_str(timeout=20) == str(number)


async def test_bytes_that_come_one_by_one_are_put_together(secure: RunningEdge) -> None:
    async with secure.connected() as one:
        for byte in REQUEST:
            one.send(bytes([byte]))
            await asyncio.sleep(0)
        assert body(await one.rest())


async def test_an_ice_tcp_frame_in_two_halves_is_put_together(edge: RunningEdge) -> None:
    relay = await edge.transport()
    check = bytes(connectivity_check(relay))
    whole = len(check).to_bytes(2) + check
    async with edge.connected() as one:
        one.send(whole[:5])
        await edge.counted("connections")
        one.send(whole[5:30])
        await edge.counted("connections_ice_tcp")
        one.send(whole[30:])
        assert stun.parse_message(await one.frame()).message_class is stun.Class.RESPONSE


async def test_stun_within_tls_is_answered(secure: RunningEdge) -> None:
    async with secure.connected(ssl=trusting()) as one:
        one.send(BINDING)
        answer = stun.parse_message(await asyncio.wait_for(one.reader.read(1000), 20))
        assert answer.attributes["XOR-MAPPED-ADDRESS"] == one.writer.get_extra_info("sockname")


async def test_a_head_without_an_end_is_hung_up_on(edge: RunningEdge) -> None:
    async with edge.connected() as one:
        one.send(b"GET /here HTTP/1.1\r\n" + b"a: b\r\n" * (MAX_HEAD // 6))
        assert await one.rest() == b""
    assert edge.counters["refused_long"] == 1


# -- what is not ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("garbage", [b"\x80\x01", b"\x08", b"\x00" * 10, b"\x05\x01\x00", b"\x16\x02"])
async def test_garbage_is_hung_up_on(edge: RunningEdge, garbage: bytes) -> None:
    async with edge.connected() as one:
        one.send(garbage.ljust(10))
        assert await one.rest() == b""
    assert edge.counters["refused_garbage"] == 1


async def test_tls_without_a_certificate_is_answered_with_an_alert(edge: RunningEdge) -> None:
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        async with edge.connected(ssl=trusting()):
            pass
    await edge.counted("refused_tls")


async def test_tls_garbage_is_hung_up_on(secure: RunningEdge) -> None:
    async with secure.connected() as one:
        one.send(b"\x16\x03\x01" + b"\xff" * 500)
        await one.rest()
    await secure.counted("refused_tls")


async def test_garbage_within_tls_is_hung_up_on(secure: RunningEdge) -> None:
    async with secure.connected(ssl=trusting()) as one:
        one.send(b"\xff" * 20)
        assert await one.rest() == b""
    await secure.counted("refused_garbage")


async def test_media_that_is_turned_off_is_hung_up_on(no_errors_logged: None) -> None:
    async with RunningEdge.started(media_tcp=False, turn=False) as edge:
        relay = await edge.transport()
        assert {one.transport for one in relay.candidates} == {"udp"}
        async with edge.connected() as one, edge.connected() as other:
            one.send_frame(bytes(connectivity_check(relay)))
            other.send(BINDING)
            assert (await one.rest(), await other.rest()) == (b"", b"")
        assert edge.counters["refused_off"] == 2


# -- those who do not say -----------------------------------------------------------------------------------------------


@limited(decision_timeout=0.2)
@pytest.mark.parametrize("said", [b"", b"\x00", b"\x00\x14\x00\x01\x00", b"GET /here HTTP/1.1\r\nHost:", b"\x16\x03\x01\x02"])
async def test_a_connection_that_sends_nothing_recognisable_is_closed(secure: RunningEdge, said: bytes) -> None:
    async with secure.connected() as one:
        one.send(said)
        assert await one.rest() == b""
    assert secure.counters["refused_slow"] + secure.counters["refused_tls"] == 1


@limited(decision_timeout=1.0)
async def test_a_connection_that_sends_nothing_within_tls_is_closed(secure: RunningEdge) -> None:
    async with secure.connected(ssl=trusting()) as one:
        assert await one.rest() == b""
    assert secure.counters["refused_slow"] == 1


@pytest.mark.parametrize("said", [b"", b"\x00", b"\x00\x14\x00\x01\x00"])
async def test_the_state_of_a_client_that_closes_early_is_dropped_at_once(edge: RunningEdge, said: bytes) -> None:
    async with edge.connected() as one:
        one.send(said)
        one.writer.write_eof()
        assert await one.rest() == b""
    assert edge.counters["refused_silent"] == 1


async def test_the_state_of_a_client_that_resets_its_connection_is_dropped(edge: RunningEdge) -> None:
    with socket.create_connection((HERE, edge.edge.port)) as one:
        await edge.counted("connections")
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    await edge.counted("refused_silent")


async def test_a_half_said_thing_costs_no_processor_time(edge: RunningEdge, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    peek = arrival.Arrival._peek

    def counted(self: arrival.Arrival) -> None:
        nonlocal looks
        looks += 1
        peek(self)

    monkeypatch.setattr(arrival.Arrival, "_peek", counted)
    async with edge.connected() as one:
        one.send(b"\x00\x14\x00\x01")
        await edge.counted("connections")
        for _ in range(200):  # turns of the event loop, each with a look at the sockets
            await asyncio.sleep(0.001)
        assert looks <= 3
        one.send(b"\x00\x00\x21\x12\xa4\x42")
        await edge.counted("connections_ice_tcp")
