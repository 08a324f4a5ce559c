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

AFTER_LOSS: Final = 2.0
"""Seconds from a key frame of a layer that lost packets to the request of another one: it may lose some every second."""

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
    broken: bool = False
    """Packets of it are lost for good since its last key frame."""
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

    def due(
        self, streams: Mapping[int, VideoStream], lower: Collection[int], now: float, broken: Collection[int] = ()
    ) -> list[int]:
        """The SSRCs to request key frames of, now.

        Args:
            streams: what the transport's peer has sent, by SSRC.
            lower: those that are a lower layer of simulcast: they are asked once, and again when the layer above has stopped.
            broken: those of which packets were lost for good since the last time.
        """
        due = []
        for gone in self._streams.keys() - streams.keys():
            del self._streams[gone]
        highest = [streams[ssrc] for ssrc, asked in self._streams.items() if not asked.lower]
        stopped = any(now - one.heard_at > SILENT for one in highest)
        for ssrc, stream in streams.items():
            if not stream.is_video or now - stream.heard_at > SILENT:
                continue
            asked = self._streams.get(ssrc)
            if asked is None:
                # A new stream begins with a key frame, unless that was lost.
                asked = self._streams[ssrc] = _Asked(0, now)
            asked.broken = ssrc in broken or (asked.broken and stream.keyframes == asked.seen)
            if stream.keyframes != asked.seen:
                asked.seen, asked.last_at, asked.wanted, asked.requests = stream.keyframes, now, False, 0
            elif not asked.wanted and self._is_due(asked, ssrc in lower, stopped, now):
                asked.wanted, asked.requests = True, 0
            asked.lower = ssrc in lower
            pause = REPEAT if asked.requests < REPEATS else max(REPEAT, self._interval or float("inf"))
            if asked.wanted and now - asked.requested_at >= pause:
                asked.requests += 1
                asked.requested_at = now
                due.append(ssrc)
        return due

    def _is_due(self, asked: _Asked, lower: bool, stopped: bool, now: float) -> bool:
        """Whether another key frame is needed of a stream that has sent one.

        Args:
            lower: it is a lower layer of simulcast.
            stopped: so has one that was none.
        """
        # A recording can go on with the next layer from a key frame on. Its sender gives none where the network became too poor.
        if asked.lower and not lower and stopped:
            return True
        since = now - asked.last_at
        return (asked.broken and since >= AFTER_LOSS) or (0 < self._interval <= since and not lower)
