"""SRTP and SRTCP from addresses that no transport has validated: whose packets they are.

They take the slow path, a bounded number of them: the forwarding path (`routing.direct`) takes over as soon as the peer has been
followed to where it is.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from relay.media.quality.counters import MediaCounters
from relay.media.routing.slow import TappedPackets, forward
from relay.media.transport.transport import Transport

MAX_TRIED: Final = 4000
"""Packets that are tried per tick: 0.1 s of work, or what 70 HD calls send until they have been followed."""

MAX_TRIED_OF_HOST: Final = 1000
"""Of one host. An office whose router starts anew, with 20 calls in HD, stays below."""

MAX_SENDERS: Final = 4
"""Transports that know an SSRC. It is drawn at random, so that more of them are no hint at whose packet it is."""

_NONE: Final[list[Transport]] = []


class UnvalidatedPackets:
    """Finds their senders by their SSRCs.

    Args:
        transports: those that are open, at any time.
    """

    def __init__(self, transports: Mapping[str, Transport], counters: MediaCounters) -> None:
        self._transports = transports
        self._counters = counters
        self._senders: dict[int, list[Transport]] | None = None
        """SSRC → transports whose peers have used it: as of the first such packet since the last tick."""
        self._tried: defaultdict[bytes, int] = defaultdict(int)
        """Packets of each host that were tried, since the last tick."""
        self._tried_in_all = 0

    def tick(self) -> None:
        """Begin a new count."""
        self._senders = None
        self._tried.clear()
        self._tried_in_all = 0

    def senders(self, ssrc: int) -> list[Transport]:
        """The transports whose peers may have sent a packet with this SSRC; mostly none, and that is known at once."""
        index = self._senders
        if index is None:
            index = self._senders = {}
            for transport in self._transports.values():
                for known in transport.ssrcs:
                    index.setdefault(known, []).append(transport)
        found = index.get(ssrc, _NONE)
        return found if len(found) <= MAX_SENDERS else _NONE

    def receive(
        self, senders: list[Transport], datagram: bytes, host: bytes, now: float, tapped: TappedPackets
    ) -> Transport | None:
        """Take a packet of at least 12 bytes, and forward it if it is authentic, and new, for one of these.

        Args:
            host: the address that it came from, without the port.
            now: seconds, monotonic.
            tapped: as of `relay.media.routing.slow.receive`.

        Returns:
            The transport whose peer has sent it; None if it is of none of them.
        """
        counters = self._counters
        if self._tried_in_all >= MAX_TRIED or self._tried[host] >= MAX_TRIED_OF_HOST:
            counters["strays_limited"] += 1
            return None
        self._tried_in_all += 1
        self._tried[host] += 1
        problem = "unknown_address"
        for source in senders:
            if source.rx is None:
                continue  # it has been closed since
            refused = forward(source, datagram, now, tapped)
            if refused is None:
                counters["packets_followed"] += 1
                return source
            problem = refused
        counters[problem] += 1
        return None
