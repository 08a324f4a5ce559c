"""The files of a recording: what is in them, and whether they are whole."""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

import av
from av.container import InputContainer

from relay.errors import RelayError
from relay.recording.verify.figures import CallEvent, Interval, ProductReport
from relay.sealed import SealedFile, is_sealed

SUFFIXES: Final = (".webm", ".mkv", ".mp4")
PARTIES: Final = ("A", "B")
WHOLE_CALL: Final = "call"
SIDECAR: Final = "sidecar.json"
_MISSING_END: Final = 0.5
"""Seconds by which a file may end before it says, or its sidecar does."""
_EBML: Final = b"\x1a\x45\xdf\xa3"
_SEGMENT: Final = b"\x18\x53\x80\x67"


class UnreadableRecording(RelayError):
    """There is nothing that can be verified: no such recording, a file that is none, a key that is missing."""


class _SealedReader(io.RawIOBase):
    """A sealed file as a file, for FFmpeg."""

    def __init__(self, file: SealedFile) -> None:
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(self._at, self._at + len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def read(self, size: int | None = -1) -> bytes:
        stop = self._file.size if size is None or size < 0 else self._at + size
        data = self._file.read(self._at, stop)
        self._at += len(data)
        return data

    def close(self) -> None:
        self._file.close()
        super().close()


@dataclass(frozen=True, slots=True)
class Product:
    """A file with media."""

    path: Path
    party: str
    keys: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        return self.path.name

    def bytes(self) -> BinaryIO:
        """Its plain content.

        Raises:
            OSError, SealError: it cannot be read.
        """
        if is_sealed(self.path):
            return _SealedReader(SealedFile(self.path, self.keys))  # type: ignore[return-value]
        return self.path.open("rb")

    def open(self) -> InputContainer:
        """Its tracks.

        Raises:
            OSError, SealError: it cannot be read, or is no media file (`av.error.FFmpegError`).
        """
        if is_sealed(self.path):
            return av.open(self.bytes(), "r")
        return av.open(str(self.path), "r")


def find_products(path: Path, keys: Sequence[bytes]) -> list[Product]:
    """The files to verify: one for each party, else the one of the whole call.

    Args:
        path: a directory, or one file.

    Raises:
        UnreadableRecording: there is none.
    """
    opened_by = tuple(keys)
    if path.is_file():
        return [Product(path, path.stem, opened_by)]
    files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    of_parties = [Product(file, file.stem, opened_by) for file in files if file.stem in PARTIES]
    found = of_parties or [Product(file, file.stem, opened_by) for file in files]
    if not found:
        raise UnreadableRecording(f"{path} has no {', '.join(SUFFIXES)} file")
    return found


def others_of(path: Path, verified: Sequence[Product], keys: Sequence[bytes]) -> list[Product]:
    """The files of a directory that are made of the same packets: they only have to be whole."""
    known = {product.path for product in verified}
    files = sorted(path.iterdir()) if path.is_dir() else []
    return [Product(file, file.stem, tuple(keys)) for file in files if file.suffix in SUFFIXES and file not in known]


@dataclass(frozen=True, slots=True)
class Sidecar:
    """`sidecar.json`, as far as it is there. What another version of the relay wrote otherwise is not known."""

    content: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, keys: Sequence[bytes]) -> Self:
        """Raises: UnreadableRecording: it is no JSON object."""
        if not path.is_file():
            return cls()
        try:
            with Product(path, "", tuple(keys)).bytes() as file:
                content = json.loads(file.read())
        except ValueError as error:
            raise UnreadableRecording(f"{path.name} is not JSON: {error}") from None
        if not isinstance(content, dict):
            raise UnreadableRecording(f"{path.name} is no JSON object")
        return cls(content)

    def tracks(self, party: str, kind: str) -> list[Mapping[str, Any]]:
        found = self.content.get("tracks")
        entries = found if isinstance(found, list) else []
        return [one for one in entries if isinstance(one, dict) and one.get("party") == party and one.get("kind") == kind]

    def text(self, *names: str) -> str:
        return next((str(self.content[name]) for name in names if self.content.get(name)), "")

    @property
    def events(self) -> list[CallEvent]:
        found = self.content.get("events")
        entries = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
        events = []
        for one in entries:
            time, name = number_of(one, "time"), one.get("event")
            if time is not None and isinstance(name, str):
                fields = {key: value for key, value in one.items() if key not in {"event", "time"}}
                events.append(event_of(time, name, fields))
        return events

    @property
    def started(self) -> str:
        """ISO 8601, UTC."""
        wall = number_of(self.content, "started_at", "wall")
        return datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds") if wall is not None else ""

    @property
    def notes(self) -> list[str]:
        """What the assembly had to say, as sentences."""
        found = self.content.get("warnings")
        warnings = [str(one) for one in found] if isinstance(found, list) else []
        cut = self.content.get("cut")
        if isinstance(cut, dict):
            warnings.insert(0, f"the capture is cut off: {cut.get('reason')} at byte {cut.get('offset')}")
        return [f"{one[:1].upper()}{one[1:].rstrip('.')}." for one in warnings if one]


_LONG = frozenset({"recording_id", "call_id", "transport_id", "wall"})
"""Fields of events that say nothing to people."""


def event_of(time: float, name: str, fields: Mapping[str, Any]) -> CallEvent:
    """An event of the capture, for the report."""
    on = fields.get("on")
    words = [f"{key} {value}" for key, value in fields.items() if key not in {*_LONG, "on"} and value is not None]
    words = [*(["on" if on else "off"] if isinstance(on, bool) else []), *words]
    return CallEvent(time=round(time, 3), name=name, text=", ".join(words), on=on if isinstance(on, bool) else None)


def number_of(entry: Mapping[str, Any], *names: str) -> float | None:
    """The first of some fields that is a number."""
    for name in names:
        value = entry.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return None


def intervals_of(entry: Mapping[str, Any], name: str) -> list[Interval]:
    """A field that is a list of starts and durations."""
    found = entry.get(name)
    pairs = [one for one in found if isinstance(one, list | tuple) and len(one) >= 2] if isinstance(found, list) else []
    return [(float(one[0]), float(one[1])) for one in pairs if all(isinstance(part, int | float) for part in one[:2])]


def pauses(events: Iterable[CallEvent], end: float) -> list[Interval]:
    """When nothing was recorded: holds, and pauses of the recording."""
    found: list[Interval] = []
    begun: dict[str, float] = {}
    for event in events:
        if event.name not in {"hold", "paused"}:
            continue
        if event.on:
            begun.setdefault(event.name, event.time)
        elif event.name in begun:
            start = begun.pop(event.name)
            found.append((start, event.time - start))
    return [*found, *((start, end - start) for start in begun.values() if end > start)]


def describe(product: Product, end: float | None, sidecar_end: float | None = None) -> ProductReport:
    """What the report says of a file.

    Args:
        end: seconds, of the last packet in it; None if that is not known.
        sidecar_end: seconds, of the last packet that the assembly wrote, if it says so.

    Raises:
        OSError, SealError: it cannot be read.
    """
    with product.bytes() as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        beginning = file.read(4096)
    with product.open() as container:
        duration = (container.duration or 0) / av.time_base
        form = container.format.name
    cut = cut_of(beginning, size)
    if end is None:
        end = duration
    if not cut and duration - end > _MISSING_END:
        cut = f"it says that it lasts {duration:.1f} s, and ends at {end:.1f} s"
    if not cut and sidecar_end is not None and sidecar_end - end > _MISSING_END:
        cut = f"it ends at {end:.1f} s; {SIDECAR} says {sidecar_end:.1f} s"
    return ProductReport(name=product.name, size=size, container=form.partition(",")[0], duration=max(duration, end), cut=cut)


def cut_of(beginning: bytes, size: int) -> str:
    """Why a Matroska or WebM file is not whole, by the length of its segment (RFC 8794, 5 and 6); empty if it is, or is none.

    Args:
        beginning: of the file.
        size: of the whole file, in bytes.
    """
    if not beginning.startswith(_EBML):
        return ""
    length, at, _ = _vint(beginning, 4)
    at += length
    if beginning[at : at + 4] != _SEGMENT:
        return "its header is not that of Matroska"
    length, at, unknown = _vint(beginning, at + 4)
    if unknown:
        return "its length was never written, as its writer was interrupted"
    missing = at + length - size
    return f"{missing:,} of {at + length:,} bytes are missing at its end" if missing > 0 else ""


def _vint(data: bytes, at: int) -> tuple[int, int, bool]:
    """A variable-size integer (RFC 8794, 4): its value, the position behind it, and whether it stands for an unknown size."""
    first = data[at] if at < len(data) else 0
    width = 9 - first.bit_length()
    if width > 8 or at + width > len(data):
        return 0, at + 1, True
    value = int.from_bytes(data[at : at + width]) & ((1 << 7 * width) - 1)
    return value, at + width, value == (1 << 7 * width) - 1
