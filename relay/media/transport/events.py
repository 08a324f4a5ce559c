"""The events of a transport for the signaling plane: that it is up, down or closed, and how good its path is."""

from collections.abc import Callable

from relay.media.api import Address, TransportClosed, TransportDown, TransportEvent, TransportReport, TransportUp
from relay.media.quality.statistics import LegStatistics

HALF_TICK = 0.5
"""Seconds. A report comes half a tick early rather than a whole one late: timers are never exact."""


class TransportEvents:
    """The events of one transport, each once.

    Args:
        emit: takes them.
        report_interval: seconds.
    """

    __slots__ = ("_alive", "_emit", "_report_interval", "_reported_at", "_transport_id")

    def __init__(self, transport_id: str, emit: Callable[[TransportEvent], None], report_interval: float, now: float) -> None:
        self._transport_id = transport_id
        self._emit = emit
        self._report_interval = report_interval
        self._reported_at = now
        self._alive: bool | None = None
        """As it was told last."""

    def is_news(self, alive: bool) -> bool:
        """Whether something else was told before."""
        return alive is not self._alive

    def tell(self, alive: bool, remote: Address) -> None:
        """The path is alive, or it is not."""
        self._alive = alive
        self._emit(TransportUp(self._transport_id, remote) if alive else TransportDown(self._transport_id))

    def report(self, statistics: LegStatistics, remote: Address, now: float) -> None:
        """Report how good the path is, if it is time to."""
        if now - self._reported_at >= self._report_interval - HALF_TICK:
            self._reported_at = now
            self._emit(TransportReport(self._transport_id, statistics.snapshot(now), remote))

    def closed(self, reason: str) -> None:
        """The transport is gone for good."""
        self._emit(TransportClosed(self._transport_id, reason))
