"""How many TLS handshakes each network may begin. One costs the relay a millisecond of processor time, and its client little."""

from dataclasses import dataclass
from itertools import islice
from typing import Final

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
    """A token bucket per network. Sans-IO: times are seconds, monotonic.

    Args:
        per_second: handshakes of one network, in the long run.
        at_once: those that it may begin at a time.
    """

    def __init__(self, per_second: float, at_once: int) -> None:
        self._per_second = per_second
        self._at_once = at_once
        self._allowances: dict[bytes, _Allowance] = {}

    def wait(self, network: bytes, now: float) -> float:
        """Seconds until to ask again; 0: the handshake may begin, and is counted."""
        key = network
        if network not in self._allowances and len(self._allowances) >= MAX_NETWORKS:
            self._forget_full(now)
            key = network if len(self._allowances) < MAX_NETWORKS else _OTHERS
        one = self._allowances.setdefault(key, _Allowance(self._at_once, now))
        one.left = self._left(one, now)
        one.as_of = now
        if one.left < 1.0:
            return max(LEAST_WAIT, (1.0 - one.left) / self._per_second)
        one.left -= 1.0
        return 0.0

    def _forget_full(self, now: float) -> None:
        """Forget networks that could begin as many as a new one. Two are looked at, in turn, so that this is never long."""
        for network in list(islice(self._allowances, 2)):
            one = self._allowances.pop(network)
            if self._left(one, now) < self._at_once:
                self._allowances[network] = one

    def _left(self, allowance: _Allowance, now: float) -> float:
        return min(float(self._at_once), allowance.left + (now - allowance.as_of) * self._per_second)
