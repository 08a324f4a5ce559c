"""Recordings, as the API shows them."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from relay.http.parameters import Milliseconds, ProfileName, ProfileView, view
from relay.http.recordings.ports import RecordingJob
from relay.ids import Profile
from relay.records.profiles import ProfileCard
from relay.records.recordings import RecordingAccess, RecordingPolicy, RecordingRecord, RecordingState, RecordingVerdict
from relay.signaling.calls.notices import milliseconds

CAPTURE_SUFFIX: Final = ".pcapng"

_TYPES: Final = {
    ".html": "text/html",
    ".json": "application/json",
    ".mkv": "video/x-matroska",
    ".mp4": "video/mp4",
    CAPTURE_SUFFIX: "application/x-pcapng",
    ".webm": "video/webm",
}

State = Annotated[
    Literal["capturing", "captured", "assembling", "ready", "failed", "deleting"],
    Meta(description="`ready`: its files are there. `failed`: they could not be made, or nothing was captured."),
]
Verdict = Literal["none", "passed", "failed", "unreadable"]

assert set(get_args(Verdict)) == {*RecordingVerdict}, "one schema for both"


class RecordingFileView(msgspec.Struct, frozen=True):
    """A file of a recording."""

    name: str
    size: Annotated[int, Meta(description="Bytes.")]
    content_type: str


class RecordingJobView(msgspec.Struct, frozen=True):
    """What is being done with a recording, or is to be done soon."""

    kind: Literal["assemble", "verify"]
    state: Literal["queued", "running"]
    step: Annotated[str, Meta(description="What is done just now; empty before it begins.")]
    progress: Annotated[float, Meta(description="How much of the step, from 0 to 1.")] | None


class RecordingView(msgspec.Struct, frozen=True, kw_only=True):
    """A recording of a call."""

    recording_id: str
    call_id: str
    conversation_id: int | UnsetType = UNSET
    whiteboard_session_id: int | UnsetType = UNSET
    caller: ProfileView
    callee: ProfileView
    state: State
    end_reason: Annotated[str, Meta(description="Why it ended; null while it is captured.")] | None
    started_at: Milliseconds
    ended_at: Milliseconds | None
    duration_seconds: float | None
    packets: int
    bytes: Annotated[int, Meta(description="Of the capture.")]
    dropped: Annotated[int, Meta(description="Packets that the disk was too slow for.")]
    files: list[RecordingFileView]
    verdict: Verdict
    policy: Annotated[Literal["consent", "always"], Meta(description="Why the call was recorded.")]
    consented: Annotated[bool, Meta(description="Both parties have consented.")]
    legal_hold: Annotated[bool, Meta(description="It is neither deleted nor does it become too old.")]
    note: Annotated[str, Meta(description="Why assembling or verifying failed, or what is missing.")] | None
    job: RecordingJobView | None
    can_delete: Annotated[bool, Meta(description="The asker may delete it now.")]


class RecordingList(msgspec.Struct, frozen=True):
    """A page of recordings, newest first."""

    recordings: list[RecordingView]
    next_cursor: Annotated[str, Meta(description="`after` of the next page; null: this is the last one.")] | None


class RecordingDetails(msgspec.Struct, frozen=True):
    recording: RecordingView


class RecordingAccessView(msgspec.Struct, frozen=True):
    """A use of a recording."""

    profile: Annotated[ProfileName, Meta(description="null: the platform.")] | None
    action: Literal["list", "view", "download", "export", "assemble", "verify", "delete", "hold"]
    detail: Annotated[str, Meta(description="The name of a file.")] | None
    first_byte: int | None
    last_byte: Annotated[int, Meta(description="Inclusive; null, like `first_byte`: all of them.")] | None
    at: Milliseconds
    address_hash: Annotated[str, Meta(description="The same for the same address; it does not say which.")] | None


class RecordingAccessList(msgspec.Struct, frozen=True):
    """Latest first; the last 200."""

    accesses: list[RecordingAccessView]


class Ticket(msgspec.Struct, frozen=True):
    """What opens the files of one recording from an element of a page, which cannot send a header."""

    ticket: Annotated[str, Meta(description="For `?ticket=`.")]
    expires_at: Milliseconds


def content_type_of(name: str) -> str:
    return _TYPES.get(PurePath(name).suffix, "application/octet-stream")


def files_of(record: RecordingRecord, asker: Profile | None) -> Mapping[str, int]:
    """The files that the asker may have, with their sizes. The capture is the platform's only.

    Args:
        asker: None: the platform.
    """
    return {name: size for name, size in record.files.items() if asker is None or not name.endswith(CAPTURE_SUFFIX)}


def may_delete(record: RecordingRecord, asker: Profile | None) -> bool:
    """Whether the asker may delete it now: a party may, as it may withdraw its consent, but not what was recorded without it."""
    if record.legal_hold or record.state in (RecordingState.CAPTURING, RecordingState.DELETING):
        return False
    return asker is None or record.policy is RecordingPolicy.CONSENT


def view_of(
    record: RecordingRecord, cards: Mapping[Profile, ProfileCard], job: RecordingJob | None, asker: Profile | None
) -> RecordingView:
    scope: dict[str, Any] = {record.scope.kind.id_field: record.scope.scope_id}
    ended = record.ended_at
    return RecordingView(
        recording_id=record.recording_id,
        call_id=record.call_id,
        **scope,
        caller=view(cards.get(record.caller) or ProfileCard(record.caller, "", "")),
        callee=view(cards.get(record.callee) or ProfileCard(record.callee, "", "")),
        state=record.state.value,
        end_reason=record.end_reason,
        started_at=milliseconds(record.started_at),
        ended_at=None if ended is None else milliseconds(ended),
        duration_seconds=None if ended is None else (ended - record.started_at).total_seconds(),
        packets=record.packets,
        bytes=record.bytes,
        dropped=record.dropped,
        files=[RecordingFileView(name, size, content_type_of(name)) for name, size in sorted(files_of(record, asker).items())],
        verdict=record.verdict.value,
        policy="always" if record.policy is RecordingPolicy.ALWAYS else "consent",
        consented=record.consented,
        legal_hold=record.legal_hold,
        note=record.note or None,
        job=None if job is None else _job(job),
        can_delete=may_delete(record, asker),
    )


def access_of(used: RecordingAccess) -> RecordingAccessView:
    return RecordingAccessView(
        profile=None if used.profile is None else ProfileName.of(used.profile),
        action=used.action.value,
        detail=used.detail,
        first_byte=used.first_byte,
        last_byte=used.last_byte,
        at=milliseconds(used.at),
        address_hash=used.address_hash,
    )


def _job(job: RecordingJob) -> RecordingJobView:
    kind: Literal["assemble", "verify"] = "verify" if job.kind == "verify" else "assemble"
    if not job.running:
        return RecordingJobView(kind, "queued", "", None)
    return RecordingJobView(kind, "running", job.step, round(job.done, 3))
