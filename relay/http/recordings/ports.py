"""The interfaces that the HTTP side needs for recordings. `db`, `relay.recording` and the composition root provide them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

from relay.ids import Profile
from relay.records.calls import Page
from relay.records.profiles import ProfileCard
from relay.records.recordings import RecordingAccess, RecordingFilter, RecordingRecord


class RecordingCatalogue(Protocol):
    """The rows of recordings."""

    async def get(self, recording_id: str, participant: Profile | None = None) -> RecordingRecord | None:
        """A recording, whatever its state; None: there is none.

        Args:
            participant: only if this profile may see it itself.
        """
        ...

    async def page(self, wanted: RecordingFilter, *, limit: int, cursor: str | None = None) -> Page[RecordingRecord]:
        """Recordings, newest first.

        Raises:
            ValueError: the cursor is none of ours.
        """
        ...

    async def set_legal_hold(self, recording_id: str, hold: bool) -> bool:
        """Whether there is such a recording that is not being deleted."""
        ...

    async def begin_deletion(self, recording_id: str) -> bool:
        """→ `deleting`. False if it is under legal hold, still captured, or not there."""
        ...


class RecordingAccesses(Protocol):
    """Who has used which recording."""

    async def add(self, used: RecordingAccess) -> None:
        """Write a use down, before the first byte is sent."""
        ...

    async def of(self, recording_id: str, *, limit: int = 200) -> Sequence[RecordingAccess]:
        """The uses of a recording, latest first."""
        ...


class ProfileNames(Protocol):
    """What profiles are called."""

    async def cards(self, profiles: Collection[Profile]) -> Mapping[Profile, ProfileCard]:
        """The cards of those that exist."""
        ...


class OpenedFile(Protocol):
    """A file that is read from any position. The methods block."""

    @property
    def size(self) -> int:
        """Bytes, of the plain text."""
        ...

    def read(self, start: int, stop: int) -> bytes:
        """
        Raises:
            OSError, RelayError: it cannot be read there.
        """
        ...

    def close(self) -> None: ...


class RecordingFiles(Protocol):
    """The files of recordings. The methods block."""

    def has_capture(self, recording_id: str) -> bool:
        """Whether the packets of a recording are here, of which all its files are made."""
        ...

    def open(self, recording_id: str, name: str) -> OpenedFile:
        """
        Raises:
            OSError: it is not there, or cannot be read.
            RelayError: it is sealed, and cannot be opened.
        """
        ...

    def version(self, recording_id: str, name: str) -> str:
        """Another one for each content that the file has had.

        Raises:
            OSError: it is not there.
        """
        ...

    def is_sealed(self, recording_id: str, name: str) -> bool:
        """
        Raises:
            OSError: it is not there.
        """
        ...

    def chunks_of_capture(self, recording_id: str) -> Iterator[bytes]:
        """The capture, unsealed. Raises as `open` does."""
        ...


class RecordingJob(Protocol):
    """Something that is being done with a recording, or is to be done."""

    @property
    def kind(self) -> str:
        """`assemble` or `verify`."""
        ...

    @property
    def running(self) -> bool: ...

    @property
    def step(self) -> str: ...

    @property
    def done(self) -> float:
        """How much of the step, from 0 to 1."""
        ...


class RecordingWork(Protocol):
    """What is done with recordings beside the calls."""

    def under_way(self) -> Mapping[str, RecordingJob]:
        """What is being done at this moment, or is to be done soon: by recording."""
        ...

    def assemble(self, recording_id: str, duration: float, *, mp4: bool = False) -> bool:
        """Whether nothing else is being done with it, and there is room. `duration` is in seconds."""
        ...

    def verify(self, recording_id: str, duration: float) -> bool:
        """Likewise."""
        ...

    async def cancel(self, recording_id: str) -> None:
        """End what is being done with a recording."""
        ...

    def wake(self) -> None:
        """A recording is to be deleted."""
        ...

    @property
    def verifies(self) -> bool:
        """Whether verification is installed."""
        ...
