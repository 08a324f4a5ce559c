"""What is to be written of a call, as values: in order per call, and each as good the second time as the first.

A journal has them as lines of JSON; the shape of those is what another version of the relay reads at its start.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from relay.ids import Scope, ScopeKind
from relay.records.recordings import CaptureResult, NewRecording, RecordingConsent
from relay.signaling.ports import ChatMessage, MediaPath, NewCall

MAX_LINE: Final = 16 * 1024
"""Bytes of a line. Names and avatars are the longest that it has."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Something that happened to a call."""

    kind: ScopeKind
    call_id: str


class Opened(Entry, frozen=True, kw_only=True, tag="opened"):
    call: NewCall


class Answered(Entry, frozen=True, kw_only=True, tag="answered"):
    at: datetime


class Updated(Entry, frozen=True, kw_only=True, tag="updated"):
    """It is a voice call no more but a video call, or the other way round."""

    call_type: str


class Ended(Entry, frozen=True, kw_only=True, tag="ended"):
    at: datetime
    reason: str
    answered_at: datetime | None
    """None: neither did."""
    caller: MediaPath
    callee: MediaPath
    decline_message: str | None = None


class Said(Entry, frozen=True, kw_only=True, tag="said"):
    """A chat message. In no journal: most scopes do not keep chat, and the database knows which."""

    scope: Scope
    message: ChatMessage


class RecordingStarted(Entry, frozen=True, kw_only=True, tag="recording_started"):
    recording: NewRecording


class RecordingCaptured(Entry, frozen=True, kw_only=True, tag="recording_captured"):
    recording_id: str
    at: datetime
    result: CaptureResult


class RecordingAnswered(Entry, frozen=True, kw_only=True, tag="recording_answered"):
    consent: RecordingConsent


class RecordingDiscarded(Entry, frozen=True, kw_only=True, tag="recording_discarded"):
    """A party has withdrawn its consent, and recordings are deleted then."""

    recording_id: str


class Written(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="written"):
    """All that a journal says of a call up to here is in the database."""

    call_id: str


RecordingEntry = RecordingStarted | RecordingCaptured | RecordingAnswered | RecordingDiscarded

_Line = Opened | Answered | Updated | Ended | RecordingEntry | Written

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Line)


def line_of(entry: Entry | Written) -> bytes:
    """The line of a journal, with its end."""
    return _encoder.encode(entry) + b"\n"


def waiting_in(lines: Iterable[bytes]) -> tuple[dict[str, list[Entry]], int]:
    """What a journal has that is not written yet.

    Returns:
        The entries of each call in their order, oldest call first; and the number of lines that make no sense. The last line of a
        process that died may be half a line.
    """
    waiting: dict[str, list[Entry]] = {}
    senseless = 0
    for line in lines:
        try:
            found = _decoder.decode(line)
        except (msgspec.DecodeError, UnicodeError):
            senseless += 1
            continue
        if isinstance(found, Written):
            waiting.pop(found.call_id, None)
        else:
            waiting.setdefault(found.call_id, []).append(found)
    return waiting, senseless
