"""Repair before a receiver asks for it, on paths that lose many packets.

Where packets are lost on both legs of a call, the receiver's requests have to cross both, and so has every answer: with 19 % loss
each way on each leg, of ten attempts four succeed. What the relay does itself crosses one leg only:

- It requests of the sender what has not arrived, if the receiver's requests have shown that the sender answers such.
- It sends the packets of thin streams, audio above all, once more to a party that loses many. It is the very packet that was
  sent: a receiver that has it drops it as a replay (RFC 3711 section 3.3.2), before anything that estimates bandwidth.

Off the forwarding path: what is missing and what was sent is read from the history every `INTERVAL`, while a leg is lossy.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from relay.media.quality.statistics import LegStatistics, StreamStatistics
from relay.media.repair.history import PacketHistory, SentStream

INTERVAL: Final = 0.02
"""Seconds between two looks: one audio packet. Losses that come in bursts are shorter than that, mostly."""

ASK_ABOVE: Final = 0.02
"""Loss on the sender's leg from which the relay asks for itself. Below, the receiver's own requests mend what is lost."""

DOUBLE_ABOVE: Final = 0.04
"""Loss on the receiver's leg from which thin streams are sent twice."""

DOUBLE_FOR: Final = 20.0
"""Seconds that they are sent twice for. The reports of a receiver that gets them twice say how many it lost twice, and not how
many once: so after that time it is tried whether once is enough."""

THIN: Final = 64_000
"""Bit/s of a stream that may be sent twice. Audio is; so is video whose sender has given way to the loss as far as it can. Where
it is congestion that loses packets, twice that little makes it little worse."""

LOOK_BACK: Final = 64
"""Sequence numbers of a stream that are looked at each time. More have come in one `INTERVAL` only on a path that was dead."""

MAX_MISSING: Final = 128
"""Packets of a stream that are asked for at a time."""

ASKS: Final = 4
"""Times that a packet is asked for."""

GIVE_UP_AFTER: Final = 1.0
"""Seconds since a packet was missed: its frame has been waited for too long by then."""

DEFAULT_RTT: Final = 0.1
"""Seconds, until it is measured."""


class RepairedTransport(Protocol):
    """A transport (`relay.media.transport.transport`), as its repair sees it."""

    rx: Any
    tx: Any
    destination: Any
    loses_many: bool
    """Whether what its peer is sent is sent twice, where streams are thin."""

    @property
    def peer(self) -> "RepairedTransport | None":
        """The transport that it is connected to."""
        ...

    @property
    def statistics(self) -> LegStatistics: ...

    @property
    def streams(self) -> Mapping[int, StreamStatistics]:
        """What its peer sends at present, by SSRC."""
        ...

    @property
    def sent(self) -> Mapping[int, SentStream]:
        """What its peer was sent a moment ago, by SSRC."""
        ...

    @property
    def history(self) -> PacketHistory: ...

    @property
    def counters(self) -> dict[str, int]: ...

    def retransmissions_of(self, ssrc: int) -> int | None:
        """The SSRC by which its peer sends again what was lost of a stream; None while unknown."""
        ...

    def request_packets(self, ssrc: int, sequences: Sequence[int]) -> None:
        """Ask its peer to send these again. Only when the transport is up."""
        ...


class _Missing:
    """A packet that did not arrive."""

    __slots__ = ("asks", "due", "since")

    def __init__(self, now: float) -> None:
        self.since = now
        # It may merely be late, overtaken by those behind it.
        self.due = now + INTERVAL / 2
        self.asks = 0


class DirectionRepair:
    """The repair of what one party sends to the other."""

    __slots__ = ("_asks", "_doubles_until", "_missing", "_seen", "_source", "_target")

    def __init__(self, source: RepairedTransport, target: RepairedTransport) -> None:
        self._source = source
        self._target = target
        self._asks = False
        self._doubles_until = float("-inf")
        self._seen: dict[int, int] = {}
        """By SSRC: the newest sequence number that was looked at, unwrapped."""
        self._missing: dict[int, dict[int, _Missing]] = {}
        """By SSRC and sequence number, unwrapped."""

    @property
    def target(self) -> RepairedTransport:
        return self._target

    def wanted(self, now: float) -> bool:
        """Whether there is anything to do, by the latest figures of both legs. To be called every second."""
        source, target = self._source, self._target
        if source.peer is not target or source.rx is None or target.tx is None or target.destination is None:
            target.loses_many = False
            return False
        lost_before = source.statistics.loss_from_peer
        # A receiver's reports count the loss of both legs together: (1 - all) = (1 - the sender's) * (1 - the receiver's).
        lost_after = max(0.0, 1 - (1 - target.statistics.loss_to_peer) / max(1 - lost_before, 0.01))
        self._asks = lost_before > ASK_ABOVE
        if lost_after > DOUBLE_ABOVE:
            self._doubles_until = now + DOUBLE_FOR
        target.loses_many = now < self._doubles_until
        return self._asks or target.loses_many

    def look(self, now: float) -> None:
        """Repair what can be. To be called every `INTERVAL`."""
        if self._source.peer is not self._target or self._target.tx is None:
            return
        for ssrc, stream in self._source.streams.items():
            sent = self._target.sent.get(ssrc)
            if sent is None:
                continue
            newest = stream.highest
            seen = max(self._seen.get(ssrc, newest), newest - LOOK_BACK)
            self._seen[ssrc] = newest
            doubled = self._target.loses_many and stream.bitrate <= THIN
            # A sender answers requests for a stream if its receiver makes them: that was negotiated. (None does so for RTX.)
            asked = self._asks and stream.nacks > 0
            if newest > seen and (doubled or asked):
                self._look_at(stream, sent, range(seen + 1, newest + 1), doubled, asked, now)
            if ssrc in self._missing:
                self._ask(ssrc, sent, now)

    def _look_at(
        self, stream: StreamStatistics, sent: SentStream, numbers: range, doubled: bool, asked: bool, now: float
    ) -> None:
        target, since = self._target, now - GIVE_UP_AFTER
        for number in numbers:
            if not sent.holds(number & 0xFFFF, since):
                if asked:
                    missing = self._missing.setdefault(stream.ssrc, {})
                    if len(missing) < MAX_MISSING:
                        missing[number] = _Missing(now)
            elif doubled:
                packet = sent.find(number & 0xFFFF, since)
                if packet is not None:
                    target.counters["packets_doubled"] += 1
                    target.destination.send(packet)

    def _ask(self, ssrc: int, sent: SentStream, now: float) -> None:
        source, target = self._source, self._target
        missing = self._missing[ssrc]
        again = source.retransmissions_of(ssrc)
        # Senders answer a repeated request once in a round trip, which to them is that of the whole call.
        rtt = sum(one.statistics.rtt or DEFAULT_RTT for one in (source, target))
        due: list[int] = []
        for number, one in list(missing.items()):
            sequence = number & 0xFFFF
            arrived = sent.holds(sequence, one.since) or (again is not None and target.history.was_retransmitted(again, sequence))
            if arrived or one.asks >= ASKS or now - one.since > GIVE_UP_AFTER:
                del missing[number]
            elif now >= one.due:
                one.asks += 1
                one.due = now + rtt + INTERVAL
                due.append(sequence)
        if not missing:
            del self._missing[ssrc]
        if due and source.tx is not None:
            source.request_packets(ssrc, due)
