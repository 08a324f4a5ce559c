"""A loop-back call: two peer connections of this process that call each other through the relay, over one path."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.stats import RTCInboundRtpStreamStats, RTCRemoteInboundRtpStreamStats

from relay.check.client import HopFailed, ProbeSocket
from relay.check.descriptions import with_candidates
from relay.check.report import Hop, LoopbackFigures, Target
from relay.check.synthetic import Sink, sent_tracks
from relay.check.transports import Connector, ProbeTransport

CALL_SECONDS: Final = 3.0
"""Of the call that is measured."""

OPUS_CLOCK_RATE: Final = 48_000
"""Hz, of Opus' timestamps (RFC 7587 section 4.1)."""

Plan = Callable[[str], Sequence[tuple[Target, Connector]]]
"""The relay's description → the addresses to try, each with its connector."""


@dataclass(frozen=True, slots=True)
class LoopbackCall:
    """Made by `begun`. The caller sends audio and video, the callee receives them."""

    caller: RTCPeerConnection
    callee: RTCPeerConnection
    sink: Sink
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
            sink = Sink()
            stack.push_async_callback(sink.close)
            caller, callee = [await stack.enter_async_context(_peer_connection()) for _ in range(2)]
            callee.on("track", sink.take)
            for track in sent_tracks():
                stack.callback(track.stop)
                caller.addTrack(track)
            await caller.setLocalDescription(await caller.createOffer())
            offer = await socket.exchange("offer", caller.localDescription.sdp)
            planned = plan(offer)
            targets = tuple(target for target, _ in planned)
            if not planned:
                yield cls(caller, callee, sink, ())
                return
            ours, theirs = [
                [await stack.enter_async_context(ProbeTransport.opened(*one, host)) for one in planned] for _ in (caller, callee)
            ]
            await _set_remote(callee, "offer", offer, theirs)
            with _relays_description():
                await callee.setLocalDescription(await callee.createAnswer())
            answer = await socket.exchange("answer", callee.localDescription.sdp)
            await _set_remote(caller, "answer", answer, ours)
            yield cls(caller, callee, sink, targets, (*ours, *theirs))

    async def connected(self) -> bool:
        """Wait until both peer connections are connected; False if one fails."""
        for one in (self.caller, self.callee):
            if not await _settled(one):
                return False
        return True

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
        begin, frames, received = clock.time(), self.sink.video_frames, self._received()
        await asyncio.sleep(CALL_SECONDS)
        seconds = clock.time() - begin
        if not self.sink.video_frames and not self.sink.audio_frames:
            return None
        inbound = await _statistics(self.callee, RTCInboundRtpStreamStats)
        lost = max(0, sum(one.packetsLost for one in inbound))
        arrived = sum(one.packetsReceived for one in inbound)
        jitter = [one.jitter for one in inbound if one.kind == "audio"]
        # Media goes from here over the relay to here, and the RTCP report the same way back: two round trips to the relay.
        trips = [one.roundTripTime for one in await _statistics(self.caller, RTCRemoteInboundRtpStreamStats)]
        host, port = self.reached.host, self.reached.port
        return LoopbackFigures(
            way=way,
            host=host,
            port=port,
            family="IPv6" if ":" in host else "IPv4",
            round_trip_ms=round(min(known) / 2 * 1000) if (known := [one for one in trips if one is not None]) else None,
            loss_percent=round(100 * lost / max(1, lost + arrived), 1),
            jitter_ms=round(jitter[0] / OPUS_CLOCK_RATE * 1000, 1) if jitter else None,
            kbps=round((self._received() - received) * 8 / seconds / 1000),
            frames_per_second=round((self.sink.video_frames - frames) / seconds, 1),
        )

    def _received(self) -> int:
        """Bytes that the callee received."""
        return sum(one.received for one in self.transports[len(self.targets) :])


@contextlib.asynccontextmanager
async def _peer_connection() -> AsyncIterator[RTCPeerConnection]:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        yield connection
    finally:
        await connection.close()


async def _set_remote(connection: RTCPeerConnection, kind: str, sdp: str, transports: Sequence[ProbeTransport]) -> None:
    ports = [one.port for one in transports]
    with _relays_description():
        await connection.setRemoteDescription(RTCSessionDescription(with_candidates(sdp, ports), kind))


@contextlib.contextmanager
def _relays_description() -> Iterator[None]:
    """Blame the relay for what aiortc raises: its parser and negotiation raise any exception at a bad description."""
    try:
        yield
    except Exception as error:
        raise HopFailed("unavailable", "the relay's session description cannot be used") from error


async def _settled(connection: RTCPeerConnection) -> bool:
    settled = asyncio.Event()
    connection.on("connectionstatechange", settled.set)
    while connection.connectionState not in {"connected", "failed", "closed"}:
        await settled.wait()
        settled.clear()
    return bool(connection.connectionState == "connected")


async def _statistics(connection: RTCPeerConnection, kind: type[Any]) -> list[Any]:
    return [one for one in (await connection.getStats()).values() if isinstance(one, kind)]
