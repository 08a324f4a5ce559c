"""What is on record about recordings, as plain data, and the port by which calls write it down.

All times are timezone-aware, in UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from relay.ids import Profile, Scope


class RecordingState(StrEnum):
    """What has become of a recording: `recordings.state`."""

    CAPTURING = "capturing"
    """Packets are being written."""
    CAPTURED = "captured"
    """The capture is over, and is to be assembled."""
    ASSEMBLING = "assembling"
    READY = "ready"
    FAILED = "failed"
    """There is nothing to assemble, or each attempt has failed. The capture stays, if there is one."""
    DELETING = "deleting"
    """It is not shown any more, and its files are being removed."""


class RecordingPolicy(StrEnum):
    """Whether calls are recorded: the setting, and that of a scope."""

    OFF = "off"
    CONSENT = "consent"
    """When a party asks for it and the other one agrees."""
    ALWAYS = "always"
    """From the answer on. Both parties are shown that, and neither is asked."""

    def stricter(self, other: "RecordingPolicy | None") -> "RecordingPolicy":
        """The one of the two under which less is recorded. None: there is no other one."""
        order = list(RecordingPolicy)
        return self if other is None else min(self, other, key=order.index)


class RecordingEnd(StrEnum):
    """Why a recording ended: `recordings.end_reason`, and the `reason` of `call_recording`."""

    STOPPED = "stopped"
    CALL_ENDED = "call_ended"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    DISK_FULL = "disk_full"
    WRITE_FAILED = "write_failed"
    TOO_LONG = "too_long"
    WORKER_LOST = "worker_lost"
    SERVER_LOST = "server_lost"


class ConsentAnswer(StrEnum):
    """What a party has said about a recording: `recording_consents.answer`."""

    REQUESTED = "requested"
    """It asked for the recording, and has consented by that."""
    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    """It did not answer in time, which counts as declined."""
    WITHDRAWN = "withdrawn"


class RecordingVerdict(StrEnum):
    """What the verification of a recording has found: `recordings.verdict`."""

    NONE = "none"
    """It has not been verified."""
    PASSED = "passed"
    FAILED = "failed"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class NewRecording:
    """The first row of a recording's life."""

    recording_id: str
    """32 hexadecimal digits."""
    call_id: str
    scope: Scope
    caller: Profile
    callee: Profile
    started_at: datetime
    policy: RecordingPolicy
    """`CONSENT` or `ALWAYS`."""
    policy_version: str
    consented: bool
    """Both parties have consented."""
    sealed: bool = False
    """Its files are encrypted."""


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """What a capture has left."""

    reason: RecordingEnd
    packets: int = 0
    bytes: int = 0
    dropped: int = 0
    """Packets that the disk was too slow for."""
    files: Mapping[str, int] = field(default_factory=dict)
    """Size in bytes by name; empty: nothing was written."""


@dataclass(frozen=True, slots=True)
class RecordingConsent:
    """What a party has said about a recording."""

    consent_id: str
    recording_id: str
    """The recording that was asked for. There is no such recording if it never began."""
    call_id: str
    profile: Profile
    answer: ConsentAnswer
    at: datetime
    policy_version: str
    text_hash: str | None = None
    """SHA-256 of the text that the party was shown, in hexadecimal digits, as its client says."""


# -- what the API shows, and the jobs need --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RecordingRecord:
    """A recording of a call."""

    recording_id: str
    call_id: str
    scope: Scope
    caller: Profile
    callee: Profile
    state: RecordingState
    end_reason: str | None
    """`RecordingEnd`; None while it is captured."""
    started_at: datetime
    ended_at: datetime | None
    packets: int
    bytes: int
    dropped: int
    files: Mapping[str, int]
    """Size in bytes by name: the capture's, and those of the products."""
    verdict: RecordingVerdict
    policy: RecordingPolicy
    policy_version: str
    consented: bool
    """Both parties have consented."""
    legal_hold: bool
    """It is neither deleted nor does it become too old."""
    node: str
    """Name of the server that has its files."""
    sealed: bool
    """Its files are encrypted."""
    attempts: int
    """Times that its assembly has begun."""
    note: str | None
    """What people are to know of its assembly or verification."""


@dataclass(frozen=True, slots=True)
class RecordingFilter:
    """Which recordings a list has. None: any."""

    participant: Profile | None = None
    """Those that this profile may see itself: of calls that it took part in, recorded by consent."""
    profile: Profile | None = None
    """One of the two parties."""
    scope: Scope | None = None
    call_id: str | None = None
    started_from: datetime | None = None
    started_before: datetime | None = None
    states: tuple[RecordingState, ...] = ()
    """Empty: all but `DELETING`."""
    verdict: RecordingVerdict | None = None
    node: str | None = None


class AccessAction(StrEnum):
    """How a recording was used: `recording_accesses.action`."""

    LIST = "list"
    VIEW = "view"
    DOWNLOAD = "download"
    EXPORT = "export"
    ASSEMBLE = "assemble"
    VERIFY = "verify"
    DELETE = "delete"
    HOLD = "hold"
    """Its legal hold was set or lifted."""


@dataclass(frozen=True, slots=True)
class RecordingAccess:
    """A use of a recording."""

    recording_id: str | None
    """None: a list of recordings."""
    profile: Profile | None
    """None: the holder of the service token."""
    action: AccessAction
    at: datetime
    detail: str | None = None
    """The file's name, or the filter of a list."""
    first_byte: int | None = None
    last_byte: int | None = None
    """Of the range that was asked for, inclusive; None: everything."""
    address_hash: str | None = None
