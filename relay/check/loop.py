"""A loop-back call: two peer connections of this process that call each other through the relay, by one way."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.stats import RTCInboundRtpStreamStats, RTCRemoteInboundRtpStreamStats

from relay.check.carriers import Carrier, Opener
from relay.check.descriptions import only
from relay.check.door import HopFailed, Socket
from relay.check.report import Figures, Hop, Target
from relay.check.tracks import Sink, sent_tracks

CALL_SECONDS: Final = 3.0
"""Of the call whose figures are taken."""

SOUND_RATE: Final = 48_000
"""Hz, of Opus' timestamps (RFC 7587 section 4.1)."""

Plan = Callable[[str], Sequence[tuple[Target, Opener]]]
"""The relay's description → the addresses to try, and how."""


@dataclass(frozen=True, slots=True)
class Loop:
    """Make it with `made`. The caller sends sound and pictures, the callee takes them in."""

    caller: RTCPeerConnection
    callee: RTCPeerConnection
    sink: Sink
    targets: tuple[Target, ...]
    """What was tried; empty: the relay does not offer this way, and there is no call."""
    carriers: tuple[Carrier, ...] = ()
    """The caller's, then the callee's, in the order of the targets."""

    @classmethod
    @contextlib.asynccontextmanager
    async def made(cls, socket: Socket, plan: Plan, host: str) -> AsyncIterator[Self]:
        """Begin a call; `connected` waits for it.

        Args:
            host: a loopback address of this machine.

        Raises:
            HopFailed: the relay does not take the call.
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
            offer = await socket.ask("offer", caller.localDescription.sdp)
            ways = plan(offer)
            targets = tuple(target for target, _ in ways)
            if not ways:
                yield cls(caller, callee, sink, ())
                return
            ours, theirs = [
                [await stack.enter_async_context(Carrier.opened(*way, host)) for way in ways] for _ in (caller, callee)
            ]
            await _set_remote(callee, "offer", offer, theirs)
            with _foreign():
                await callee.setLocalDescription(await callee.createAnswer())
            answer = await socket.ask("answer", callee.localDescription.sdp)
            await _set_remote(caller, "answer", answer, ours)
            yield cls(caller, callee, sink, targets, (*ours, *theirs))

    async def connected(self) -> bool:
        """Wait until both ends are up; False if one gives up."""
        for one in (self.caller, self.callee):
            if not await _settled(one):
                return False
        return True

    @property
    def problem(self) -> str:
        return next((carrier.problem for carrier in self.carriers if carrier.problem), "")

    @property
    def reached(self) -> Target:
        """Of what was tried, the one that is used."""
        return max(self.carriers, key=lambda carrier: carrier.received).target

    async def figures(self, way: Hop) -> Figures | None:
        """Let the call go on for `CALL_SECONDS`, and see what came back; None: nothing that could be seen or heard."""
        clock = asyncio.get_running_loop()
        begin, pictures, received = clock.time(), self.sink.pictures, self._received()
        await asyncio.sleep(CALL_SECONDS)
        seconds = clock.time() - begin
        if not self.sink.pictures and not self.sink.sounds:
            return None
        inbound = await _statistics(self.callee, RTCInboundRtpStreamStats)
        lost = max(0, sum(one.packetsLost for one in inbound))
        arrived = sum(one.packetsReceived for one in inbound)
        jitter = [one.jitter for one in inbound if one.kind == "audio"]
        # From here over the relay to here, and its report the same way back: two round trips.
        trips = [one.roundTripTime for one in await _statistics(self.caller, RTCRemoteInboundRtpStreamStats)]
        host, port = self.reached.host, self.reached.port
        return Figures(
            way=way,
            host=host,
            port=port,
            family="IPv6" if ":" in host else "IPv4",
            round_trip_ms=round(min(known) / 2 * 1000) if (known := [one for one in trips if one is not None]) else None,
            loss_percent=round(100 * lost / max(1, lost + arrived), 1),
            jitter_ms=round(jitter[0] / SOUND_RATE * 1000, 1) if jitter else None,
            kbps=round((self._received() - received) * 8 / seconds / 1000),
            frames_per_second=round((self.sink.pictures - pictures) / seconds, 1),
        )

    def _received(self) -> int:
        return sum(carrier.received for carrier in self.carriers[len(self.targets) :])


@contextlib.asynccontextmanager
async def _peer_connection() -> AsyncIterator[RTCPeerConnection]:
    made = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        yield made
    finally:
        await made.close()


async def _set_remote(connection: RTCPeerConnection, kind: str, sdp: str, carriers: Sequence[Carrier]) -> None:
    ports = [carrier.port for carrier in carriers]
    with _foreign():
        await connection.setRemoteDescription(RTCSessionDescription(only(sdp, ports), kind))


@contextlib.contextmanager
def _foreign() -> Iterator[None]:
    """Around whatever aiortc makes of what somebody else wrote."""
    try:
        yield
    except Exception as error:
        raise HopFailed("unavailable", "what the relay says cannot be used") from error


async def _settled(connection: RTCPeerConnection) -> bool:
    settled = asyncio.Event()
    connection.on("connectionstatechange", settled.set)
    while connection.connectionState not in {"connected", "failed", "closed"}:
        await settled.wait()
        settled.clear()
    return bool(connection.connectionState == "connected")


async def _statistics(connection: RTCPeerConnection, kind: type[Any]) -> list[Any]:
    return [one for one in (await connection.getStats()).values() if isinstance(one, kind)]
