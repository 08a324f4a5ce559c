"""The load generator: sends prepared packets at a steady pace and counts what comes out at the other end.

It runs on a core of its own and polls without sleeping, so that its own wake-ups do not colour the figures.
"""

import gc
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.kernel import SO_TIMESTAMPNS, Messages, ffi, libc
from bench.legs import Flow
from bench.packets import Batch

TICK: Final = 1_000_000
"""Nanoseconds between bursts, unless said otherwise."""

DRAIN: Final = 250_000_000
"""Nanoseconds of silence after the last packet that end a run: longer than a scheduler's slice on a busy core."""

DRAIN_LIMIT: Final = 2_000_000_000
"""Nanoseconds after which a run ends even if packets still trickle in."""

SAMPLE_MASK: Final = 7
"""One packet in eight is timed."""

_SLOTS: Final = 64
_SLOT_SIZE: Final = 2048
_CONTROL_SIZE: Final = 32
"""One cmsghdr (16 bytes) and one timespec (16 bytes)."""

_IS_RTP: Final = bytes(0 if 64 <= octet & 0x7F <= 95 else 1 for octet in range(256))
"""By second byte: 64-95 are RTCP packet types less their top bit (RFC 5761, section 4)."""

Schedule = Iterator[Sequence[tuple[int, int]]]
"""For each tick: pairs of flow index and number of packets to send."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What one run of the generator saw."""

    sent: int
    received: int
    seconds: float
    """From the first packet sent to the last received."""
    behind: float
    """Seconds by which the generator was late at its worst tick: when it is more than a few ticks, distrust the run."""
    residence: list[float] = field(default_factory=list)
    """Seconds from just before the send call to the moment the packet entered the receiver's network stack, sampled."""

    @property
    def lost(self) -> int:
        """Packets that never arrived."""
        return self.sent - self.received


def steady(rate: float, seconds: float, flows: int, *, tick: int = TICK, burst: int = 1) -> Schedule:
    """`rate` packets per second over all flows together, dealt out in turn, `burst` in a row to each."""
    sent = 0
    for number in range(1, round(seconds * 1e9 / tick) + 1):
        due = round(rate * number * tick / 1e9)
        counts: dict[int, int] = {}
        while sent < due:
            flow = sent // burst % flows
            count = min(burst - sent % burst, due - sent)
            counts[flow] = counts.get(flow, 0) + count
            sent += count
        yield list(counts.items())


def run_load(
    flows: Sequence[Flow], batches: Sequence[Batch], schedule: Schedule, *, tick: int = TICK, timed: bool = False
) -> LoadResult:
    """Play a schedule and wait until the last packet is through.

    Blocks the whole thread, for no longer than the schedule lasts and `DRAIN_LIMIT`. `tick` is the schedule's, in nanoseconds;
    `timed` takes residence times.
    """
    run = _Run(flows, batches, timed)
    gc.collect()
    gc.disable()
    try:
        return run.play(schedule, tick)
    finally:
        gc.enable()
        run.close()


class _Run:
    def __init__(self, flows: Sequence[Flow], batches: Sequence[Batch], timed: bool) -> None:
        self._sources = [flow.source.sock.fileno() for flow in flows]
        self._batches = batches
        self._timed = timed
        self._stamps: dict[tuple[int, int], int] = {}
        self._residence: list[float] = []
        self._received = 0
        self._last_arrival = 0
        self._sinks = {flow.sink.sock.fileno(): (i, flow.sink.rtp_offset) for i, flow in enumerate(flows)}
        self._epoll = select.epoll()
        self._data = ffi.new("char[]", _SLOTS * _SLOT_SIZE)
        self._bytes = memoryview(ffi.buffer(self._data)).cast("B")
        self._control = ffi.new("char[]", _SLOTS * _CONTROL_SIZE)
        self._control_words = memoryview(ffi.buffer(self._control)).cast("B").cast("Q")
        self._messages = Messages(
            self._data,
            _SLOT_SIZE,
            [_SLOT_SIZE] * _SLOTS,
            self._control if timed else None,
            _CONTROL_SIZE if timed else 0,
        )
        # The kernel overwrites the headers' lengths on each receive; this copy puts them back.
        self._pristine = ffi.new("struct mmsghdr[]", _SLOTS)
        ffi.memmove(self._pristine, self._messages.headers, ffi.sizeof(self._pristine))
        for sock in {flow.sink.sock for flow in flows}:
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, int(timed))
            _empty(sock)
            self._epoll.register(sock, select.EPOLLIN)

    def play(self, schedule: Schedule, tick: int) -> LoadResult:
        clock, poll = time.monotonic_ns, self._poll
        send = self._send_timed if self._timed else self._send
        batches = self._batches
        sent, behind, started = 0, 0, clock()
        due = started
        for burst in schedule:
            while clock() < due:
                poll()
            behind = max(behind, clock() - due)
            due += tick
            for flow, count in burst:
                send(flow, batches[flow], count)
                sent += count
        self._last_arrival = ended = clock()
        while self._received < sent:
            # The clock is read before the socket: only what is still not there after the wait is lost.
            now, before = clock(), self._received
            poll()
            if self._received > before:
                self._last_arrival = now
            elif now > min(self._last_arrival + DRAIN, ended + DRAIN_LIMIT):
                break
        seconds = (self._last_arrival - started) / 1e9
        return LoadResult(sent, self._received, seconds, behind / 1e9, self._residence)

    def _send(self, flow: int, batch: Batch, count: int) -> None:
        fd = self._sources[flow]
        while count:
            accepted = libc.sendmmsg(fd, batch.headers + batch.sent, count, 0)
            if accepted < 0:
                raise OSError(ffi.errno, "sendmmsg")
            batch.sent += accepted
            count -= accepted

    def _send_timed(self, flow: int, batch: Batch, count: int) -> None:
        now = time.time_ns()
        first = batch.first_sequence + batch.sent
        for sequence in range(first, first + count):
            if not sequence & SAMPLE_MASK:
                self._stamps[flow, sequence & 0xFFFF] = now
        self._send(flow, batch, count)

    def _poll(self) -> None:
        headers, sinks, data, timed = self._messages.headers, self._sinks, self._bytes, self._timed
        recvmmsg = libc.recvmmsg
        received = 0
        for fd, _ in self._epoll.poll(0):
            if timed:
                ffi.memmove(headers, self._pristine, ffi.sizeof(self._pristine))
            count = recvmmsg(fd, headers, _SLOTS, socket.MSG_DONTWAIT, ffi.NULL)
            flow, start = sinks[fd]
            for i in range(count):
                # STUN, DTLS and RTCP share the socket: count only what was sent as RTP.
                if data[start] & 0xC0 == 0x80 and _IS_RTP[data[start + 1]]:
                    received += 1
                    if timed:
                        self._time(flow, data[start + 2] << 8 | data[start + 3], i)
                start += _SLOT_SIZE
        self._received += received

    def _time(self, flow: int, sequence: int, slot: int) -> None:
        sent_at = self._stamps.pop((flow, sequence), None)
        if sent_at is not None:
            at = slot * _CONTROL_SIZE // 8
            arrived = self._control_words[at + 2] * 1_000_000_000 + self._control_words[at + 3]
            self._residence.append((arrived - sent_at) / 1e9)

    def close(self) -> None:
        self._epoll.close()


def _empty(sock: socket.socket) -> None:
    """Throw away what an earlier run left behind."""
    while True:
        try:
            sock.recv(_SLOT_SIZE)
        except BlockingIOError:
            return


def per_flow(schedule_of: Callable[[], Schedule], flows: int) -> list[int]:
    """How many packets of each flow a schedule sends."""
    counts = [0] * flows
    for burst in schedule_of():
        for flow, count in burst:
            counts[flow] += count
    return counts
