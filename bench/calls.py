"""What whole calls cost: set up, held, and in use."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bench import hdcall
from bench.legs import Flow
from bench.load import LoadResult, run_load
from bench.packets import Batch
from bench.subjects.api import Subject
from bench.windows import Meter, quantiles

SETTLE: Final = 1.0
"""Seconds that a server is left alone before its memory is read."""

WARM_UP: Final = 1
"""Seconds of each call before its CPU time counts: codecs start (aiortc), histories fill (the others)."""


@dataclass(frozen=True, slots=True)
class IdleCalls:
    """Calls that are up, with no media: set-up, and what holding them costs."""

    subject: str
    calls: int
    setup_cpu_seconds: float
    """Of the server, for all of them."""
    setup_seconds: float
    """By the clock; the generator's half of the handshakes is in it."""
    memory_bytes: int
    """More than before the calls."""
    idle_seconds: float
    idle_cpu_seconds: float
    """While each party sent a consent check every 2.5 s, as browsers do, and nothing else."""
    others: float
    """Cores kept busy by anything else while idle CPU was read."""

    @property
    def setups_per_core_second(self) -> float:
        return self.calls / max(1e-9, self.setup_cpu_seconds)


@dataclass(frozen=True, slots=True)
class ActiveCalls:
    """720p30 video calls, both ways, with audio."""

    subject: str
    calls: int
    seconds: float
    sent: int
    received: int
    cpu_seconds: float
    memory_bytes: int
    """More than before the calls."""
    others: float
    behind: float
    residence_p50: float | None = None
    """Seconds from send call to the receiver's network stack, where it was taken."""
    residence_p99: float | None = None

    @property
    def cores_per_call(self) -> float:
        return self.cpu_seconds / self.seconds / self.calls


async def idle_calls(subject: Subject, calls: int, seconds: float) -> IdleCalls:
    """Set up calls in a server that has just started, then hold them."""
    await asyncio.sleep(SETTLE)
    memory = subject.process.memory_bytes()
    started, meter = time.monotonic(), Meter(subject.process)
    await subject.connect(calls * subject.transports_per_call)
    setup_cpu, _ = meter.read()
    setup_seconds = time.monotonic() - started
    await asyncio.sleep(SETTLE)
    memory = subject.process.memory_bytes() - memory
    meter = Meter(subject.process)
    await subject.hold(seconds)
    idle_cpu, others = meter.read()
    return IdleCalls(
        subject=subject.name,
        calls=calls,
        setup_cpu_seconds=setup_cpu,
        setup_seconds=setup_seconds,
        memory_bytes=memory,
        idle_seconds=seconds,
        idle_cpu_seconds=idle_cpu,
        others=others,
    )


async def active_calls(subject: Subject, calls: int, seconds: int, *, timed: bool = False) -> ActiveCalls:
    """Set up calls in a server that has just started, and play them."""
    await asyncio.sleep(SETTLE)
    memory = subject.process.memory_bytes()
    directions = _with_audio(await subject.connect(calls * subject.transports_per_call))
    _prepared(directions, WARM_UP)()
    await asyncio.sleep(0)  # What has come for ICE and DTLS meanwhile.
    play = _prepared(directions, seconds, timed=timed)
    await subject.disturb()
    meter = Meter(subject.process)
    load = play()
    cpu_seconds, others = meter.read()
    p50, p99 = quantiles(load)
    return ActiveCalls(
        subject=subject.name,
        calls=calls,
        seconds=load.seconds,
        sent=load.sent,
        received=load.received,
        cpu_seconds=cpu_seconds,
        memory_bytes=subject.process.memory_bytes() - memory,
        others=others,
        behind=load.behind,
        residence_p50=p50,
        residence_p99=p99,
    )


def _prepared(directions: Sequence[Flow], seconds: int, *, timed: bool = False) -> Callable[[], LoadResult]:
    """So many seconds of the calls, encrypted and ready to be played."""
    video = [packet for frame in hdcall.video(seconds) for packet in frame]
    audio = hdcall.audio(seconds)
    batches = [Batch(flow, audio if i % 2 else video) for i, flow in enumerate(directions)]
    return lambda: run_load(directions, batches, hdcall.schedule(len(directions) // 2, seconds), timed=timed)


def _with_audio(video: Sequence[Flow]) -> Sequence[Flow]:
    """Video and audio flows in turn, as `hdcall.schedule` numbers them."""
    return [flow for one in video for flow in (one, one.audio())]
