"""A network that exists only in numbers: for the cores that take bytes and `now`."""

from heapq import heappop, heappush
from itertools import count
from random import Random


class SimulatedNetwork:
    """One direction of a network path, the same for the same seed and the same calls.

    Time is whatever the test says it is. Without reordering, packets arrive in the order in which they were sent, however
    much the delay varies, as in a queue.
    """

    def __init__(
        self,
        seed: int,
        *,
        loss: float = 0.0,
        burst: float = 1.0,
        delay: float = 0.0,
        jitter: float = 0.0,
        reordering: float = 0.0,
        lateness: float = 0.02,
        duplication: float = 0.0,
    ) -> None:
        """Probabilities from 0 to 1, of each packet; times in seconds.

        Args:
            loss: of all packets, in the long run; less than 1.
            burst: mean number of packets lost in a row (a Gilbert model); 1 / (1 - loss) makes losses independent.
            delay: of every packet.
            jitter: added to the delay, evenly between 0 and this.
            reordering: of packets that arrive `lateness` later, overtaken by those behind them.
            duplication: of packets that arrive twice.
        """
        self._random = Random(seed)
        self._loss = loss
        self._burst = max(burst, 1 / (1 - loss))
        self._delay = delay
        self._jitter = jitter
        self._reordering = reordering
        self._lateness = lateness
        self._duplication = duplication
        self._losing = False
        self._latest = float("-inf")
        self._number = count()
        self._flying: list[tuple[float, int, bytes]] = []

    @property
    def next_arrival(self) -> float | None:
        """When the next packet arrives; None when none is on its way."""
        return self._flying[0][0] if self._flying else None

    def send(self, data: bytes, now: float) -> None:
        """Put a packet on its way. `now` must not go back."""
        if self._is_lost():
            return
        self._latest = max(self._latest, now + self._delay + self._random.random() * self._jitter)
        late = self._lateness if self._random.random() < self._reordering else 0.0
        copies = 2 if self._random.random() < self._duplication else 1
        for _ in range(copies):
            # The number keeps packets that arrive at the same time in order.
            heappush(self._flying, (self._latest + late, next(self._number), data))

    def _is_lost(self) -> bool:
        """Two states, in one of which everything is lost; it is left after `burst` packets on average."""
        leave = 1 / self._burst
        # In balance: the share of packets that enter the losing state is the share that leave it.
        change = leave if self._losing else leave * self._loss / (1 - self._loss)
        if self._random.random() < change:
            self._losing = not self._losing
        return self._losing

    def deliver(self, until: float) -> list[tuple[float, bytes]]:
        """What has arrived by then and was not delivered before, with the time at which it arrived, in order."""
        arrived = []
        while self._flying and self._flying[0][0] <= until:
            time, _, data = heappop(self._flying)
            arrived.append((time, data))
        return arrived
