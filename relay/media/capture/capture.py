"""One capture that runs: which packets of which transports it takes, and what it notes beside them."""

import functools
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Protocol

from relay.media.api import CaptureOrder, PartyLabel, Producer
from relay.media.capture.block import CaptureBlocks, envelopes
from relay.media.capture.keyframes import SILENT, KeyframeSchedule
from relay.media.capture.writer import Append, CaptureFile
from relay.media.transport.transport import Transport

FLUSH: Final = 0.25
"""Seconds after which a packet has been handed to the thread that writes: so much is lost with the process."""

MAX_FAILURE: Final = 500
"""Characters of the reason of a failure, in the file."""

HOLD: Final = ""
"""The pause of two transports that are not routed."""

_HOUR: Final = 3600.0


class CapturedRouter(Protocol):
    """A router, as far as captures look at it."""

    router_id: str
    transports: dict[str, Transport]

    def producers(self, transport: Transport) -> tuple[Producer, ...]:
        """What arrives on a transport."""
        ...


@dataclass(slots=True)
class _Leg:
    """One transport of a party."""

    transport: Transport
    party: PartyLabel
    number: int
    schedule: KeyframeSchedule
    lost: dict[int, int] = field(default_factory=dict)
    """Packets of each layer of simulcast that had not arrived, as of the last look."""
    comment: bytes = b""
    interface: int = 0


class Capture:
    """One capture that runs."""

    def __init__(self, router: CapturedRouter, order: CaptureOrder, file: CaptureFile, blocks: CaptureBlocks, now: float) -> None:
        self.router = router
        self.order = order
        self.file = file
        self.blocks = blocks
        self.legs: dict[str, _Leg] = {}
        """By the id of the transport."""
        self._numbers: Counter[PartyLabel] = Counter()
        """Transports that each party has had."""
        self.flush_at = now
        self.look_at = now
        self.ends_at = now + order.max_hours * _HOUR if order.max_hours else float("inf")
        self.paused: set[str] = set()
        """Why nothing is captured now."""
        self.counted = (0, 0, 0)
        """As of `figures`, what the counters have of it."""
        self.reason = ""
        """Why it ends, once it does."""
        self.failure = ""
        """Why packets are missing, once they are: a mistake of ours."""

    @property
    def figures(self) -> tuple[int, int, int]:
        """Packets and bytes in the file, and packets that are not."""
        return self.file.packets, self.file.size, self.blocks.dropped + self.file.lost

    # -- what is captured ---------------------------------------------------------------------------------------------

    def add(self, transport: Transport, party: PartyLabel, comment: bytes, now: float) -> None:
        """Capture a transport, too."""
        if transport.transport_id in self.legs:
            return
        self._numbers[party] += 1
        leg = _Leg(transport, party, self._numbers[party], KeyframeSchedule(self.order.keyframe_interval))
        self.legs[transport.transport_id] = leg
        self._describe(leg, comment, now)
        leg.schedule.begin(transport.statistics.streams, now)

    def describe(self, transport_id: str, comment: bytes, now: float) -> None:
        """The peer of a transport sends something else from now on."""
        leg = self.legs.get(transport_id)
        if leg is not None and comment != leg.comment:
            self._describe(leg, comment, now)

    def _describe(self, leg: _Leg, comment: bytes, now: float) -> None:
        leg.comment = comment
        leg.interface = self.blocks.add_transport(leg.party, leg.number, comment, now)
        about = {"interface": leg.interface, "party": leg.party, "leg": leg.number, "transport_id": leg.transport.transport_id}
        self.blocks.add_event("transport", about, now)
        self._tap(leg)

    def remove(self, transport_id: str) -> None:
        """A transport is closed."""
        leg = self.legs.pop(transport_id, None)
        if leg is not None:
            leg.transport.tap = leg.transport.on_tap_failed = None

    def fail(self, reason: str) -> None:
        """Packets are missing, and more will be: the capture ends with the next look at it, which is soon."""
        self.failure = self.failure or reason
        self.look_at = 0.0

    def pause(self, reason: str, paused: bool, now: float) -> None:
        """Capture nothing, or all again, unless another pause is on."""
        if paused is (reason in self.paused):
            return
        if paused:
            self.paused.add(reason)
        else:
            self.paused.discard(reason)
        name, fields = ("hold", {}) if reason == HOLD else ("paused", {"reason": reason})
        self.blocks.add_event(name, {"on": paused, **fields}, now)
        for leg in self.legs.values():
            self._tap(leg)
            if not self.paused:
                leg.schedule.begin(leg.transport.statistics.streams, now)
        self.look_at = now

    def _tap(self, leg: _Leg) -> None:
        open_ = not self.paused and not self.reason
        around = envelopes(leg.interface, leg.party)
        leg.transport.tap = functools.partial(CaptureBlocks.add, self.blocks, around) if open_ else None
        leg.transport.on_tap_failed = self.fail if open_ else None

    def end(self, reason: str, at: float, now: float) -> Append:
        """Capture nothing more; what is still to be written."""
        self.reason = reason
        for leg in self.legs.values():
            leg.transport.tap = leg.transport.on_tap_failed = None
        self.blocks.cut(at)
        if self.failure:
            self.blocks.add_event("failed", {"reason": self.failure[:MAX_FAILURE]}, now)
        self.blocks.add_event("ended", {"reason": reason}, now)
        return Append(self.file, tuple(self.blocks.take_all()), last=True)

    # -- key frames ---------------------------------------------------------------------------------------------------

    def request_keyframes(self, now: float) -> None:
        """Request those that are due."""
        if self.paused:
            return
        for leg in self.legs.values():
            transport = leg.transport
            if transport.tx is None:
                continue
            streams = transport.statistics.streams
            lower, broken = self._layers(leg, now)
            for ssrc in leg.schedule.due(streams, lower, now, broken):
                transport.request_keyframe(ssrc, now)
                self.blocks.add_event("keyframe_requested", {"party": leg.party, "ssrc": ssrc}, now)

    def _layers(self, leg: _Leg, now: float) -> tuple[set[int], set[int]]:
        """Of simulcast, the SSRCs that are a lower layer, and those that have lost packets for good since the last look.

        Of each source, the highest layer is the one that most comes by, of those that have not stopped. What a layer lost stays
        lost if the other party does not ask for it: Chromium receives the first SSRC of a SIM group only.
        """
        streams, lost, lower = leg.transport.statistics.streams, dict[int, int](), set[int]()
        for producer in self.router.producers(leg.transport):
            layers = [streams[one.ssrc] for one in producer.encodings if one.ssrc in streams]
            if len(layers) > 1:
                layers.sort(key=lambda one: (now - one.heard_at <= SILENT, one.bytes))
                lower.update(one.ssrc for one in layers[:-1])
                lost.update({one.ssrc: one.lost for one in layers if not one.nacks})
        broken = {ssrc for ssrc, count in lost.items() if count > leg.lost.get(ssrc, count)}
        leg.lost = lost
        return lower, broken
