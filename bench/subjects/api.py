"""What the benchmark asks of a server under test."""

from collections.abc import Sequence
from typing import Protocol

from bench.legs import Flow
from bench.process import Process


class Subject(Protocol):
    """A server under test. One object is used for one start only."""

    name: str
    description: str
    transports_per_call: int
    """How many a call of two people takes, media both ways."""
    any_payload: bool
    """Whether it forwards what it does not understand. If not, only real calls are played through it."""
    disturbed: bool
    """Whether something goes wrong while calls are played. Nothing else is measured of it, then."""

    @staticmethod
    def missing() -> str | None:
        """Why it cannot run here, or None."""
        ...

    async def start(self) -> None:
        """Start the server and wait until it answers."""
        ...

    @property
    def process(self) -> Process:
        """The server's process."""
        ...

    async def connect(self, transports: int) -> Sequence[Flow]:
        """Set up more transports, an even number, and return the directions in which media then flows."""
        ...

    async def hold(self, seconds: float) -> None:
        """Keep what is set up alive for so long, without media."""
        ...

    async def disturb(self) -> None:
        """The calls are about to be played: what is to go wrong begins in a moment."""
        ...

    async def stop(self) -> None:
        """End the server and free the sockets of all calls."""
        ...
