"""Which directions of calls are repaired (`relay.media.repair`), and when."""

import asyncio
import time
from typing import Final

from relay.media.repair.retransmission import INTERVAL, DirectionRepair
from relay.media.transport.transport import Transport


class Repairs:
    """Those of one engine."""

    def __init__(self) -> None:
        self._running: Final[dict[str, DirectionRepair]] = {}
        """By the id of the transport that sends: those whose paths lose packets."""
        self._timer: asyncio.TimerHandle | None = None

    def look(self, transport: Transport, now: float) -> None:
        """Begin to repair what arrives on a transport, or end it. Called every second."""
        repair = self._running.get(transport.transport_id)
        if transport.peer is not None and (repair is None or repair.target is not transport.peer):
            repair = DirectionRepair(transport, transport.peer)
        if repair is not None and repair.wanted(now):
            self._running[transport.transport_id] = repair
            if self._timer is None:
                self._run()
        else:
            self._running.pop(transport.transport_id, None)

    def forget(self, transport_id: str) -> None:
        """The transport is closed."""
        self._running.pop(transport_id, None)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _run(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._run) if self._running else None
        now = time.monotonic()
        for repair in self._running.values():
            repair.look(now)
