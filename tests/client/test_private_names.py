"""The private names of aiortc that the client uses. All are in `relay/client/peer.py`."""

import asyncio
import contextlib
import gc
import inspect
from typing import Any

from aiortc import RTCRtpReceiver

from relay.client.peer import MediaEnd, timestamp_of
from relay.client.tracks import OutgoingAudio, OutgoingVideo
from tests.kit.wait import eventually


def test_packets_still_come_to_a_method_of_the_receiver_that_can_be_replaced() -> None:
    """If this fails, aiortc has changed: `relay.client.peer.tap_receiver` sees no packets, and counts and records nothing."""
    method = RTCRtpReceiver._handle_rtp_packet
    assert [*inspect.signature(method).parameters] == ["self", "packet", "arrival_time_ms"]
    assert inspect.iscoroutinefunction(method)
    assert not hasattr(RTCRtpReceiver, "__slots__"), "an instance can have its own"


def test_sender_reports_still_come_to_a_method_of_the_receiver_that_can_be_replaced() -> None:
    """If this fails, audio and video have no time line in common but that of their arrival."""
    method = RTCRtpReceiver._handle_rtcp_packet
    assert [*inspect.signature(method).parameters] == ["self", "packet"]
    assert inspect.iscoroutinefunction(method)


async def test_a_receiver_still_keeps_what_it_reports_and_where_the_timestamps_of_its_frames_begin() -> None:
    """If this fails, packets that are not decoded are missing in receiver reports, or frames cannot be placed in time."""
    async with contextlib.aclosing(MediaEnd()) as end:
        await end.offer({"audio": None})
        receiver: Any = end.receiver("audio")
        assert receiver._RTCRtpReceiver__remote_streams == {}
        assert receiver._RTCRtpReceiver__codecs == {}
        mapper = receiver._RTCRtpReceiver__timestamp_mapper
        assert mapper._origin is None
        assert (mapper.map(5000), timestamp_of(receiver, mapper.map(5960))) == (0, 5960)


async def test_a_connection_that_is_closed_in_the_middle_of_its_handshake_leaves_no_error_behind() -> None:
    """If this fails, a program that hangs up at once has a traceback in its log."""
    loop, failed = asyncio.get_running_loop(), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _loop, context: failed.append(context))
    tracks = {"audio": OutgoingAudio(), "video": OutgoingVideo()}
    async with contextlib.aclosing(MediaEnd()) as one, contextlib.aclosing(MediaEnd()) as other:
        answer = await other.answer(await one.offer(tracks), {}, ())
        await one.accept(answer)
        receiver = one.receiver("audio")
        assert receiver is not None
        await eventually(lambda: receiver.transport.state == "connecting", "the handshake goes on", every=0)
        await asyncio.gather(one.aclose(), other.aclose())
        await eventually(lambda: len(asyncio.all_tasks()) == 1, "all that they did is over")
    gc.collect()
    assert failed == []
