"""One track for two peer connections: of a call that moves to another server, both send the same for a moment."""

import asyncio
from collections import deque
from typing import Any, Final

from aiortc import MediaStreamError, MediaStreamTrack

MAX_WAITING: Final = 50
"""Frames that wait for a connection which takes none, 1 s of audio. The oldest are dropped."""


class SharedTrack:
    """
    Args:
        source: what is sent. It is asked for a frame by the connection that wants one first.
    """

    def __init__(self, source: MediaStreamTrack) -> None:
        self.source = source
        self._branches: list[_Branch] = []
        self._asking = asyncio.Lock()

    def branch(self) -> MediaStreamTrack:
        """The same for one more connection, from its first frame on. It is stopped by itself: aiortc stops what it has sent."""
        return _Branch(self)

    def joined(self, branch: "_Branch") -> None:
        self._branches.append(branch)

    async def next_of(self, branch: "_Branch") -> Any:
        """The next frame, or packet, of a branch."""
        while not branch.waiting:
            async with self._asking:
                if branch not in self._branches:
                    raise MediaStreamError
                if not branch.waiting:
                    frame = await self.source.recv()
                    for one in self._branches:
                        one.waiting.append(frame)
        return branch.waiting.popleft()

    def left(self, branch: "_Branch") -> None:
        if branch in self._branches:
            self._branches.remove(branch)


class _Branch(MediaStreamTrack):
    def __init__(self, shared: SharedTrack) -> None:
        super().__init__()
        self.kind = shared.source.kind
        self.waiting: deque[Any] = deque(maxlen=MAX_WAITING)
        self._shared = shared
        self._joined = False

    async def recv(self) -> Any:
        """Called by aiortc, once it is connected: what was sent by other connections before is none of this one's."""
        if not self._joined:
            self._joined = True
            self._shared.joined(self)
        return await self._shared.next_of(self)

    def stop(self) -> None:
        super().stop()
        self._joined = True
        self._shared.left(self)
