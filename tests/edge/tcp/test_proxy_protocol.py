"""The PROXY protocol: what a header says, byte by byte, and what becomes of connections that begin with one."""

import asyncio
import ipaddress
import socket
import struct
from pathlib import Path
from typing import Any

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from relay.edge.limits import EdgeLimits
from relay.edge.tcp.peers import Peer
from relay.edge.tcp.proxy_protocol import MAX_HEADER, Header, MalformedHeader, begins_header, parse_header
from relay.media.api import Route
from tests.edge.kit import REQUEST, Connection, RunningEdge, trusting, write_certificate
from tests.kit.wait import eventually

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
LINE = b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 443\r\n"

CLIENT = Peer("203.0.113.7", 40000, is_proxied=True)


def binary(command: int, family: int, body: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


def addresses(source: str, destination: str, port: int = 40000) -> bytes:
    packed = (ipaddress.ip_address(one).packed for one in (source, destination))
    return b"".join(packed) + struct.pack("!HH", port, 443)


V4 = addresses("203.0.113.7", "192.0.2.1")
TLS = struct.pack("!BHBI", 0x20, 5, 1, 0)
NO_TLS = struct.pack("!BHBI", 0x20, 5, 0, 1)
OTHER_TLV = struct.pack("!BH4s", 0x05, 4, b"uniq")

GOOD = {
    "line": (LINE, CLIENT),
    "line, IPv6": (b"PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n", Peer("2001:db8::7", 1, is_proxied=True)),
    "line, mapped": (b"PROXY TCP6 ::ffff:203.0.113.7 ::1 40000 2\r\n", CLIENT),
    "line, unknown": (b"PROXY UNKNOWN\r\n", None),
    "line, unknown with more": (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None),
    "IPv4": (binary(0x21, 0x11, V4), CLIENT),
    "IPv6": (binary(0x21, 0x21, addresses("2001:db8::7", "2001:db8::1")), Peer("2001:db8::7", 40000, is_proxied=True)),
    "mapped": (binary(0x21, 0x21, addresses("::ffff:203.0.113.7", "::1")), CLIENT),
    "TLVs": (binary(0x21, 0x11, V4 + OTHER_TLV + NO_TLS), CLIENT),
    "TLS": (binary(0x21, 0x11, V4 + OTHER_TLV + TLS), Peer("203.0.113.7", 40000, is_proxied=True, is_secure=True)),
    "LOCAL": (binary(0x20, 0x00, b""), None),
    "LOCAL with addresses": (binary(0x20, 0x11, V4), None),
    "UNIX": (binary(0x21, 0x31, bytes(216)), None),
    "unspecified": (binary(0x21, 0x00, b"whatever"), None),
    "UDP": (binary(0x21, 0x12, V4), None),
}

BAD = {
    "line without an end": b"PROXY TCP4 " + b"1" * 200,
    "line of five words": b"PROXY TCP4 203.0.113.7 192.0.2.1 40000\r\n",
    "line with two spaces": b"PROXY TCP4  203.0.113.7 192.0.2.1 40000 443\r\n",
    "line with a name": b"PROXY TCP4 localhost 192.0.2.1 40000 443\r\n",
    "line of the other family": b"PROXY TCP4 2001:db8::7 192.0.2.1 40000 443\r\n",
    "line with a large port": b"PROXY TCP4 203.0.113.7 192.0.2.1 65536 443\r\n",
    "line with a negative port": b"PROXY TCP4 203.0.113.7 192.0.2.1 -1 443\r\n",
    "line of another protocol": b"PROXY TCP9 203.0.113.7 192.0.2.1 40000 443\r\n",
    "line that is not ASCII": b"PROXY TCP4 \xff 192.0.2.1 40000 443\r\n",
    "version 1 in binary": binary(0x11, 0x11, V4),
    "unknown command": binary(0x22, 0x11, V4),
    "unknown family": binary(0x21, 0x41, V4),
    "unknown protocol": binary(0x21, 0x13, V4),
    "too short for its addresses": binary(0x21, 0x11, V4[:-1]),
    "too long": SIGNATURE + struct.pack("!BBH", 0x21, 0x11, MAX_HEADER),
    "half a TLV": binary(0x21, 0x11, V4 + TLS[:-1]),
    "half a TLV's head": binary(0x21, 0x11, V4 + b"\x20\x00"),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_header_names_the_client(name: str) -> None:
    data, client = GOOD[name]
    for rest in (b"", b"GET / HTTP/1.1\r\n"):
        assert parse_header(data + rest) == Header(len(data), client)
    for cut in range(len(data)):
        assert begins_header(data[:cut]) is not False
        if begins_header(data[:cut]):
            assert parse_header(data[:cut]) is None


@pytest.mark.parametrize("name", BAD)
def test_a_malformed_header_is_an_error(name: str) -> None:
    assert begins_header(BAD[name])
    with pytest.raises(MalformedHeader):
        parse_header(BAD[name])


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1", b"PROPFIND /", b"PROXY / HTTP/1.1", b"\r\nGET /", b"\r\n\r\nA", b"\x16\x03", b"\0"]
)
def test_other_data_is_not_taken_for_a_header(head: bytes) -> None:
    assert begins_header(head) is False


@given(st.sampled_from([SIGNATURE, SIGNATURE + b"\x21\x11", b"PROXY TCP4 ", b"PROXY UNKNOWN"]), st.binary(max_size=300))
def test_any_bytes_are_a_header_or_refused(beginning: bytes, rest: bytes) -> None:
    try:
        header = parse_header(beginning + rest)
    except MalformedHeader:
        return
    assert header is None or 0 < header.length <= len(beginning + rest)


# -- connections ------------------------------------------------------------------------------------------------------

PROXY = "127.0.0.5"
FROM_PROXY: dict[str, Any] = {"local_addr": (PROXY, 0)}
TRUSTED = (ipaddress.ip_network(PROXY),)


def peers(edge: RunningEdge) -> list[Peer]:
    assert edge.edge.http is not None
    return [one.peer for one in edge.edge.http._by_served.values()]


async def kept(edge: RunningEdge, one: Connection) -> list[Peer]:
    """Have a request answered; who the edge takes its HTTP connections for then."""
    one.send(REQUEST.replace(b"close", b"keep-alive"))
    async with asyncio.timeout(20):
        assert (await one.reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
    return peers(edge)


@pytest.mark.parametrize("name", ["line", "IPv4", "TLVs"])
async def test_a_trusted_proxy_is_believed(no_errors_logged: None, name: str) -> None:
    async with RunningEdge.started(trusted_proxies=TRUSTED) as edge, edge.connected(**FROM_PROXY) as one:
        one.send(GOOD[name][0])
        assert await kept(edge, one) == [CLIENT]
        assert edge.counters["proxy_headers"] == 1


@pytest.mark.parametrize("name", ["line, unknown", "LOCAL", "UNIX"])
async def test_what_is_the_proxys_own_counts_as_its(no_errors_logged: None, name: str) -> None:
    async with RunningEdge.started(trusted_proxies=TRUSTED) as edge, edge.connected(**FROM_PROXY) as one:
        one.send(GOOD[name][0])
        [peer] = await kept(edge, one)
        assert (peer.host, peer.is_proxied) == (PROXY, False)


@pytest.mark.parametrize("name", ["line", "TLVs"])
async def test_a_header_that_trickles_in_is_put_together(no_errors_logged: None, name: str) -> None:
    async with RunningEdge.started(trusted_proxies=TRUSTED) as edge, edge.connected(**FROM_PROXY) as one:
        for byte in GOOD[name][0] + REQUEST[:3]:
            one.send(bytes([byte]))
            await asyncio.sleep(0.002)
        one.send(REQUEST[3:])
        assert (await one.rest()).startswith(b"HTTP/1.1 200 ")


async def test_a_header_comes_before_tls(no_errors_logged: None, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "relay")
    async with RunningEdge.started(trusted_proxies=TRUSTED, tls_cert=certificate, tls_key=key) as edge:

        def ask() -> bytes:
            with socket.socket() as plain:
                plain.settimeout(20)
                plain.bind((PROXY, 0))
                plain.connect(("127.0.0.1", edge.edge.port))
                plain.sendall(LINE)
                with trusting().wrap_socket(plain) as one:
                    one.sendall(REQUEST)
                    return one.recv(1000)

        assert b" 200 " in await asyncio.to_thread(ask)


async def test_media_over_tcp_is_the_clients(no_errors_logged: None) -> None:
    async with RunningEdge.started(trusted_proxies=TRUSTED) as edge, edge.connected(**FROM_PROXY) as one:
        relay = await edge.transport()
        one.send(GOOD["IPv6"][0])
        await one.check(relay)
        [connection] = edge.edge._streams
        assert connection.peer.host == "2001:db8::7"
        assert edge.edge._tunnel is not None
        [stream] = edge.edge._tunnel._streams.values()
        assert stream.route == Route("tcp", "ipv6")


async def test_a_turn_client_is_told_its_own_address(no_errors_logged: None) -> None:
    async with RunningEdge.started(trusted_proxies=TRUSTED) as edge, edge.connected(**FROM_PROXY) as one:
        one.send(LINE + bytes(stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)))
        async with asyncio.timeout(20):
            answer = stun.parse_message(await one.reader.read(1000))
        assert answer.attributes["XOR-MAPPED-ADDRESS"] == ("203.0.113.7", 40000)


async def test_clients_behind_one_proxy_are_limited_one_by_one(no_errors_logged: None) -> None:
    async with RunningEdge.started(trusted_proxies=TRUSTED) as edge, edge.connected(**FROM_PROXY) as one:
        one.send(LINE)
        await kept(edge, one)
        table = edge.edge._admission.http
        assert (table.count(None), table.count(socket.inet_aton("203.0.113.7"))) == (0, 1)


@pytest.mark.parametrize("data", [LINE, GOOD["IPv4"][0]])
async def test_others_are_refused_with_one_line_in_the_log(
    edge: RunningEdge, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        async with edge.connected(**FROM_PROXY) as one:
            one.send(data + REQUEST)
            assert await one.rest() == b""
        await edge.counted("refused_proxy_header", number + 1)
    assert caplog.text.count("not in RELAY_TRUSTED_PROXIES") == 1


@pytest.mark.parametrize("name", ["line without an end", "too long", "half a TLV", "unknown command"])
async def test_the_connection_of_a_trusted_proxy_with_a_malformed_header_is_closed(no_errors_logged: None, name: str) -> None:
    async with RunningEdge.started(trusted_proxies=TRUSTED) as edge, edge.connected(**FROM_PROXY) as one:
        one.send(BAD[name])
        assert await one.rest() == b""
        assert edge.counters["refused_proxy_header"] == 1


@pytest.mark.parametrize("said", [b"PRO", LINE[:-1], SIGNATURE, LINE])
async def test_a_header_without_an_end_or_a_sequel_is_hung_up_on(no_errors_logged: None, said: bytes) -> None:
    limits = EdgeLimits(decision_timeout=0.2)
    async with RunningEdge.started(trusted_proxies=TRUSTED, limits=limits) as edge, edge.connected(**FROM_PROXY) as one:
        one.send(said)
        assert await one.rest() == b""
        await eventually(lambda: edge.counters["refused_slow"] == 1, "it took too long")


async def test_a_proxy_need_not_send_headers(no_errors_logged: None) -> None:
    async with RunningEdge.started(trusted_proxies=TRUSTED) as edge, edge.connected(**FROM_PROXY) as one:
        assert [peer.host for peer in await kept(edge, one)] == [PROXY]
