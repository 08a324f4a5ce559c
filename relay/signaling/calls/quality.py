"""How good the media of a call was, from beginning to end: added up while it goes on."""

from dataclasses import dataclass
from typing import Any

from relay.media.api import TransportReport
from relay.signaling.calls.call import State
from relay.signaling.ports import MediaPath


@dataclass(slots=True)
class PathQuality:
    """The reports of the sessions of one party, added up."""

    reports: int = 0
    score: float = 0.0
    """The sum; see `relay.media.quality.statistics.LegReport` for the units of this and the next ones."""
    worst_score: float | None = None
    worst_rtt: float | None = None
    """Seconds."""
    worst_jitter: float = 0.0
    """Seconds."""
    loss_from_peer: float = 0.0
    """The sum."""
    loss_to_peer: float = 0.0
    """The sum."""

    def add(self, event: TransportReport) -> None:
        report = event.report
        self.reports += 1
        self.score += report.score
        self.worst_score = report.score if self.worst_score is None else min(report.score, self.worst_score)
        if report.rtt is not None:
            self.worst_rtt = max(report.rtt, self.worst_rtt or 0.0)
        self.worst_jitter = max(report.jitter, self.worst_jitter)
        self.loss_from_peer += report.loss_from_peer
        self.loss_to_peer += report.loss_to_peer

    @property
    def mean_score(self) -> float | None:
        """None before the first report."""
        return self.score / self.reports if self.reports else None

    def fields(self, path: MediaPath) -> dict[str, Any]:
        """The figures, rounded; without those that are not known."""
        found: dict[str, Any] = {
            "route": path.route and path.route.transport,
            "family": path.route and path.route.family,
            "rtt_ms": _in_ms(path.rtt),
            "worst_rtt_ms": _in_ms(self.worst_rtt),
        }
        if self.reports:
            found |= {
                "worst_jitter_ms": _in_ms(self.worst_jitter),
                "score": None if self.mean_score is None else round(self.mean_score, 2),
                "worst_score": None if self.worst_score is None else round(self.worst_score, 2),
                "loss_from_peer": round(self.loss_from_peer / self.reports, 4),
                "loss_to_peer": round(self.loss_to_peer / self.reports, 4),
            }
        return {name: value for name, value in found.items() if value is not None}


@dataclass(slots=True)
class Course:
    """How media has done in a call."""

    connected_at: float | None = None
    """Seconds of the steady clock, when media first flowed both ways."""
    interruptions: int = 0

    def note(self, state: State, now: float) -> None:
        """The call's state has changed."""
        if state is State.CONNECTED and self.connected_at is None:
            self.connected_at = now
        elif state is State.RECONNECTING:
            self.interruptions += 1


def _in_ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
