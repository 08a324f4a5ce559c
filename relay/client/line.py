"""One of the peer connections of a call: while a call moves to another server, it has two of them."""

import asyncio
from collections.abc import Mapping
from typing import Final

from aiortc import MediaStreamTrack

from relay.client.peer import MediaEnd, Negotiated
from relay.client.shared_track import SharedTrack

LATELY: Final = 2.0
"""Seconds within which a packet came of what is taken for flowing."""

OVERLAP: Final = 15.0
"""Seconds for which a peer connection stays beside the next one: the server that gives the call away keeps it for as long."""


class Line:
    """
    Args:
        end: the peer connection.
        number: of those of its call, from 1.

    Attributes:
        negotiated: its codecs.
        remote_ufrag: the relay's ICE user name fragment; empty before its first description.
    """

    def __init__(self, end: MediaEnd, number: int) -> None:
        self.end, self.number = end, number
        self.negotiated = Negotiated()
        self.remote_ufrag = ""
        self._sent: dict[str, tuple[SharedTrack, MediaStreamTrack]] = {}
        self._packets: dict[str, float] = {}
        """When the latest one came, by kind."""
        self._frames: set[str] = set()
        """Kinds of which some were decoded."""
        self._changed = asyncio.Event()
        end.connection.on("connectionstatechange", self._changed.set)

    @property
    def is_up(self) -> bool:
        return bool(self.end.connection.connectionState == "connected")

    @property
    def is_over(self) -> bool:
        return self.end.connection.connectionState in {"failed", "closed"}

    def sends(self, tracks: Mapping[str, SharedTrack]) -> dict[str, MediaStreamTrack]:
        """What this connection is to send of these, by kind: a branch of each, always the same."""
        for kind, track in tracks.items():
            former = self._sent.get(kind)
            if former is None or former[0] is not track:
                # A former branch is not stopped: aiortc may be waiting for its next frame, and would end its sender.
                self._sent[kind] = track, track.branch()
        return {kind: self._sent[kind][1] for kind in tracks}

    def packet_came(self, kind: str, now: float) -> None:
        if kind not in self._packets:
            self._changed.set()
        self._packets[kind] = now

    def frame_came(self, kind: str) -> None:
        if kind not in self._frames:
            self._frames.add(kind)
            self._changed.set()

    def flowing(self, now: float) -> set[str]:
        """The kinds of media that come by it."""
        return {kind for kind, at in self._packets.items() if now - at < LATELY} if self.is_up else set()

    async def outlast(self, older: "Line", *, decoded: bool) -> None:
        """Wait until all that comes by an older connection comes by this one, or nothing does, or for long enough.

        Args:
            decoded: as frames, and not only as packets.
        """
        older.end.connection.on("connectionstatechange", self._changed.set)
        flowing = older.flowing(asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(OVERLAP):
                while older.is_up and not self.is_over and flowing - (self._frames if decoded else self._packets.keys()):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass  # the other party may have nothing more to send
