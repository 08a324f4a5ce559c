"""Coming back as the same device after the WebSocket was lost (docs/protocol.md, *Coming back*). Sans-IO."""

from collections.abc import Mapping
from typing import Any, Final

FIRST_DELAY: Final = 0.25
"""Seconds before the second attempt; the first is made at once."""

MAX_DELAY: Final = 4.0
"""Seconds between attempts, at most: the server keeps the device for 30."""

NOT_AGAIN: Final = frozenset({4403, 4409})
"""Close codes after which the device does not come back: the platform disconnected it, or it is on another connection."""


class Resumption:
    """The token of a device, what has arrived, and how long an attempt to come back is worth it.

    Attributes:
        last_seq: the highest `seq` that has arrived.
        seconds: how long the server keeps the device after a loss.
    """

    def __init__(self) -> None:
        self.last_seq = 0
        self.seconds = 0.0
        self._token = ""
        self._lost_at: float | None = None
        self._attempts = 0

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the next connection's URL."""
        known = {"resume": self._token, "last_seq": str(self.last_seq)} if self._token else {}
        return {"version": "2", **known}

    def welcomed(self, welcome: Mapping[str, Any]) -> bool:
        """Take a `welcome`; returns whether this is the same device as before."""
        resumed = bool(welcome.get("resumed"))
        if not resumed:
            self.last_seq = 0
        self._token = str(welcome.get("resume") or "")
        self.seconds = float(welcome.get("resume_seconds") or 0.0)
        self._lost_at = None
        self._attempts = 0
        return resumed

    def is_new(self, message: Mapping[str, Any]) -> bool:
        """Whether the message has not arrived before. One without a `seq` always is new."""
        seq = message.get("seq")
        if not isinstance(seq, int):
            return True
        if seq <= self.last_seq:
            return False
        self.last_seq = seq
        return True

    def forget(self) -> None:
        """Come back as a new device."""
        self._token = ""
        self.last_seq = 0

    def lost(self, now: float, close_code: int | None = None) -> bool:
        """The connection is lost, at `now` in seconds. Returns whether to try to come back."""
        self._lost_at = now
        return self.seconds > 0 and close_code not in NOT_AGAIN

    def delay(self, now: float) -> float | None:
        """Seconds to wait before the next attempt; None: the server has dropped the device by now."""
        assert self._lost_at is not None, "lost() comes first"
        if now - self._lost_at > self.seconds:
            return None
        self._attempts += 1
        return 0.0 if self._attempts == 1 else min(MAX_DELAY, FIRST_DELAY * 2.0 ** (self._attempts - 2))
