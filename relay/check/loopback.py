"""A loop-back call: two peer connections of this process that call each other through the relay, over one path."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

from aiortc import MediaStreamTrack, RTCRtpTransceiver
from aiortc.rtp import RtpPacket
from av import AudioFrame, VideoFrame

from relay.check.client import HopFailed, ProbeSocket
from relay.check.descriptions import with_candidates
from relay.check.report import Hop, LoopbackFigures, Target
from relay.check.synthetic import sent_tracks
from relay.check.transports import Connector, ProbeTransport
from relay.client.errors import ClientError
from relay.client.peer import MediaEnd, SdpDescription
from relay.client.streams import CountedStreams
from relay.client.tracks import ReceivedFrames

CALL_SECONDS: Final = 3.0
"""Of the call that is measured."""

Plan = Callable[[str], Sequence[tuple[Target, Connector]]]
"""The relay's description → the addresses to try, each with its connector."""


class _Received:
    """What comes back, counted and decoded, so that the receiver behaves as one does."""

    def __init__(self) -> None:
        self.streams = CountedStreams()
        self.audio: ReceivedFrames[AudioFrame] = ReceivedFrames("audio")
        self.video: ReceivedFrames[VideoFrame] = ReceivedFrames("video")
        self._tasks: set[asyncio.Task[None]] = set()

    def take_track(self, track: MediaStreamTrack) -> None:
        self._tasks.add(asyncio.create_task((self.audio if track.kind == "audio" else self.video).consume(track)))

    def take_packet(self, transceiver: RTCRtpTransceiver, packet: RtpPacket, arrival: float) -> bool:
        self.streams.take(transceiver, packet, arrival)
        return True

    async def close(self) -> None:
        self.audio.end()
        self.video.end()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class LoopbackCall:
    """Made by `begun`. The caller sends audio and video, the callee receives them."""

    caller: MediaEnd
    callee: MediaEnd
    received: _Received
    targets: tuple[Target, ...]
    """The addresses that are tried; empty: the relay does not offer this path, and there is no call."""
    transports: tuple[ProbeTransport, ...] = ()
    """The caller's, then the callee's, in the order of the targets."""

    @classmethod
    @contextlib.asynccontextmanager
    async def begun(cls, socket: ProbeSocket, plan: Plan, host: str) -> AsyncIterator[Self]:
        """Negotiate a call; `connected` waits for it.

        Args:
            host: a loopback address of this machine.

        Raises:
            HopFailed: the relay refuses the call.
        """
        async with contextlib.AsyncExitStack() as stack:
            received = _Received()
            stack.push_async_callback(received.close)
            caller = await stack.enter_async_context(contextlib.aclosing(MediaEnd()))
            callee = await stack.enter_async_context(
                contextlib.aclosing(MediaEnd(tap=received.take_packet, on_track=received.take_track))
            )
            ours = await caller.offer({track.kind: track for track in sent_tracks()})
            offer = await socket.exchange("offer", ours["sdp"])
            planned = plan(offer)
            targets = tuple(target for target, _ in planned)
            if not planned:
                yield cls(caller, callee, received, ())
                return
            here, there = [
                [await stack.enter_async_context(ProbeTransport.opened(*one, host)) for one in planned] for _ in (caller, callee)
            ]
            with _relays_description():
                theirs = await callee.answer(_described("offer", offer, there))
            received.streams.negotiated = callee.negotiated
            answer = await socket.exchange("answer", theirs["sdp"])
            with _relays_description():
                await caller.accept(_described("answer", answer, here))
            yield cls(caller, callee, received, targets, (*here, *there))

    async def connected(self) -> bool:
        """Wait until both peer connections are connected; False if one fails."""
        return await self.caller.connected() and await self.callee.connected()

    @property
    def problem(self) -> str:
        return next((one.problem for one in self.transports if one.problem), "")

    @property
    def reached(self) -> Target:
        """The target that media uses."""
        return max(self.transports, key=lambda one: one.received).target

    async def figures(self, way: Hop) -> LoopbackFigures | None:
        """Measure `CALL_SECONDS` of the call; None: neither audio nor video came back."""
        clock = asyncio.get_running_loop()
        begin, frames, octets = clock.time(), self.received.video.decoded, self._octets()
        await asyncio.sleep(CALL_SECONDS)
        seconds = clock.time() - begin
        if not self.received.video.decoded and not self.received.audio.decoded:
            return None
        streams = self.received.streams
        lost, expected = sum(one.lost for one in streams.all), sum(one.expected for one in streams.all)
        audio = streams.figures("audio")
        # Media goes from here over the relay to here, and the RTCP report the same way back: two round trips to the relay.
        round_trip = await self.caller.round_trip()
        host, port = self.reached.host, self.reached.port
        return LoopbackFigures(
            way=way,
            host=host,
            port=port,
            family="IPv6" if ":" in host else "IPv4",
            round_trip_ms=round(round_trip / 2 * 1000) if round_trip is not None else None,
            loss_percent=round(100 * lost / max(1, expected), 1),
            jitter_ms=round(audio.jitter * 1000, 1) if audio is not None else None,
            kbps=round((self._octets() - octets) * 8 / seconds / 1000),
            frames_per_second=round((self.received.video.decoded - frames) / seconds, 1),
        )

    def _octets(self) -> int:
        """Bytes that the callee received."""
        return sum(one.received for one in self.transports[len(self.targets) :])


def _described(kind: str, sdp: str, transports: Sequence[ProbeTransport]) -> SdpDescription:
    """The relay's description, with the local ports of the path under test in place of its candidates."""
    return {"type": kind, "sdp": with_candidates(sdp, [one.port for one in transports])}


@contextlib.contextmanager
def _relays_description() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise HopFailed("unavailable", "the relay's session description cannot be used") from error
