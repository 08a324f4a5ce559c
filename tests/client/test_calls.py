"""Programs that call each other by the library, through a relay."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from aiortc import MediaStreamTrack
from aiortc.rtp import RtpPacket
from aiortc.stats import RTCRemoteInboundRtpStreamStats
from av import AudioFrame, VideoFrame

from relay.client import (
    CallClient,
    CallFinished,
    CallOver,
    ChatReceived,
    ClientCall,
    ClientEvent,
    OutgoingAudio,
    OutgoingVideo,
    Reconnected,
    Refused,
    SignInFailed,
    StateChanged,
    connect,
)
from tests.client.conftest import Join
from tests.kit.peer import BLUE, RED, Colour, ColourTrack, Ear, ToneTrack, colour_of
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

SIZE = (320, 240)


def sends(hertz: float, colour: Colour | None = None) -> list[MediaStreamTrack]:
    return [ToneTrack(hertz), *([ColourTrack(colour, SIZE)] if colour else [])]


async def answered(client: CallClient, media: list[MediaStreamTrack] | None = None) -> ClientCall:
    """The next call, answered."""
    async with contextlib.aclosing(client.incoming()) as calls:
        async for call in calls:
            await call.answer(media)
            return call
    raise AssertionError("the client is gone")


@contextlib.asynccontextmanager
async def talking(
    caller: CallClient, callee: CallClient, kind: str = "voice", ours: list[MediaStreamTrack] | None = None, **options: object
) -> AsyncIterator[tuple[ClientCall, ClientCall]]:
    """A call that is connected."""
    answering = asyncio.create_task(answered(callee))
    call = await caller.call(callee.profile, kind, 123, media=ours, **options)  # type: ignore[arg-type]
    await call.connected()
    yield call, await answering
    await call.hang_up()


async def hears(call: ClientCall, hertz: float) -> None:
    ear = Ear()
    async for frame in call.audio:
        ear.hear(frame)
        if ear.hears(hertz):
            return
    raise AssertionError(f"the call ended ({call.reason}) before {hertz} Hz was heard")


async def sees(call: ClientCall, colour: Colour) -> None:
    async for frame in call.video:
        if colour_of(frame).is_like(colour):
            return
    raise AssertionError(f"the call ended ({call.reason}) before {colour} was seen")


async def test_two_programs_hear_and_see_each_other(relay: RunningRelay, join: Join) -> None:
    caller, callee = await join("student_456"), await join("tutor_789")
    answering = asyncio.create_task(answered(callee, sends(880, BLUE)))
    call = await caller.call("tutor_789", "video", 123, media=sends(440, RED))
    await call.connected()
    other = await answering
    async with asyncio.timeout(20):
        await asyncio.gather(hears(call, 880), sees(call, BLUE), hears(other, 440), sees(other, RED))
    assert (other.kind, other.other, other.call_id) == ("video", caller.profile, call.call_id)
    await call.hang_up()
    assert await other.ended() == "hangup"
    row = await relay.finished_call()
    assert (row["status"], row["call_type"]) == ("ended", "video")


async def test_without_media_a_call_is_connected_all_the_same(join: Join) -> None:
    async with talking(await join("student_456"), await join("tutor_789"), "video") as (call, other):
        assert (call.state, other.kind) == ("connected", "video")


async def test_the_conversation_is_found_where_none_is_given(join: Join) -> None:
    caller, callee = await join("student_456"), await join("tutor_789")
    answering = asyncio.create_task(answered(callee))
    call = await caller.call("tutor_789")
    assert (await answering).scope == call.scope


async def test_frames_of_a_program_arrive_and_silence_where_it_sends_none(join: Join) -> None:
    audio, video, tone, red = OutgoingAudio(), OutgoingVideo(), ToneTrack(660), ColourTrack(RED, SIZE)
    async with talking(await join("student_456"), await join("tutor_789"), "video", [audio, video]) as (_, other):

        async def speak() -> None:
            while True:
                frame = await tone.recv()
                assert isinstance(frame, AudioFrame)
                await audio.send(frame)

        async def show() -> None:
            while True:
                frame = await red.recv()
                assert isinstance(frame, VideoFrame)
                await video.send(frame)

        feeding = [asyncio.create_task(speak()), asyncio.create_task(show())]
        async with asyncio.timeout(20):
            await asyncio.gather(hears(other, 660), sees(other, RED))
        for task in feeding:
            task.cancel()
        heard = other.audio.decoded
        await eventually(lambda: other.audio.decoded > heard + 10, "silence is sent")


async def test_a_call_that_is_declined_is_over_with_the_reason(join: Join) -> None:
    caller, callee = await join("student_456"), await join("tutor_789")

    async def decline() -> None:
        async with contextlib.aclosing(callee.incoming()) as calls:
            async for call in calls:
                await call.decline("busy")
                return

    declining = asyncio.create_task(decline())
    call = await caller.call("tutor_789", "voice", 123)
    with pytest.raises(CallOver, match="busy"):
        await call.connected()
    await declining


@pytest.mark.parametrize(("profile", "reason"), [("tutor_789", "offline"), ("parent_321", "rejected")])
async def test_a_call_that_cannot_be_made_says_why(join: Join, profile: str, reason: str) -> None:
    caller = await join("student_456")
    with pytest.raises(CallOver) as over:
        await caller.call(profile, "voice", 123)
    assert over.value.reason == reason


async def test_chat_hold_and_their_events(join: Join) -> None:
    async with talking(await join("student_456"), await join("tutor_789")) as (call, other):
        seen: list[ClientEvent] = []

        async def watch() -> None:
            async for event in other.events():
                seen.append(event)

        watching = asyncio.create_task(watch())
        await call.send_chat("page 12")
        await call.hold()
        assert call.held_by == ("you",)
        with pytest.raises(Refused) as refused:
            await call.hold()
        assert refused.value.code == "wrong_state"
        await call.resume()
        await call.hang_up()
        await watching
        [chat] = [event for event in seen if isinstance(event, ChatReceived)]
        assert (chat.text, chat.own) == ("page 12", False)
        for late in (call.send_chat("page 13"), call.hold(), call.set_media_state(muted=True)):
            with pytest.raises(CallOver, match="hangup"):
                await late
        assert [event.held_by for event in seen if isinstance(event, StateChanged)] == [("other",), ()]
        assert seen[-1] == CallFinished("hangup", seen[-1].duration_seconds)  # type: ignore[attr-defined]


async def test_a_lost_websocket_loses_no_message_and_no_media(join: Join) -> None:
    caller, callee = await join("student_456"), await join("tutor_789")
    async with talking(caller, callee, "voice", sends(440)) as (call, other):
        events = other.events()
        following = asyncio.create_task(anext(events))
        await asyncio.sleep(0)
        await callee.lose_connection()
        await call.send_chat("while you were away")
        found = [await following, await anext(events), await anext(events)]
        assert [event.text for event in found if isinstance(event, ChatReceived)] == ["while you were away"]
        assert Reconnected(resumed=True) in found
        async with asyncio.timeout(20):
            await hears(other, 440)


async def test_a_program_can_write_down_every_message_of_the_relay(join: Join) -> None:
    heard: list[Mapping[str, Any]] = []
    callee = await join("tutor_789", on_message=heard.append)
    async with talking(await join("student_456"), callee) as (call, _):
        await callee.lose_connection()
        await call.send_chat("page 12")
        await eventually(lambda: any(one["type"] == "call_chat" for one in heard), "the message arrives")
    assert [one["resumed"] for one in heard if one["type"] == "welcome"] == [False, True]
    numbers = [one["seq"] for one in heard if "seq" in one]
    assert numbers == [*range(1, len(numbers) + 1)]


async def test_a_client_that_comes_back_as_a_new_device_takes_its_call_over(join: Join) -> None:
    caller, callee = await join("student_456"), await join("tutor_789")
    async with talking(caller, callee, "voice", sends(440)) as (call, other):
        await hears(other, 440)
        heard = other.audio.decoded
        await callee.lose_connection(forget=True)
        await eventually(lambda: call.state == "reconnecting" or other.audio.decoded > heard + 500, "the call is taken over")
        async with asyncio.timeout(20):
            await call.connected()
        heard = other.audio.decoded
        await eventually(lambda: other.audio.decoded > heard + 25, "the new device hears the caller")


async def test_a_voice_call_becomes_a_video_call(join: Join) -> None:
    async with talking(await join("student_456"), await join("tutor_789"), "voice", sends(440)) as (call, other):
        await call.send(sends(550, RED), "video")
        async with asyncio.timeout(20):
            await asyncio.gather(hears(other, 550), sees(other, RED))


async def test_a_program_that_only_counts_decodes_nothing(join: Join) -> None:
    caller, callee = await join("student_456"), await join("tutor_789", decode=False)
    async with talking(caller, callee, "video", sends(440, RED)) as (_, other):

        def counted() -> bool:
            audio, video = other.figures("audio"), other.figures("video")
            return audio is not None and video is not None and audio.packets > 50 and video.frames > 20

        await eventually(counted, "packets are counted")
        assert (other.audio.decoded, other.video.decoded) == (0, 0)
        audio = other.figures("audio")
        assert audio is not None
        assert (audio.lost, audio.clock_rate) == (0, 48_000)


async def test_a_sender_sees_the_loss_of_a_receiver_that_only_counts(join: Join) -> None:
    caller, callee = await join("student_456"), await join("tutor_789", decode=False)
    async with talking(caller, callee, "voice", sends(440)) as (call, other):
        await eventually(lambda: (found := other.figures("audio")) and found.packets > 10, "audio arrives")
        assert call.media.end is not None
        assert other.media.end is not None
        connection, receiver = call.media.end.connection, cast(Any, other.media.end.receiver("audio"))
        arrived, count = receiver._handle_rtp_packet, itertools.count()

        async def losing(packet: RtpPacket, arrival_time_ms: int) -> None:
            if next(count) % 4:
                await arrived(packet, arrival_time_ms)

        receiver._handle_rtp_packet = losing

        async def seen() -> bool:
            stats = (await connection.getStats()).values()
            reports = [one for one in stats if isinstance(one, RTCRemoteInboundRtpStreamStats)]
            return any(one.packetsLost > 5 and one.roundTripTime is not None for one in reports)

        await eventually(seen, "the receiver reports its loss")
        audio = other.figures("audio")
        assert audio is not None
        assert audio.loss > 0.05


@pytest.mark.settings(assemblers=0)
async def test_a_call_is_recorded_when_the_other_party_consents_and_until_it_withdraws(join: Join, tmp_path: Path) -> None:
    caller = await join("student_456", can_show_recording=True)
    callee = await join("tutor_789", can_show_recording=True, consent=True)
    async with talking(caller, callee) as (call, other):
        recording_id = await call.record()
        await eventually(
            lambda: (other.recording.state, other.recording.recording_id) == ("recording", recording_id), "both know"
        )
        await other.consent(False)
        await eventually(lambda: call.recording.state == "stopped", "the recording ends")
        assert call.recording.reason == "consent_withdrawn"
    assert [one.name for one in (tmp_path / "recordings").glob("*.pcapng")] == [f"{recording_id}.pcapng"]


@pytest.mark.settings(assemblers=0)
@pytest.mark.parametrize(("shows", "consent", "reason"), [(True, False, "declined"), (False, True, "not_supported")])
async def test_a_recording_that_is_not_agreed_to_is_refused(join: Join, shows: bool, consent: bool, reason: str) -> None:
    caller = await join("student_456", can_show_recording=True)
    callee = await join("tutor_789", can_show_recording=shows, consent=consent)
    async with talking(caller, callee) as (call, _):
        with pytest.raises(Refused) as refused:
            await call.record()
        assert refused.value.code == reason


async def test_closing_a_client_ends_its_calls(relay: RunningRelay, join: Join) -> None:
    callee = await join("tutor_789")
    answering = asyncio.create_task(answered(callee))
    async with connect(relay.url, "student_456") as caller:
        call = await caller.call("tutor_789", "voice", 123)
        other = await answering
        await call.connected()
    assert await other.ended() == "hangup"
    assert await call.ended() == "hangup"


async def test_a_wrong_token_is_refused(relay: RunningRelay) -> None:
    with pytest.raises(SignInFailed) as failed:
        async with connect(relay.url, "student_456", token="a.b.c"):
            pass
    assert failed.value.reason == "unauthorized"


@pytest.mark.parametrize("url", ["ftp://relay.example", "https://", "127.0.0.1:1"])
async def test_an_address_of_no_relay_is_said_to_be_none(url: str) -> None:
    with pytest.raises((ValueError, SignInFailed), match=r"is no URL of a relay|connections are refused"):
        async with connect(url, "student_456"):
            pass


async def test_a_server_that_greets_with_something_else_is_no_relay() -> None:
    async def servers(_: web.Request) -> web.Response:
        return web.json_response({"ice_servers": []})

    async def socket(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        await response.send_str("[1, 2")
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            await response.receive()
        return response

    app = web.Application()
    app.router.add_get("/api/ice-servers", servers)
    app.router.add_get("/ws/{id}/{type}", socket)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        with pytest.raises(SignInFailed) as failed:
            async with connect(f"http://127.0.0.1:{runner.addresses[0][1]}", "student_456", token="x"):
                pass
    finally:
        await runner.cleanup()
    assert failed.value.reason == "not_relay"
