"""What assembling keeps in memory, over all streams of a recording. Sans-IO.

Each stream has bounds of its own. A hostile capture has 256 of them, each with a gap that packets wait behind, so together they
have one, too. A call of two people stays below all of these by a factor of ten.
"""

from dataclasses import dataclass
from typing import Final, Literal

PER_ITEM: Final = 256
"""Bytes that a packet or a frame takes beside its payload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLimit:
    """Bytes."""

    held: int = 32 << 20
    """That may wait: packets behind gaps, frames that are not whole yet, layers of simulcast."""
    unseen: int = 1 << 20
    """Of packets between two looks at how much waits, which is what it may be more for a moment."""


USUAL_LIMIT: Final = HeldLimit()


@dataclass(slots=True)
class NoteBudget:
    """How many of each kind may still be noted of what one party sends, so that the other party's have their own room."""

    reports: int = 100_000
    """Sender reports: 4 h of seven a second."""
    segments: int = 2_000
    """Restarts and pauses of streams, above which no further ones are told apart."""
    rotations: int = 10_000
    silences: int = 100_000
    """Pieces of silence that are listed: 4 h with a loss of 14 %."""
    changes: int = 10_000
    """Of the size of frames, and of the layer of simulcast."""

    def take(self, kind: Literal["reports", "segments", "rotations", "silences", "changes"]) -> bool:
        """Whether one more may be noted."""
        left = int(getattr(self, kind))
        if left > 0:
            setattr(self, kind, left - 1)
        return left > 0
