"""When the relay requests key frames of video that is captured. Sans-IO.

Browsers send a key frame at the start and then none for minutes: a recording that begins in mid-call would show nothing, and a
player could not seek in a long one.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

REPEAT: Final = 1.0
"""Seconds until a request that was not answered is repeated: it, or the key frame, was lost."""

REPEATS: Final = 5
"""Times that this is done: a stream whose key frames are not recognised (end-to-end encryption) is not asked all the time."""

SILENT: Final = 2.0
"""Seconds after the last packet of a stream that it is asked for nothing: it is turned off."""


class VideoStream(Protocol):
    """A stream, as far as this looks at it."""

    is_video: bool
    keyframes: int
    """That have arrived."""

    @property
    def heard_at(self) -> float:
        """Seconds, monotonic."""
        ...


@dataclass(slots=True)
class _Asked:
    seen: int
    """Key frames, as of the last look."""
    last_at: float
    """Seconds, monotonic: when the last one was noticed."""
    wanted: bool = True
    lower: bool = False
    """It was a lower layer, as of the last look at which it was not silent."""
    requests: int = 0
    """Since it is wanted."""
    requested_at: float = float("-inf")


class KeyframeSchedule:
    """Those of one transport.

    Args:
        interval: seconds between key frames; 0: only the first is requested.
    """

    __slots__ = ("_interval", "_streams")

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._streams: dict[int, _Asked] = {}

    def begin(self, streams: Mapping[int, VideoStream], now: float) -> None:
        """Packets are captured from now on: of what was sent before, no key frame counts."""
        self._streams = {ssrc: _Asked(one.keyframes, now) for ssrc, one in streams.items() if one.is_video}

    def due(self, streams: Mapping[int, VideoStream], lower: Collection[int], now: float) -> list[int]:
        """The SSRCs to request key frames of, now.

        Args:
            streams: what the transport's peer has sent, by SSRC.
            lower: those that are a lower layer of simulcast: they are asked once, and again when the layer above has stopped.
        """
        due = []
        for gone in self._streams.keys() - streams.keys():
            del self._streams[gone]
        highest = [streams[ssrc].heard_at for ssrc, asked in self._streams.items() if not asked.lower]
        stopped_at = max((one for one in highest if now - one > SILENT), default=float("-inf"))
        for ssrc, stream in streams.items():
            if not stream.is_video or now - stream.heard_at > SILENT:
                continue
            asked = self._streams.get(ssrc)
            if asked is None:
                # A new stream begins with a key frame, unless that was lost.
                asked = self._streams[ssrc] = _Asked(0, now)
            if stream.keyframes != asked.seen:
                asked.seen, asked.last_at, asked.wanted, asked.requests = stream.keyframes, now, False, 0
            elif asked.lower and ssrc not in lower and asked.last_at < stopped_at:
                # A recording can go on with it from a key frame on. Its sender gives none where the network became too poor.
                asked.wanted, asked.requests = True, 0
            elif not asked.wanted and self._interval and now - asked.last_at >= self._interval and ssrc not in lower:
                asked.wanted, asked.requests = True, 0
            asked.lower = ssrc in lower
            pause = REPEAT if asked.requests < REPEATS else max(REPEAT, self._interval or float("inf"))
            if asked.wanted and now - asked.requested_at >= pause:
                asked.requests += 1
                asked.requested_at = now
                due.append(ssrc)
        return due
