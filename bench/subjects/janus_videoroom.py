"""Janus VideoRoom: a publisher and one subscriber per room."""

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import Final

from bench.legs import AUDIO_SSRC, Flow
from bench.sdp import Media, read, write
from bench.subjects.janus import PATIENCE, Janus

_AT_ONCE: Final = 16
"""Rooms being set up at a time, so that no handshake runs into its retransmission timer."""


class JanusVideoRoom(Janus):
    """Rooms of one publisher and one subscriber. Media flows one way, so that each party of a call needs one."""

    name = "janus_videoroom"
    transports_per_call = 4
    any_payload = True
    description = "Janus, VideoRoom plugin: SRTP in from a publisher, SRTP out to its one subscriber"

    def __init__(self) -> None:
        super().__init__("videoroom")
        self._rooms = count(1)

    async def connect(self, transports: int) -> Sequence[Flow]:
        """Make a room for each two transports."""
        slots = asyncio.Semaphore(_AT_ONCE)
        return await asyncio.gather(*(self._room(slots) for _ in range(transports // 2)))

    async def _room(self, slots: asyncio.Semaphore) -> Flow:
        async with slots:
            room = next(self._rooms)
            publisher, subscriber = await self.attach(), await self.attach()
            await self.message(publisher, {"request": "create", "room": room, "publishers": 1})
            joined = await self.message(publisher, {"request": "join", "ptype": "publisher", "room": room})
            source = self.peer()
            sdp = write(source.local, (Media("audio", "sendonly", room + AUDIO_SSRC), Media("video", "sendonly", room)), "active")
            sender = await self.offer(publisher, {"request": "publish"}, source, sdp)
            feed = joined["plugindata"]["data"]["id"]
            offered = await self.message(
                subscriber, {"request": "join", "ptype": "subscriber", "room": room, "streams": [{"feed": feed}]}
            )
            sink = self.peer()
            answer = write(sink.local, (Media("audio", "recvonly"), Media("video", "recvonly")), "active")
            started = self.message(subscriber, {"request": "start"}, {"type": "answer", "sdp": answer})
            receiver, _ = await asyncio.gather(sink.leg(read(offered["jsep"]["sdp"]), PATIENCE), started)
            return Flow(sender, receiver, room)
