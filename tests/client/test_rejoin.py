"""Calls that go on by another peer connection: at another server, or at the same one by a device that is new to it."""

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping
from typing import Any

import aiohttp
import pytest
from aiortc import MediaStreamError, MediaStreamTrack
from yarl import URL

from relay.client import ClientCall, connect
from relay.client.call_media import CallMedia, CallOptions
from relay.client.peer import MediaEnd, ufrag_in
from relay.client.rejoin import Rejoin
from relay.client.shared_track import SharedTrack
from relay.client.tracks import OutgoingAudio, ReceivedFrames
from relay.client.websocket import decoded
from tests.client.conftest import Join
from tests.client.test_calls import answered, hears, sends, talking
from tests.kit.cuttable import CuttablePath
from tests.kit.peer import Ear, ToneTrack
from tests.kit.served_cluster import url_of
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually


class Server:
    """One end of a peer connection, as a server that has the other party's tone."""

    def __init__(self, hertz: float) -> None:
        self.audio: ReceivedFrames[Any] = ReceivedFrames("audio")
        self.tasks: set[asyncio.Task[None]] = set()
        self.end = MediaEnd(on_track=self._take)
        self._hertz = hertz

    async def offer(self) -> Mapping[str, str]:
        return await self.end.offer({"audio": ToneTrack(self._hertz)}, ("opus",))

    def _take(self, track: MediaStreamTrack) -> None:
        self.tasks.add(asyncio.create_task(self.audio.consume(track)))

    async def aclose(self) -> None:
        self.audio.end()
        await self.end.aclose()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def hear(audio: ReceivedFrames[Any], hertz: float) -> None:
    ear = Ear()
    async with asyncio.timeout(20):
        async for frame in audio:
            ear.hear(frame)
            if ear.hears(hertz):
                return


async def test_media_comes_and_goes_by_the_former_peer_connection_until_it_comes_by_the_next() -> None:
    tasks: set[asyncio.Task[None]] = set()

    def spawn(work: Coroutine[Any, Any, None]) -> None:
        tasks.add(asyncio.create_task(work))

    media = CallMedia(spawn, CallOptions(), None)
    async with contextlib.aclosing(Server(440)) as former, contextlib.aclosing(Server(550)) as later:
        await former.end.accept(await media.answer(await former.offer(), [ToneTrack(880)], ()))
        await asyncio.gather(hear(media.audio, 440), hear(former.audio, 880))
        answer = await media.rejoin(await later.offer())
        # The later one has not heard of the answer yet.
        here, there = media.audio.decoded, former.audio.decoded
        await eventually(
            lambda: media.audio.decoded > here + 20 and former.audio.decoded > there + 20,
            "both hear each other by the former one",
        )
        await later.end.accept(answer)
        await asyncio.gather(hear(media.audio, 550), hear(later.audio, 880))
        await eventually(lambda: former.end.connection.connectionState == "closed", "the former one is closed")
        here, there = media.audio.decoded, later.audio.decoded
        await eventually(
            lambda: media.audio.decoded > here + 20 and later.audio.decoded > there + 20, "both hear each other by the later one"
        )
        await media.close()
    await asyncio.gather(*tasks, return_exceptions=True)


async def position(track: MediaStreamTrack) -> int:
    """Of the next frame of a track."""
    pts = (await track.recv()).pts
    assert pts is not None
    return pts


async def test_a_connection_that_comes_up_sends_what_comes_from_then_on_and_not_what_another_one_has_sent() -> None:
    source = OutgoingAudio()
    shared = SharedTrack(source)
    first, second = shared.branch(), shared.branch()
    sent = [await position(first) for _ in range(3)]
    here, there = await asyncio.gather(position(first), position(second))
    assert here == there > max(sent)
    second.stop()
    assert source.readyState == "live"
    assert await position(first) > here
    with pytest.raises(MediaStreamError):
        await second.recv()


async def test_a_client_that_takes_its_call_over_sends_on_what_it_sent(join: Join) -> None:
    caller, callee = await join("student_456"), await join("tutor_789")
    answering = asyncio.create_task(answered(callee, sends(880)))
    call = await caller.call("tutor_789", "voice", 123, media=sends(440))
    other = await answering
    async with asyncio.timeout(20):
        await asyncio.gather(hears(call, 880), hears(other, 440))
    former = other.media.end
    await callee.lose_connection(forget=True)
    await eventually(lambda: other.media.end is not former and other.media.end is not None, "it has another peer connection")
    await eventually(lambda: former is not None and former.connection.connectionState == "closed", "it has no other one")
    async with asyncio.timeout(20):
        await asyncio.gather(hears(call, 880), hears(other, 440))
    await call.hang_up()


async def test_a_client_asks_for_its_call_again_if_its_connection_breaks_while_it_asks(relay: RunningRelay, join: Join) -> None:
    caller, heard = await join("student_456"), list[Mapping[str, Any]]()
    async with CuttablePath.to(URL(relay.url).port or 0) as path:

        def hear_of(message: Mapping[str, Any]) -> None:
            heard.append(message)
            if message.get("yours") is False and len(states()) == 1:
                path.freeze()  # what it asks for does not arrive

        def states() -> list[Mapping[str, Any]]:
            return [one for one in heard if one.get("yours") is False]

        async with connect(url_of(path), "tutor_789", on_message=hear_of) as callee, talking(caller, callee) as (call, other):
            assert isinstance(call, ClientCall)
            former = other.media.end
            await callee.lose_connection(forget=True)
            await eventually(states, "the relay lets it have its call back")
            path.cut()
            path.thaw()
            path.mend()
            await eventually(lambda: other.media.end is not former, "it has another peer connection")
            decoded = call.audio.decoded, other.audio.decoded
            await eventually(lambda: call.audio.decoded > decoded[0] + 25, "the caller hears it")
            await eventually(lambda: other.audio.decoded > decoded[1] + 25, "it hears the caller")


async def test_a_call_that_ended_while_its_device_was_away_and_came_back_as_another_one_is_over(
    relay: RunningRelay, join: Join
) -> None:
    caller, port = await join("student_456"), URL(relay.url).port or 0
    async with (
        CuttablePath.to(port) as path,
        connect(url_of(path), "tutor_789") as callee,
        talking(caller, callee) as (call, other),
    ):
        path.lead_to()
        await callee.lose_connection(forget=True)
        await call.hang_up()
        path.lead_to(port)
        async with asyncio.timeout(20):
            assert await other.ended() == "signaling_lost"


async def asked_and_answered(replayed: bool) -> tuple[int, list[Mapping[str, Any]]]:
    """How often a call is asked for whose connection breaks meanwhile, and the offers that are answered.

    Args:
        replayed: the offer was sent on the connection before, and comes on the next one.
    """
    tasks: set[asyncio.Task[None]] = set()
    offers, asked, answers = asyncio.Queue[Mapping[str, Any]](), 0, list[Mapping[str, Any]]()

    def spawn(work: Coroutine[Any, Any, None]) -> None:
        tasks.add(asyncio.create_task(work))

    async def ask() -> Mapping[str, Any]:
        nonlocal asked
        asked += 1
        if asked == 2:
            offers.put_nowait({"update_id": "of the second"})
        rejoin.take(offer := await offers.get())
        return offer

    async def answer(offer: Mapping[str, Any]) -> None:
        answers.append(offer)

    rejoin = Rejoin(spawn, ask, answer)
    rejoin.begin()
    await eventually(lambda: asked == 1, "it is asked for")
    rejoin.connection_is_back()
    if replayed:
        offers.put_nowait({"update_id": "of the first"})
    await eventually(lambda: answers, "an offer is answered")
    await asyncio.gather(*tasks)
    return asked, answers


async def test_a_call_that_was_asked_for_on_a_connection_which_broke_is_asked_for_on_the_next() -> None:
    assert await asked_and_answered(replayed=False) == (2, [{"update_id": "of the second"}])


async def test_a_call_is_not_asked_for_again_if_the_offer_was_only_late() -> None:
    assert await asked_and_answered(replayed=True) == (1, [{"update_id": "of the first"}])


async def test_a_call_that_was_asked_for_twice_goes_on_by_the_second_offer(relay: RunningRelay, join: Join) -> None:
    """The relay gives up the first one, which may have been answered already."""
    caller, offers = await join("student_456"), list[Mapping[str, Any]]()

    def hear_of(message: Mapping[str, Any]) -> None:
        if message["type"] == "call_update" and message.get("offer"):
            offers.append(message)

    async with connect(relay.url, "tutor_789", on_message=hear_of) as callee, talking(caller, callee) as (call, other):
        await callee.lose_connection(forget=True)
        await eventually(lambda: offers, "the relay lets it have its call back")
        await other._messages.tell("call_rejoin")
        await eventually(lambda: len(offers) > 1, "and once more")
        decoded = call.audio.decoded, other.audio.decoded
        await eventually(lambda: other.audio.decoded > decoded[1] + 25, "it hears the caller")
        await eventually(lambda: call.audio.decoded > decoded[0] + 25, "the caller hears it")
        lines = other.media._lines
        await eventually(lambda: [one.is_up for one in lines] == [True], "it has one peer connection")


async def test_of_two_offers_that_come_at_once_the_second_is_answered(relay: RunningRelay, join: Join) -> None:
    caller, held, offers = await join("student_456"), list[aiohttp.WSMessage](), list[Mapping[str, str]]()
    async with connect(relay.url, "tutor_789") as callee, talking(caller, callee) as (call, other):
        receive = callee._signaling._receive

        def receive_at_once(frame: aiohttp.WSMessage) -> None:
            message = decoded(frame) or {}
            if message.get("type") == "call_update" and message.get("offer"):
                offers.append(message["offer"])
            held.append(frame)
            if len(offers) != 1:
                for one in held:
                    receive(one)
                held.clear()

        callee._signaling._receive = receive_at_once  # type: ignore[method-assign]
        await callee.lose_connection(forget=True)
        await eventually(lambda: offers, "the relay lets it have its call back")
        await other._messages.tell("call_rejoin")
        await eventually(lambda: len(offers) == 2, "and once more")
        offered = ufrag_in(offers[1]["sdp"])
        await eventually(lambda: other.media._line.remote_ufrag == offered, "its peer connection is that of the second offer")
        before = call.audio.decoded, other.audio.decoded
        await eventually(lambda: other.audio.decoded > before[1] + 25, "it hears the caller")
        await eventually(lambda: call.audio.decoded > before[0] + 25, "the caller hears it")
        await eventually(lambda: [one.is_up for one in other.media._lines] == [True], "it has one peer connection")
