"""How many TLS handshakes each network may begin. One costs the relay a millisecond of processor time, and its client little."""

from dataclasses import dataclass
from itertools import islice
from typing import Final

HANDSHAKES_PER_SECOND: Final = 50.0
"""Of one IPv4 address or IPv6 /64, in the long run."""

HANDSHAKES_AT_ONCE: Final = 200
"""Of one IPv4 address or IPv6 /64: the browsers of a large office that all come back after an outage."""

LEAST_WAIT: Final = 0.5
"""Seconds until a connection that has to wait asks again: many may wait, and asking costs something too."""

MAX_NETWORKS: Final = 10_000
"""That are counted one by one. All others share one allowance."""

_OTHERS: Final = b""


@dataclass(slots=True)
class _Allowance:
    left: float
    as_of: float


class Handshakes:
    """A token bucket per network. Sans-IO: times are seconds, monotonic."""

    def __init__(self) -> None:
        self._allowances: dict[bytes, _Allowance] = {}

    def wait(self, network: bytes, now: float) -> float:
        """Seconds until to ask again; 0: the handshake may begin, and is counted."""
        key = network
        if network not in self._allowances and len(self._allowances) >= MAX_NETWORKS:
            self._forget_full(now)
            key = network if len(self._allowances) < MAX_NETWORKS else _OTHERS
        one = self._allowances.setdefault(key, _Allowance(HANDSHAKES_AT_ONCE, now))
        one.left = _left(one, now)
        one.as_of = now
        if one.left < 1.0:
            return max(LEAST_WAIT, (1.0 - one.left) / HANDSHAKES_PER_SECOND)
        one.left -= 1.0
        return 0.0

    def _forget_full(self, now: float) -> None:
        """Forget networks that could begin as many as a new one. Two are looked at, in turn, so that this is never long."""
        for network in list(islice(self._allowances, 2)):
            one = self._allowances.pop(network)
            if _left(one, now) < HANDSHAKES_AT_ONCE:
                self._allowances[network] = one


def _left(allowance: _Allowance, now: float) -> float:
    return min(float(HANDSHAKES_AT_ONCE), allowance.left + (now - allowance.as_of) * HANDSHAKES_PER_SECOND)
