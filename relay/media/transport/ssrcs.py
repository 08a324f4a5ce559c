"""The SSRCs that a peer uses, of which there may be many in the course of a call and few at a time.

libsrtp keeps keys and a replay window for each, and the statistics their figures, so that their number must be bounded; but each
shared screen brings new ones, and a browser does not say when it is done with the old ones.

Sans-IO.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Protocol

MAX_SSRCS: Final = 256
"""Per transport, at a time."""

FORGET_AFTER: Final = 5.0
"""Seconds of silence after which an SSRC may have to make room. Senders report more often than that (RFC 3550 section 6.2)."""

MAX_FORGOTTEN: Final = 2**14
"""SSRCs per transport that were forgotten, 1 MB of them; after that there is no room for new ones.

A forgotten SSRC does not come back on the same transport. Without its replay window, what was caught of it could be replayed; and
with a new packet index, packets would be encrypted by a key stream that was used before (RFC 3711 section 9.1)."""

LOOK_AGAIN_AFTER: Final = 1.0
"""Seconds until the SSRCs are gone through again for what need not be authentic, so that a flood of new ones costs nothing."""


class Heard(Protocol):
    """A stream of media."""

    @property
    def heard_at(self) -> float:
        """When its last packet arrived, seconds."""
        ...


class SsrcTable:
    """Those of one peer: of its media, and of its RTCP.

    Args:
        streams: those of its media, by SSRC.
        own: SSRCs that the relay itself uses on the same keys, and which are never forgotten.
        forget_after, look_again_after, max_forgotten: see the constants.
    """

    __slots__ = (
        "_described",
        "_forgotten",
        "_has_silent",
        "_heard",
        "_look_again_at",
        "_own",
        "_streams",
        "forget_after",
        "look_again_after",
        "max_forgotten",
    )

    def __init__(
        self,
        streams: Mapping[int, Heard],
        own: Iterable[int],
        *,
        forget_after: float = FORGET_AFTER,
        look_again_after: float = LOOK_AGAIN_AFTER,
        max_forgotten: int = MAX_FORGOTTEN,
    ) -> None:
        self.forget_after = forget_after
        self.look_again_after = look_again_after
        self.max_forgotten = max_forgotten
        self._streams = streams
        self._own = frozenset(own)
        self._described: frozenset[int] = self._own
        self._heard: dict[int, float] = {}
        self._forgotten: set[int] = set()
        self._has_silent = False
        """Whether one of them could make room, until `_look_again_at`."""
        self._look_again_at = float("-inf")

    def __contains__(self, ssrc: int) -> bool:
        return ssrc in self._heard

    def __iter__(self) -> Iterator[int]:
        return iter(self._heard)

    def __len__(self) -> int:
        return len(self._heard)

    def describe(self, ssrcs: Iterable[int]) -> None:
        """The peer's latest description has these: they stay."""
        self._described = self._own | frozenset(ssrcs)
        self._look_again_at = float("-inf")

    def has_room(self, ssrc: int, now: float) -> bool:
        """Whether the peer may use this SSRC. Changes nothing: the packet that it is in need not be authentic."""
        if ssrc in self._heard:
            return True
        if ssrc in self._forgotten:
            return False
        if len(self._heard) < MAX_SSRCS:
            return True
        if len(self._forgotten) >= self.max_forgotten:
            return False
        if now >= self._look_again_at:
            self._has_silent = self._silent_longest(now) is not None
            self._look_again_at = now + self.look_again_after
        return self._has_silent

    def hear(self, ssrc: int, now: float) -> int | None:
        """An authentic packet has it, for which there was room.

        Returns:
            The SSRC that is forgotten instead, if one has to be: this one, if all others have been heard since.
        """
        forgotten = None
        if ssrc not in self._heard and len(self._heard) >= MAX_SSRCS:
            self._look_again_at = float("-inf")
            forgotten = self._silent_longest(now)
            if forgotten is None:
                return ssrc
            del self._heard[forgotten]
            self._forgotten.add(forgotten)
        self._heard[ssrc] = now
        return forgotten

    def _silent_longest(self, now: float) -> int | None:
        times = {ssrc: self._last_heard(ssrc) for ssrc in self._heard if ssrc not in self._described}
        longest = min(times, key=times.__getitem__, default=None)
        return longest if longest is not None and now - times[longest] >= self.forget_after else None

    def _last_heard(self, ssrc: int) -> float:
        stream = self._streams.get(ssrc)
        return self._heard[ssrc] if stream is None else max(self._heard[ssrc], stream.heard_at)
