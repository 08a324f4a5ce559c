"""Key frame requests that the relay makes itself (PLI, RFC 4585 section 6.3.1), where video was lost beyond repair."""

from collections.abc import Callable, Mapping

from relay.media.quality.counters import MediaCounters
from relay.media.quality.statistics import StreamStatistics
from relay.media.transport.policing import Budget
from relay.rtp import rtcp


class KeyframeRequests:
    """Those to one peer.

    Args:
        streams: what it sends, by SSRC, at any time.
        budget: says when one may be sent: browsers answer each with a frame of many times the usual size.
        send: takes an RTCP packet to the peer, whose transport is up.
        own_ssrc: what the relay sends them by.
    """

    __slots__ = ("_budget", "_counters", "_own_ssrc", "_send", "_streams", "due")

    def __init__(
        self,
        streams: Mapping[int, StreamStatistics],
        budget: Budget,
        send: Callable[[bytes], None],
        own_ssrc: int,
        counters: MediaCounters,
    ) -> None:
        self._streams = streams
        self._budget = budget
        self._send = send
        self._own_ssrc = own_ssrc
        self._counters = counters
        self.due = False
        """Some are still to be sent, as soon as they may be."""

    def send(self, now: float) -> None:
        """Request a key frame of each video stream."""
        self.due = False
        for ssrc, stream in self._streams.items():
            if not stream.is_video:
                continue
            # If one was requested a moment ago, it may have been lost, with whatever this request is for.
            self.due |= not self.send_one(ssrc, now)

    def send_one(self, ssrc: int, now: float) -> bool:
        """Request a key frame of one stream; False if that was done a moment ago."""
        if not self._budget.requests_keyframe(ssrc, now):
            return False
        self._counters["keyframes_requested"] += 1
        self._send(rtcp.pli(self._own_ssrc, ssrc))
        return True
