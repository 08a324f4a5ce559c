"""How long a silent path counts as alive.

Sans-IO: times come in.
"""

from typing import Final

from relay.media.transport.timing import USUAL, Timing

PROBE_AFTER: Final = 2.0
"""Seconds of silence of a peer that sent media, after which it is asked, every second, whether it is still there."""

PROBE_QUIET_AFTER: Final = 6.0
"""The same for a peer that only checks: its own check is late by then."""

_TALKS: Final = 2
"""Score from which a path counts as one that media flows on."""
_MAX_SCORE: Final = 3


class Liveness:
    """How long the selected address may be silent, by what was heard from there before: media, or nothing but checks.

    A path that media flowed on is found dead after `Timing.silence`. For a peer that only listens the same silence is nothing
    unusual: it sends one check in 4 to 6 s.
    """

    __slots__ = ("_looked_at", "_score", "_talked", "_timing")

    def __init__(self, timing: Timing = USUAL) -> None:
        self._timing = timing
        self._looked_at = 0.0
        self._score = 0
        """Seconds in which media went on, less those in which nothing but checks came, within bounds."""
        self._talked = False

    def look(self, heard_at: float, checked_at: float, now: float) -> None:
        """Take note of the last second.

        Args:
            heard_at: when something authentic last came from the selected address.
            checked_at: when a check, or an answer to one, last did.
        """
        if heard_at > self._looked_at:
            talked = heard_at != checked_at
            # RTCP reports come seconds apart where there is nothing to report: only what goes on is media.
            step = (1 if self._talked else 0) if talked else -1
            self._score = min(max(self._score + step, 0), _MAX_SCORE)
            self._talked = talked
        else:
            self._talked = False
        self._looked_at = now

    @property
    def patience(self) -> float:
        """Seconds of silence until the path counts as down."""
        return self._timing.silence if self._score >= _TALKS else self._timing.quiet_silence

    @property
    def probe_after(self) -> float:
        """Seconds of silence until the peer is asked whether it is there."""
        return PROBE_AFTER if self._score >= _TALKS else PROBE_QUIET_AFTER
