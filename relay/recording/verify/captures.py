"""The capture of a recording, where it is still there: facts that no assembled file has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from relay.recording.records import CaptureCut, CapturedPacket, CaptureEvent, CaptureInterface, read_capture
from relay.recording.verify.facts import PacketFacts
from relay.recording.verify.figures import CallEvent, PacketFigures
from relay.recording.verify.products import event_of
from relay.sealed import is_sealed

SUFFIX: Final = ".pcapng"
_PCAPNG: Final = b"\x0a\x0d\x0d\x0a"
_TOLD_EVERY: Final = 5000
"""Packets from one progress to the next."""


@dataclass(slots=True)
class CaptureFindings:
    packets: dict[tuple[str, str], list[PacketFigures]] = field(default_factory=dict)
    """By party and kind."""
    events: list[CallEvent] = field(default_factory=list)
    started: str = ""
    end_reason: str = ""
    notes: list[str] = field(default_factory=list)


def is_capture(path: Path) -> bool:
    """Whether a file is a capture, by its beginning; a sealed one by its name."""
    if path.suffix == SUFFIX:
        return True
    with path.open("rb") as file:
        return file.read(4) == _PCAPNG and not is_sealed(path)


def capture_of(folder: Path, recording_id: str) -> Path | None:
    """The capture of an assembled recording, by its name: in the recording's directory, or beside that."""
    folder = folder.resolve()
    names = dict.fromkeys(name for name in (recording_id, folder.name.partition(".")[0]) if name)
    places = [place / f"{name}{SUFFIX}" for name in names for place in (folder, folder.parent)]
    return next((one for one in places if one.is_file()), None)


def read_facts(path: Path, keys: Sequence[bytes], progress: Callable[[float], None]) -> CaptureFindings:
    """All that the packets of a capture say.

    Raises:
        RelayError: it is none, or cannot be opened.
        OSError: it cannot be read.
    """
    found = CaptureFindings()
    facts = PacketFacts()
    parties: dict[int, str] = {}
    begin: int | None = None
    size, read, count = max(1, path.stat().st_size), 0, 0
    for record in read_capture(path, keys):
        if isinstance(record, CapturedPacket):
            begin = record.at if begin is None else begin
            facts.add((record.at - begin) / 1e9, parties.get(record.interface, "?"), record.data)
            read, count = read + len(record.data) + 64, count + 1
            if not count % _TOLD_EVERY:
                progress(min(1.0, read / size))
        elif isinstance(record, CaptureInterface):
            parties[record.number] = record.party
            facts.describe(record.party, msgspec.to_builtins(record.media))
        elif isinstance(record, CaptureEvent):
            begin = record.at if begin is None else begin
            _note(found, record, (record.at - begin) / 1e9)
            if record.name in {"hold", "paused"}:
                facts.interrupt()
        elif isinstance(record, CaptureCut):
            found.notes.append(
                f"The capture is cut off: {record.reason} at byte {record.offset:,}; {record.left:,} bytes follow."
            )
    progress(1.0)
    found.packets = facts.figures()
    if not found.end_reason:
        found.notes.append("The capture has no end: the process that wrote it was interrupted.")
    if facts.unknown:
        found.notes.append(f"{facts.unknown:,} packets are of no described payload type, or no RTP.")
    return found


def _note(found: CaptureFindings, event: CaptureEvent, time: float) -> None:
    fields = dict(event.fields)
    if event.name == "started":
        wall = fields.get("wall")
        if isinstance(wall, int | float):
            found.started = datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds")
    if event.name == "ended":
        found.end_reason = str(fields.get("reason", ""))
    if event.name == "dropped":
        found.notes.append(f"The relay dropped {fields.get('packets')} packets at {time:.1f} s: its disk was too slow.")
    if event.name == "failed":
        found.notes.append(f"Packets are missing from {time:.1f} s on, by a mistake of the relay: {fields.get('reason')}.")
    found.events.append(event_of(time, event.name, fields))
