"""One measured window: steady traffic through one server, and what it cost."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from bench.legs import Flow, Leg, udp_socket
from bench.load import TICK, LoadResult, Schedule, per_flow, run_load, steady
from bench.packets import RTP_HEADER, TAG_SIZE, Batch, Packet
from bench.process import Process
from bench.sdp import VIDEO_TYPE

PACKET_SIZE: Final = 1_100
"""Bytes of RTP on the wire, encrypted: a full packet of browser video is 1,000 to 1,200."""

SMOOTH_TICK: Final = 100_000
"""Nanoseconds between bursts where time in the server is measured: with longer bursts a packet would mostly wait for those before
it, and the figure would be the burst's length."""

BEHIND_LIMIT: Final = 0.02
"""Seconds. A window in which the generator was later than this says nothing about loss."""

_RATE_STEP: Final = 1.3
_RATE_STEPS: Final = 9
"""How often the search goes up or down by that factor before it gives up: tenfold in all."""

_TICKS_PER_FRAME: Final = 3_000
"""RTP clock of 90 kHz."""


@dataclass(frozen=True, slots=True)
class Window:
    """What one window showed."""

    subject: str
    transports: int
    rate: int
    """Packets per second that were asked for."""
    sent: int
    received: int
    seconds: float
    cpu_seconds: float
    """Of the server."""
    others: float
    """Cores kept busy by anything but the server and the generator. Much of it makes the figures too high."""
    behind: float
    """Seconds by which the generator was late at worst."""
    residence_p50: float | None = None
    """Seconds from send call to the receiver's network stack."""
    residence_p99: float | None = None
    first_thread_seconds: float = 0.0
    """Of the server's CPU, that of its first thread: of the relay, the one that forwards."""

    @property
    def lost(self) -> int:
        """Packets."""
        return self.sent - self.received

    @property
    def microseconds(self) -> float:
        """Of CPU per forwarded packet."""
        return self.cpu_seconds / max(1, self.received) * 1e6

    @property
    def first_thread_microseconds(self) -> float:
        """Of that, by the first thread."""
        return self.first_thread_seconds / max(1, self.received) * 1e6


@dataclass(frozen=True, slots=True)
class Place:
    """Where a window is measured."""

    subject: str
    process: Process | None
    """None when the flows lead straight to their sinks."""
    flows: Sequence[Flow]
    transports: int
    burst: int = 1
    """Packets that a transport sends in a row."""


def steady_window(place: Place, rate: int, seconds: float, *, timed: bool = False) -> Window:
    """Steady traffic, dealt out evenly over all flows. Blocks for the time it takes."""
    tick = SMOOTH_TICK if timed else TICK
    flows = place.flows

    def schedule() -> Schedule:
        return steady(rate, seconds, len(flows), tick=tick, burst=place.burst)

    packet = Packet(_noise(), VIDEO_TYPE, _TICKS_PER_FRAME)
    batches = [Batch(flow, [packet] * n) for flow, n in zip(flows, per_flow(schedule, len(flows)), strict=True)]
    meter = Meter(place.process)
    load = run_load(flows, batches, schedule(), tick=tick, timed=timed)
    cpu_seconds, others = meter.read()
    first_thread = meter.read_first_thread()
    p50, p99 = quantiles(load)
    return Window(
        subject=place.subject,
        transports=place.transports,
        rate=rate,
        sent=load.sent,
        received=load.received,
        seconds=load.seconds,
        cpu_seconds=cpu_seconds,
        others=others,
        behind=load.behind,
        residence_p50=p50,
        residence_p99=p99,
        first_thread_seconds=first_thread,
    )


def highest_rate(place: Place, guess: int, seconds: float, bisections: int) -> Window | None:
    """The window of the highest rate that lost nothing; each bisection halves the error, which is 30 % without any.

    None if even low rates lose packets.
    """
    best: Window | None = None
    low, high = 0.0, 0.0
    rate = float(guess)
    for _ in range(_RATE_STEPS):
        window = _lossless(place, round(rate), seconds)
        if window is not None:
            best, low = window, rate
            if high:
                break
            rate *= _RATE_STEP
        else:
            high = rate
            if low:
                break
            rate /= _RATE_STEP
    for _ in range(bisections):
        if not (low and high):
            break
        rate = (low + high) / 2
        window = _lossless(place, round(rate), seconds)
        if window is not None:
            best, low = window, rate
        else:
            high = rate
    return best


@contextmanager
def direct(transports: int, burst: int = 1) -> Iterator[Place]:
    """No server at all: pairs of sockets, connected. Shows what of a figure is the generator's and the kernel's."""
    flows: list[Flow] = []
    with ExitStack() as sockets:
        for ssrc in range(0, transports, 2):
            one, other = sockets.enter_context(udp_socket()), sockets.enter_context(udp_socket())
            one.connect(other.getsockname())
            other.connect(one.getsockname())
            flows += [Flow(Leg(one), Leg(other), ssrc), Flow(Leg(other), Leg(one), ssrc + 1)]
        yield Place("direct", None, flows, transports, burst)


def quantiles(load: LoadResult) -> tuple[float | None, float | None]:
    """Median and 99th percentile of the residence times."""
    ordered = sorted(load.residence)
    if not ordered:
        return None, None
    return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]


class Meter:
    """CPU time since it was made."""

    def __init__(self, process: Process | None) -> None:
        self._process = process
        self._started = time.monotonic()
        self._server = self._server_seconds()
        self._first_thread = self._first_thread_seconds()
        self._own = time.process_time()
        self._machine = _machine_seconds()

    def read(self) -> tuple[float, float]:
        """CPU seconds of the server, and cores kept busy by processes that have no part in the measurement."""
        server = self._server_seconds() - self._server
        own = time.process_time() - self._own
        others = _machine_seconds() - self._machine - server - own
        return server, max(0.0, others / (time.monotonic() - self._started))

    def read_first_thread(self) -> float:
        """CPU seconds of the server's first thread."""
        return self._first_thread_seconds() - self._first_thread

    def _first_thread_seconds(self) -> float:
        return self._process.first_thread_seconds() if self._process is not None else 0.0

    def _server_seconds(self) -> float:
        return self._process.cpu_seconds() if self._process is not None else 0.0


def _lossless(place: Place, rate: int, seconds: float) -> Window | None:
    """A window without loss, in two tries: a hiccup of the machine is not the server's limit."""
    for _ in range(2):
        window = steady_window(place, rate, seconds)
        if not window.lost and window.behind < BEHIND_LIMIT:
            return window
    return None


@cache
def _noise() -> bytes:
    return os.urandom(PACKET_SIZE - RTP_HEADER.size - TAG_SIZE)


def _machine_seconds() -> float:
    """CPU time of everything on this machine, in seconds (proc(5): user, nice, system, irq, softirq and steal)."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    ticks = sum(int(fields[i]) for i in (0, 1, 2, 5, 6, 7))
    return ticks / os.sysconf("SC_CLK_TCK")
