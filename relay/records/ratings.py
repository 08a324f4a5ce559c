"""What the parties of calls say of them, as plain data."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

LOWEST_SCORE: Final = 1
HIGHEST_SCORE: Final = 5

MAX_COMMENT_LENGTH: Final = 1000
"""Characters."""


class CallProblem(StrEnum):
    """What was wrong with a call, as one of its parties noticed it."""

    HEARD_NOTHING = "heard_nothing"
    """It did not hear the other party."""
    NOT_HEARD = "not_heard"
    """The other party did not hear it."""
    AUDIO_INTERRUPTED = "audio_interrupted"
    ECHO = "echo"
    NO_VIDEO = "no_video"
    VIDEO_INTERRUPTED = "video_interrupted"
    DELAY = "delay"
    DROPPED = "dropped"
    """The call ended by itself."""


@dataclass(frozen=True, slots=True)
class CallRating:
    """What one party says of a call."""

    score: int
    """1 (bad) to 5 (excellent): ITU-T P.800, absolute category rating."""
    problems: tuple[CallProblem, ...] = ()
    """Each once, in the order of the class."""
    comment: str = ""
    """In its own words."""


@dataclass(frozen=True, slots=True)
class RatedCall:
    """A rating on record."""

    call_id: str
    rating: CallRating
    rated_at: datetime
