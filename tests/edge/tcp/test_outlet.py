"""Audio on a connection that is slower than its media."""

import asyncio
import socket
import ssl

import pytest

from relay.edge.tcp.framing import Frames, frame
from relay.edge.tcp.ice_tcp import IceTcp
from relay.edge.tcp.outlet import UNSENT_LIMIT
from relay.media.api import TransportParameters
from tests.edge.kit import HERE, RunningEdge, trusting
from tests.edge.packets import rtp
from tests.kit.media import connectivity_check
from tests.kit.wait import PATIENCE

VIDEO, AUDIO = 7, 8


def shake_hands(edge: RunningEdge, relay: TransportParameters, context: ssl.SSLContext | None) -> socket.socket:
    """A connection whose other end takes little, and only when it is asked to: event loops read ahead."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.settimeout(PATIENCE)
    plain.connect((HERE, edge.edge.port))
    one = context.wrap_socket(plain) if context else plain
    one.sendall(frame(bytes(connectivity_check(relay))))
    one.recv(2000)
    return one


def read_until(one: socket.socket, audio: bytes) -> int:
    """Bytes that come before that datagram."""
    frames, before = Frames(), 0
    while data := one.recv(65536):
        for datagram in frames.feed(data):
            if datagram == audio:
                return before
            before += len(datagram)
    raise AssertionError("the audio packet never came")


@pytest.mark.parametrize("way", ["tcp", "tls"])
async def test_audio_overtakes_video_that_has_not_reached_the_kernel(secure: RunningEdge, way: str) -> None:
    relay = await secure.transport()
    with await asyncio.to_thread(shake_hands, secure, relay, trusting() if way == "tls" else None) as one:
        [connection] = secure.edge._streams
        assert isinstance(connection, IceTcp)
        for number in range(4000):
            connection._from_worker(rtp(VIDEO, number // 10 * 3000, number % 65536))
            if not number % 50:
                await asyncio.sleep(0)
        audio = rtp(AUDIO, 960, 1, size=120)
        connection._from_worker(audio)
        before = await asyncio.to_thread(read_until, one, audio)
    # The kernel's unsent bytes, the event loop's, TLS's, and what the receiver has room for.
    assert before < 8 * UNSENT_LIMIT
    assert secure.counters["stream_frames_dropped"] > 0


async def test_small_packets_do_not_wait_for_others_to_go_along(edge: RunningEdge) -> None:
    relay = await edge.transport()
    async with edge.connected() as one:
        await one.check(relay)
        [connection] = edge.edge._streams
        assert isinstance(connection, IceTcp)
        ours = connection._transport.get_extra_info("socket")
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == UNSENT_LIMIT
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
