"""What is called at one end of the channel happens at the other, and nothing waits for ever."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import ConfigurationError
from relay.media.api import (
    Candidate,
    Codec,
    Direction,
    DtlsRole,
    Fingerprint,
    MediaDescription,
    MediaEvent,
    Rid,
    RouterKind,
    Simulcast,
    SsrcGroup,
    TransportClosed,
    TransportDown,
    TransportParameters,
    TransportUp,
    WorkerLost,
)
from relay.workers.channel import MAX_FRAME, Caller, ChannelFrames, RemoteError, Server, WorkerEngine
from tests.kit.wait import eventually

PARAMETERS: Final = TransportParameters(
    ufrag="abcd",
    pwd="p" * 24,
    fingerprints=(Fingerprint("sha-256", "AA:BB"),),
    role=DtlsRole.ACTPASS,
    candidates=(Candidate("127.0.0.1", 40_000), Candidate("::1", 40_000)),
)
MEDIA: Final = (
    MediaDescription("0", "audio", (Codec(111, "opus", 48_000),), (1, 2**32 - 1), {1: "urn:ietf:params:rtp-hdrext:sdes:mid"}),
    MediaDescription("1", "video"),
    MediaDescription(
        mid="2",
        kind="video",
        codecs=(Codec(96, "h264", 90_000, 1, {"profile-level-id": "42e01f"}), Codec(97, "rtx", 90_000, 1, {"apt": "96"})),
        ssrcs=(3, 4),
        direction=Direction.SENDONLY,
        ssrc_groups=(SsrcGroup("FID", (3, 4)),),
        rids=(Rid("h", "send", (96,), {"max-width": "1280"}), Rid("l", "send", paused=True)),
        simulcast=Simulcast(send=(("h",), ("l",))),
    ),
)


class Engine:
    """Notes what it is asked. Answers about the router `slow` wait until they are let go; what is in `error` is raised."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.let_go = asyncio.Event()
        self.error: Exception | None = None

    async def start(self) -> tuple[int, ...]:
        self._note("start")
        return (40000,)

    async def open_transport(
        self, router_id: str, transport_id: str, kind: RouterKind = RouterKind.DIRECT
    ) -> TransportParameters:
        self._note("open_transport", router_id, transport_id, kind)
        if router_id == "slow":
            await self.let_go.wait()
        return PARAMETERS

    async def connect_transport(
        self, transport_id: str, remote: TransportParameters, media: tuple[MediaDescription, ...]
    ) -> None:
        self._note("connect_transport", transport_id, remote, media)

    async def route(self, router_id: str, transport_ids: tuple[str, ...]) -> None:
        self._note("route", router_id, transport_ids)

    async def close_transport(self, transport_id: str) -> None:
        self._note("close_transport", transport_id)

    async def close_router(self, router_id: str) -> None:
        self._note("close_router", router_id)

    async def counters(self) -> Mapping[str, int]:
        self._note("counters")
        return {"packets_sent": 2**40}

    async def close(self) -> None:
        self._note("close")

    def _note(self, *call: Any) -> None:
        self.asked.append(call)
        if self.error is not None:
            raise self.error


class Channel:
    """Both ends of a channel in one process."""

    def __init__(self) -> None:
        self.events: list[MediaEvent] = []
        self.caller = Caller(self.take)
        self.engine = Engine()
        self.server = Server()
        self.server.engine = cast(WorkerEngine, self.engine)  # as much of it as these tests need
        self.sink_error: Exception | None = None

    def take(self, event: MediaEvent) -> None:
        self.events.append(event)
        if self.sink_error is not None:
            raise self.sink_error


@pytest.fixture
async def channel() -> AsyncIterator[Channel]:
    channel, loop = Channel(), asyncio.get_running_loop()
    one, other = socket.socketpair()
    await loop.create_unix_connection(lambda: channel.caller, sock=one)
    await loop.create_unix_connection(lambda: channel.server, sock=other)
    yield channel
    channel.caller.close()
    await channel.server.lost.wait()
    channel.engine.let_go.set()
    await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def opposite(end: Caller | Server) -> AsyncIterator[socket.socket]:
    """A bare socket at the other side of an end."""
    one, other = socket.socketpair()
    with other:
        other.setblocking(False)
        await asyncio.get_running_loop().create_unix_connection(lambda: end, sock=one)
        try:
            yield other
        finally:
            end.close()
            await asyncio.sleep(0)


# -- calls ------------------------------------------------------------------------------------------------------------


async def test_arguments_and_results_arrive_as_they_were_given(channel: Channel) -> None:
    remote = channel.caller.engine
    assert await remote.start() == (40000,)
    assert await remote.open_transport("router", "one") == PARAMETERS
    await remote.connect_transport("one", PARAMETERS, MEDIA)
    await remote.route(transport_ids=("one", "two"), router_id="router")
    assert await remote.counters() == {"packets_sent": 2**40}
    assert channel.engine.asked == [
        ("start",),
        ("open_transport", "router", "one", RouterKind.DIRECT),
        ("connect_transport", "one", PARAMETERS, MEDIA),
        ("route", "router", ("one", "two")),
        ("counters",),
    ]


async def test_a_slow_answer_holds_up_no_other(channel: Channel) -> None:
    slow = asyncio.create_task(channel.caller.engine.open_transport("slow", "one"))
    await eventually(lambda: channel.engine.asked, "the slow call arrives")
    assert await channel.caller.engine.counters()
    assert not slow.done()
    channel.engine.let_go.set()
    assert await slow == PARAMETERS


async def test_calls_begin_in_the_order_in_which_they_were_made(channel: Channel) -> None:
    await asyncio.gather(*(channel.caller.engine.close_router(str(number)) for number in range(100)))
    assert channel.engine.asked == [("close_router", str(number)) for number in range(100)]


async def test_an_answer_that_comes_after_its_timeout_is_dropped(channel: Channel) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await channel.caller.engine.open_transport("slow", "one")
    channel.engine.let_go.set()
    assert await channel.caller.engine.open_transport("router", "two") == PARAMETERS


async def test_a_name_that_the_interface_does_not_have_is_no_method(channel: Channel) -> None:
    assert not hasattr(channel.caller.engine, "reboot")


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [KeyError("router"), ConfigurationError("the port is taken"), AssertionError("ids are used once")]
)
async def test_errors_of_the_interface_arrive_as_what_they_were_raised_as(channel: Channel, error: Exception) -> None:
    channel.engine.error = error
    with pytest.raises(type(error)) as raised:
        await channel.caller.engine.route("router", ("one", "two"))
    assert raised.value.args == error.args


async def test_an_unforeseen_error_is_logged_where_it_happened_and_named_where_it_arrives(
    channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    channel.engine.error = ZeroDivisionError("by nothing")
    with pytest.raises(RemoteError, match="ZeroDivisionError: by nothing"):
        await channel.caller.engine.close_router("router")
    [record] = caplog.records
    assert record.exc_info is not None
    channel.engine.error = None
    assert await channel.caller.engine.counters()


@pytest.mark.parametrize("who", ["caller", "server"])
async def test_everything_under_way_fails_when_the_channel_closes(channel: Channel, who: str) -> None:
    waiting = [asyncio.create_task(channel.caller.engine.open_transport("slow", str(number))) for number in range(3)]
    await eventually(lambda: len(channel.engine.asked) == 3, "the calls arrive")
    getattr(channel, who).close()
    for outcome in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(outcome, WorkerLost)
    with pytest.raises(WorkerLost):
        await channel.caller.engine.counters()


# -- events -----------------------------------------------------------------------------------------------------------


async def test_events_arrive_in_order(channel: Channel) -> None:
    told: list[MediaEvent] = [TransportUp("one"), TransportDown("one"), TransportUp("two"), TransportClosed("one", "dtls_failed")]
    for event in told:
        channel.server.emit(event)
    await eventually(lambda: channel.events == told, lambda: f"the events arrive, but {channel.events}")


async def test_an_event_that_cannot_be_taken_is_logged_and_disturbs_nothing(
    channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    channel.sink_error = RuntimeError("not now")
    channel.server.emit(TransportUp("one"))
    assert await channel.caller.engine.counters()
    [record] = caplog.records
    assert "TransportUp(transport_id='one')" in record.getMessage()


async def test_after_the_end_events_go_nowhere(channel: Channel) -> None:
    channel.server.close()
    channel.server.emit(TransportUp("one"))
    await channel.caller.lost.wait()
    assert channel.events == []


# -- garbage ----------------------------------------------------------------------------------------------------------


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4) + body


GARBAGE: Final = {
    "no MessagePack": framed(b"\xc1"),
    "another shape": framed(b"\x93\x01\x02\x03"),
    "nothing": framed(b""),
    "a length beyond everything": b"GET / HTTP/1.1\r\n\r\n",
    "a frame that is one byte too long": (MAX_FRAME - 3).to_bytes(4),
}
FROM_NO_WORKER: Final = {
    **GARBAGE,
    "an unknown event": framed(b"\x93\xa9_Happened\xa4Boom\x80"),
    "an event without its fields": framed(b"\x93\xa9_Happened\xabTransportUp\x80"),
    "a request": framed(b"\x94\xa8_Request\x01\xa8counters\x90"),
}
FROM_NO_CALLER: Final = {
    **GARBAGE,
    "an unknown method": framed(b"\x94\xa8_Request\x01\xa6reboot\x90"),
    "a call without its arguments": framed(b"\x94\xa8_Request\x01\xacclose_router\x90"),
    "a result": framed(b"\x93\xa7_Result\x01\xc0"),
}


@pytest.mark.parametrize("garbage", FROM_NO_WORKER.values(), ids=FROM_NO_WORKER)
async def test_garbage_from_a_worker_ends_the_channel_and_every_call(garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caller = Caller(lambda _: None)
    async with opposite(caller) as other, asyncio.timeout(5):
        waiting = asyncio.create_task(caller.engine.counters())
        other.sendall(garbage)
        with pytest.raises(WorkerLost):
            await waiting
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize("garbage", FROM_NO_CALLER.values(), ids=FROM_NO_CALLER)
async def test_garbage_from_a_caller_ends_the_channel(garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    async with opposite(server) as other, asyncio.timeout(5):
        other.sendall(garbage)
        await server.lost.wait()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_a_result_of_the_wrong_type_ends_the_channel_and_the_call() -> None:
    caller = Caller(lambda _: None)
    async with opposite(caller) as other, asyncio.timeout(5):
        waiting = asyncio.create_task(caller.engine.counters())
        other.sendall(framed(b"\x93\xa7_Result\x01\xa4many"))
        with pytest.raises(WorkerLost):
            await waiting


# -- frames -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(1, 20)))
def test_frames_come_out_whole_however_the_stream_is_cut(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(framed, bodies))
    frames = ChannelFrames()
    found: list[bytes] = []
    for cut in cuts:
        found += frames.feed(stream[:cut])
        stream = stream[cut:]
    found += frames.feed(stream)
    assert found == bodies
