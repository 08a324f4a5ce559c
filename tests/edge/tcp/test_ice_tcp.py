"""ICE over TCP against a real media engine: who gets in, what crosses, and when it ends."""

import asyncio
import socket

from relay.edge.tcp.framing import MAX_FRAME
from relay.edge.tcp.ice_tcp import IceTcp
from relay.edge.tcp.sendqueue import BULK_LIMIT
from tests.edge.kit import RunningEdge, limited
from tests.edge.packets import rtp
from tests.kit.media import connectivity_check
from tests.kit.wait import eventually


async def test_a_check_is_answered_in_a_frame(edge: RunningEdge) -> None:
    relay = await edge.transport()
    async with edge.connected() as one:
        answer = await one.check(relay)
        host, _ = answer.attributes["XOR-MAPPED-ADDRESS"]
        assert host.startswith("100.64."), "each connection is a peer with an address of its own, which browsers take for one"


async def test_the_transport_is_offered_over_tcp_at_the_shared_port(edge: RunningEdge) -> None:
    relay = await edge.transport()
    assert [(one.address, one.port) for one in relay.candidates if one.transport == "tcp"] == [("127.0.0.1", edge.edge.port)]


async def test_media_over_tcp_may_have_a_port_of_its_own(no_errors_logged: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with RunningEdge.started(media_tcp_port=port) as edge:
        relay = await edge.transport()
        assert [one.port for one in relay.candidates if one.transport == "tcp"] == [port]
        async with edge.connected(port) as one, edge.connected() as other:
            await one.check(relay)
            other.send_frame(bytes(connectivity_check(relay)))
            assert await other.rest() == b""
        assert edge.counters["refused_off"] == 1


async def test_two_connections_of_one_transport_are_two_peers(edge: RunningEdge) -> None:
    relay = await edge.transport()
    async with edge.connected() as one, edge.connected() as other:
        answers = [await one.check(relay), await other.check(relay), await one.check(relay)]
        mapped = [answer.attributes["XOR-MAPPED-ADDRESS"] for answer in answers]
        assert mapped[0] == mapped[2] != mapped[1]


async def test_a_check_of_no_transport_is_hung_up_on(edge: RunningEdge) -> None:
    relay = await edge.transport()
    async with edge.connected() as one:
        one.send_frame(bytes(connectivity_check(relay, ufrag="nobody")))
        assert await one.rest() == b""
    assert edge.counters["ice_tcp_refused"] == 1


async def test_a_transport_that_is_closed_is_none(edge: RunningEdge) -> None:
    relay = await edge.transport()
    await edge.engine.close_router("call")
    async with edge.connected() as one:
        one.send_frame(bytes(connectivity_check(relay)))
        assert await one.rest() == b""


async def test_after_an_ice_restart_old_and_new_credentials_get_in(edge: RunningEdge) -> None:
    old = await edge.transport()
    new = await edge.engine.restart_transport("one")
    async with edge.connected() as one, edge.connected() as other:
        await one.check(old)
        await other.check(new)


async def test_a_frame_that_is_too_long_ends_the_connection(edge: RunningEdge) -> None:
    relay = await edge.transport()
    async with edge.connected() as one:
        await one.check(relay)
        one.send((MAX_FRAME + 1).to_bytes(2))
        assert await one.rest() == b""
    assert edge.counters["ice_tcp_malformed"] == 1


async def test_garbage_in_frames_does_not_disturb_the_connection(edge: RunningEdge) -> None:
    relay = await edge.transport()
    async with edge.connected() as one:
        await one.check(relay)
        for size in (1, 2, 20, 500, MAX_FRAME):
            one.send_frame(b"\x00" * size)
            one.send_frame(b"\xff" * size)
        await one.check(relay)


@limited(first_answer=0.1)
async def test_a_connection_without_an_authentic_check_is_closed_after_a_while(edge: RunningEdge) -> None:
    relay = await edge.transport()
    async with edge.connected() as one:
        one.send_frame(bytes(connectivity_check(relay, pwd="not the password of it")))
        assert await one.rest() == b""
    assert edge.counters["idle_closed"] == 1


@limited(idle=0.1)
async def test_a_connection_that_fell_silent_is_hung_up_on(edge: RunningEdge) -> None:
    relay = await edge.transport()
    async with edge.connected() as one:
        await one.check(relay)
        assert await one.rest() == b""
    assert edge.counters["idle_closed"] == 1


async def test_closing_the_edge_closes_every_connection(edge: RunningEdge) -> None:
    relay = await edge.transport()
    async with edge.connected() as one:
        await one.check(relay)
        edge.edge.close()
        assert await one.rest() == b""


async def test_a_client_that_does_not_read_costs_little_and_gets_whole_frames_later(edge: RunningEdge) -> None:
    """What the worker sends is dropped here once the connection is full; the other way goes on all the time."""
    relay = await edge.transport()
    async with edge.connected(limit=1) as one:
        await one.check(relay)
        one.writer.transport.pause_reading()  # type: ignore[attr-defined]
        [connection] = edge.edge._streams
        assert isinstance(connection, IceTcp)
        for number in range(20_000):
            connection._from_worker(rtp(7, number // 10 * 3000, number % 65536))
            if not number % 500:
                await asyncio.sleep(0)
        dropped, frames = edge.counters["stream_packets_dropped"], edge.counters["stream_frames_dropped"]
        assert dropped > 1000
        assert dropped <= 10 * frames, "frames are dropped as a whole, or nearly"
        assert connection._outlet._queue.bulk_bytes <= BULK_LIMIT

        checks = edge.media._counters["stun_checks"]
        one.send_frame(bytes(connectivity_check(relay)))
        await eventually(lambda: edge.media._counters["stun_checks"] > checks, "the relay still hears the client")

        one.writer.transport.resume_reading()  # type: ignore[attr-defined]
        sizes: dict[int, int] = {}
        while True:
            datagram = await one.frame()
            if datagram[0] < 4:
                break  # the answer to the check: it overtook the video
            timestamp = int.from_bytes(datagram[4:8])
            sizes[timestamp] = sizes.get(timestamp, 0) + 1
        assert len(sizes) > 10
