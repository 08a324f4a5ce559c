"""How much a peer may send: token buckets for its media, and for what costs the relay or the other party most.

Media is not counted packet by packet. The figures that the forwarding path keeps anyway are looked at every second, every 50 ms
while a peer is near its limit, and at once under load (`Policer`). A peer beyond its limit is not heard until its bucket has
filled again, and its packets are dropped before they are decrypted. One that floods the relay is excluded for a while: the kernel
drops what it sends, so that it takes no room in the receive buffer that all calls share.

Sans-IO but for `Policer`, which runs a timer.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from relay.rtp.rtcp import FullIntraRequest, PictureLoss, RtcpPacket
from relay.settings.media import MediaLimits

BURST: Final = 1.5
"""Seconds of its rate that a peer may send at once: a key frame of a 4K screen is some 2 MB, and looks are a second apart."""

RTCP_RATE: Final = 400.0
"""Compound packets a second, and at once. A browser that receives three videos sends some 150: feedback up to twenty times a
second, and a NACK every 20 ms for each stream that loses packets."""

NACKED_PER_ROUND_TRIP: Final = 1000.0
"""Sequence numbers that a peer may ask for again in a round trip: the length of libwebrtc's list of missing packets, which it
goes through once per round trip."""

MIN_ROUND_TRIP: Final = 0.1
"""Seconds that count as one at least."""

CHECK_RATE: Final = 100.0
"""Connectivity checks a second; twice as many at once. Browsers begin with 20 to 50 a second over all candidate pairs."""

KEYFRAME_INTERVAL: Final = 0.5
"""Seconds between two requests for a key frame of one stream. Receivers ask again every 0.2 s or so while they wait for one, and
each costs the sender many times the bits of another frame."""

MAX_REQUESTED: Final = 256
"""Streams whose last request is remembered."""

LOOK_INTERVAL: Final = 0.05
"""Seconds between looks while a peer is beyond its limit, or was a moment ago."""

LOAD_INTERVAL: Final = 0.01
"""Seconds, at least, between looks under load."""

LOAD_SHARE: Final = 0.02
"""Of the time that looks under load may take, where there are many transports to look at."""

RUSH: Final = 8.0
RUSH_BURST: Final = 0.4
"""A second bucket for packets: it fills with so many times the rate, and holds so many seconds of it, some 2,400 packets. A key
frame of a 4K screen has fewer, and so has what a stalled network brings at once. A flood has more, and would fill the receive
buffer that all calls share."""

FLOOD: Final = 3.0
FLOOD_BURST: Final = 0.5
"""A third bucket for packets, beyond which a peer floods the relay: so many times the rate, some 18,000 packets a second, and so
many seconds of it at once. A browser that overestimates the bandwidth, or a screen share that is a little too fat, sends less
than twice the rate, and a network that stalled for two seconds brings fewer at once: those are only dropped above the limit.
Only authentic packets are counted, so that a forged source excludes no peer."""

FIRST_EXCLUSION: Final = 1.0
LONGEST_EXCLUSION: Final = 30.0
"""Seconds for which a peer that floods is excluded: the first time, and at most. Each time that it floods again doubles them."""

FORGIVEN_AFTER: Final = 60.0
"""Seconds without a flood after which an exclusion is the first again."""

SUSPECT_FOR: Final = 5.0
"""Seconds that a peer is looked at more often after it was beyond its limit."""


class TokenBucket:
    """Fills with time, empties with use. What was used before it was known makes it negative.

    Args:
        rate: tokens a second; 0: there is no limit.
        depth: tokens that it holds at most, and that it can owe at most.
    """

    __slots__ = ("_at", "_depth", "_level", "_rate")

    def __init__(self, rate: float, depth: float, now: float) -> None:
        self._rate = rate
        self._depth = depth
        self._level = depth
        self._at = now

    @property
    def unlimited(self) -> bool:
        return not self._rate

    def level(self, now: float, rate: float | None = None) -> float:
        """The tokens that are there. `rate`: that of the time since the last look, if it is not the usual one."""
        self._level = min(self._depth, self._level + (self._rate if rate is None else rate) * max(0.0, now - self._at))
        self._at = now
        return self._level

    def take(self, amount: float, now: float) -> bool:
        """Use tokens, if there are enough of them."""
        if self.level(now) < amount:
            return False
        self._level -= amount
        return True

    def spend(self, amount: float, now: float) -> None:
        """Note tokens that have been used since the last look. What has come in since then was there for them."""
        level = self._level + self._rate * max(0.0, now - self._at) - amount
        self._level = min(max(level, -self._depth), self._depth)
        self._at = now

    def is_over(self, now: float) -> bool:
        """Whether more was used than there was."""
        return bool(self._rate) and self.level(now) < 0

    def recovered(self, now: float) -> bool:
        """Whether there is enough again for two looks."""
        return not self._rate or self.level(now) >= min(2 * LOOK_INTERVAL * self._rate, self._depth / 2)


class Exclusion:
    """For how long the kernel drops what a peer sends."""

    __slots__ = ("_first", "_length", "_until")

    def __init__(self, first: float) -> None:
        self._first = first
        self._length = 0.0
        self._until = float("-inf")

    def begin(self, now: float) -> None:
        """The peer floods. What was queued before an exclusion began does not prolong it."""
        if self.active(now):
            return
        again = now - self._until < FORGIVEN_AFTER
        self._length = min(2 * self._length, LONGEST_EXCLUSION) if again else self._first
        self._until = now + self._length

    def active(self, now: float) -> bool:
        return now < self._until


class Counted(Protocol):
    """What one stream has sent so far."""

    packets: int
    bytes: int


class Budget:
    """What one peer may send."""

    __slots__ = (
        "_bits",
        "_bytes_seen",
        "_checks",
        "_data",
        "_exclusion",
        "_flood",
        "_nacked",
        "_over",
        "_packets",
        "_packets_seen",
        "_requested",
        "_rtcp",
        "_rush",
    )

    def __init__(self, limits: MediaLimits, now: float, first_exclusion: float = FIRST_EXCLUSION) -> None:
        bits = limits.media_max_mbit * 1e6
        self._bits = TokenBucket(bits, BURST * bits, now)
        self._data = TokenBucket(bits, BURST * bits, now)
        """Apart from media: DTLS is counted before it is known to be authentic, and its source can be forged."""
        self._packets = TokenBucket(limits.media_max_packets, BURST * limits.media_max_packets, now)
        self._rush = TokenBucket(RUSH * limits.media_max_packets, RUSH_BURST * limits.media_max_packets, now)
        self._flood = TokenBucket(FLOOD * limits.media_max_packets, FLOOD_BURST * limits.media_max_packets, now)
        self._exclusion = Exclusion(first_exclusion)
        self._rtcp = TokenBucket(RTCP_RATE, RTCP_RATE, now)
        self._nacked = TokenBucket(0.0, NACKED_PER_ROUND_TRIP, now)
        self._checks = TokenBucket(CHECK_RATE, 2 * CHECK_RATE, now)
        self._requested: dict[int, float] = {}
        self._packets_seen = self._bytes_seen = 0
        self._over = False

    def look(self, streams: Iterable[Counted], now: float) -> bool:
        """Count what the streams have brought since the last look; whether that is too much."""
        packets = octets = 0
        for stream in streams:
            packets += stream.packets
            octets += stream.bytes
        # Streams that were forgotten since take their figures with them.
        new = max(0, packets - self._packets_seen)
        self._packets.spend(new, now)
        self._rush.spend(new, now)
        self._flood.spend(new, now)
        self._bits.spend(8 * max(0, octets - self._bytes_seen), now)
        self._packets_seen, self._bytes_seen = packets, octets
        if self._over:
            self._over = not all(one.recovered(now) for one in (self._packets, self._bits, self._rush))
        else:
            self._over = any(one.is_over(now) for one in (self._packets, self._bits, self._rush))
        if self._over and self._flood.is_over(now):
            self._exclusion.begin(now)
        return self._over

    def excluded(self, now: float) -> bool:
        """Whether the kernel is to drop what the peer sends."""
        return self._exclusion.active(now)

    def admits_data(self, octets: int, now: float) -> bool:
        """Whether a DTLS datagram may be taken."""
        return self._data.unlimited or self._data.take(8 * octets, now)

    def admits_rtcp(self, now: float) -> bool:
        """Whether a compound packet may be taken."""
        return self._rtcp.take(1, now)

    def admits_check(self, now: float) -> bool:
        """Whether an authentic connectivity check may be answered."""
        return self._checks.take(1, now)

    def nackable(self, numbers: int, rtt: float | None, now: float) -> int:
        """How many of so many sequence numbers the peer may ask for; they count as asked for."""
        rate = NACKED_PER_ROUND_TRIP / max(rtt or 0.0, MIN_ROUND_TRIP)
        granted = min(numbers, max(0, int(self._nacked.level(now, rate))))
        self._nacked.spend(granted, now)
        return granted

    def requests_keyframe(self, ssrc: int, now: float) -> bool:
        """Whether the peer may be asked for a key frame of one of its streams; it counts as asked then."""
        if now - self._requested.get(ssrc, float("-inf")) < KEYFRAME_INTERVAL:
            return False
        if ssrc not in self._requested and len(self._requested) == MAX_REQUESTED:
            del self._requested[next(iter(self._requested))]
        self._requested[ssrc] = now
        return True

    def too_soon(self, packets: Iterable[RtcpPacket], now: float) -> frozenset[int]:
        """The SSRCs that another peer's packets request key frames of, although that was done a moment ago."""
        asked: set[int] = set()
        for packet in packets:
            if isinstance(packet, PictureLoss):
                asked.add(packet.media_ssrc)
            elif isinstance(packet, FullIntraRequest):
                asked.update(packet.media_ssrcs)
        return frozenset(ssrc for ssrc in asked if not self.requests_keyframe(ssrc, now))


class Policed(Protocol):
    """A transport, as the policer sees it."""

    def flooding_from(self, now: float) -> Collection[Any]:
        """The addresses whose datagrams the kernel is to drop."""
        ...

    def police(self, now: float) -> bool:
        """Look whether the peer is beyond its limits, and hear it or not accordingly; whether it is."""
        ...


class Policer:
    """Looks after the limits of all transports.

    Args:
        transports: those that are open, at any time, by id.
        limits: None needs a look where there are none.
        exclude: has the kernel drop what these addresses send, and only these, until it is called again.
    """

    def __init__(
        self,
        transports: Mapping[str, Policed],
        limits: MediaLimits,
        exclude: Callable[[Sequence[Any]], None],
    ) -> None:
        self._transports = transports
        self._exclude = exclude
        self._excluded: list[Any] = []
        self._limited = bool(limits.media_max_mbit or limits.media_max_packets)
        self._suspects: dict[str, float] = {}
        """Until when they are looked at more often."""
        self._looked_at = self._load_look_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def look(self, now: float) -> None:
        """Look at all."""
        if not self._limited:
            return
        self._looked_at = now
        for transport_id, transport in list(self._transports.items()):
            if transport.police(now):
                self._suspects[transport_id] = now + SUSPECT_FOR
        self._look_again(now)

    def under_load(self, now: float) -> None:
        """A whole batch was waiting in a socket: some peer sends much."""
        if now >= self._load_look_at and now - self._looked_at >= LOAD_INTERVAL:
            begun = time.perf_counter()
            self.look(now)
            self._load_look_at = now + (time.perf_counter() - begun) / LOAD_SHARE

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._limited = False

    def _look_again(self, now: float) -> None:
        excluded = [address for one in self._transports.values() for address in one.flooding_from(now)]
        if excluded != self._excluded:
            self._exclude(excluded)
            self._excluded = excluded
        if self._suspects and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_INTERVAL, self._look_at_suspects)

    def _look_at_suspects(self) -> None:
        self._timer = None
        now = time.monotonic()
        for transport_id, until in list(self._suspects.items()):
            transport = self._transports.get(transport_id)
            if transport is not None and transport.police(now):
                self._suspects[transport_id] = now + SUSPECT_FOR
            elif transport is None or now > until:
                del self._suspects[transport_id]
        self._look_again(now)
