"""What is to be done with a recording, and the rows that say so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

BASE_LIMIT: Final = 1800.0
"""Seconds that a job may take, however short the recording is."""

SPEED: Final = 20.0
"""Seconds of a recording for which a job gets one more second. Assembling runs at 150 times real time or more."""


class JobKind(StrEnum):
    ASSEMBLE = "assemble"
    VERIFY = "verify"


@dataclass(slots=True)
class Job:
    """Something to be done with one recording.

    Attributes:
        duration: seconds of the recording.
        mp4: with an MP4 of both parties side by side.
        asked_for: a user waits for it and sees whether it fails, so it is tried once.
        step: what is done just now; empty while the job waits.
        done: how much of that, from 0 to 1.
    """

    kind: JobKind
    recording_id: str
    duration: float
    mp4: bool = False
    asked_for: bool = False
    running: bool = False
    step: str = ""
    done: float = 0.0

    @property
    def time_limit(self) -> float:
        """Seconds after which the process is killed."""
        return BASE_LIMIT + self.duration / SPEED


class Unfinished(Protocol):
    """A row that says that something is to be done."""

    @property
    def recording_id(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def ended_at(self) -> datetime | None: ...
    @property
    def attempts(self) -> int: ...
    @property
    def node(self) -> str: ...


class JobStore(Protocol):
    """The rows of recordings. Each method raises `Unavailable` while the database is away."""

    async def unfinished(self) -> Sequence[Unfinished]:
        """Those in state `captured`, `assembling` or `deleting`, of any server, oldest first."""
        ...

    async def unknown(self, recording_ids: Sequence[str]) -> Sequence[str]:
        """Those of them that have no row."""
        ...

    async def begin_assembly(self, recording_id: str, *, again: bool = False) -> int:
        """`captured` → `assembling`; the number of this attempt, or 0 if it was in no such state. Exactly one caller wins.

        Args:
            again: also from `ready` and `failed`.
        """
        ...

    async def assembled(self, recording_id: str, files: Mapping[str, int], verdict: str | None, note: str | None) -> None:
        """`assembling` → `ready`. Without a verdict, that becomes `none`: the products are new."""
        ...

    async def assembly_failed(self, recording_id: str, note: str, *, state: str, files: Mapping[str, int]) -> None:
        """`assembling` → `captured` (to be tried again), `ready` (with the products that there were) or `failed`."""
        ...

    async def put_back(self, recording_id: str) -> None:
        """`assembling` → `captured`: it was interrupted, and is to be begun anew."""
        ...

    async def verified(self, recording_id: str, files: Mapping[str, int], verdict: str | None, note: str | None) -> None:
        """Write what a verification has found. Without a verdict, that stays as it was."""
        ...

    async def removed(self, recording_id: str) -> None:
        """The files are gone: the row of a recording in state `deleting` goes too."""
        ...
