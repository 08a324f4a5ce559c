"""What nodes tell and ask each other.

`encode` and `decode` have the version with them. A node of another version, or another program that writes to the same place, is
refused, not guessed at.
"""

from typing import Final

import msgspec

from relay.cluster.values import DeviceCard, NodeRef
from relay.errors import RelayError
from relay.ids import Profile, Scope
from relay.records.calls import OngoingCall, OngoingCallDetail

VERSION: Final = 1
"""Of these messages. One that is changed or removed makes a new version; calls then stay within one."""

MAX_BYTES: Final = 1024 * 1024
"""Of a message: a client's frame has at most 64 KB, and what was kept for a device 512 KB."""


class ForeignMessage(RelayError):
    """Bytes that are no message of this version."""


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of what is posted, and not answered."""


class Request(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of what is asked."""


class Reply(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of the answers."""


# -- from the owner of a call to the home of a device -----------------------------------------------------------------


class ToDevice(Message, frozen=True):
    """A message to a device."""

    device_id: str
    frame: bytes
    """JSON, without a number: the home numbers it."""
    transient: bool
    """It is not numbered, and not kept for a device that is away."""
    speaker: NodeRef
    """The node whose message it is: a former home of the device sends on what it still gets."""
    stream: int
    """Which one of that node's streams of messages to this device; a later one has a higher number."""
    order: int
    """Which message of that stream, from 1 on. The home puts them in order: some may come by way of a former home."""
    goes_on: bool | None = None
    """Whether the device has, or may have, a call of the speaker's by it; None: it changes nothing."""


class Drop(Message, frozen=True):
    """A device is to be sent away for good."""

    device_id: str
    code: int
    reason: str


# -- from the home of a device to the owner of its profile's call -----------------------------------------------------


class FromDevice(Message, frozen=True):
    """A message of a device, which its home has counted against its limits."""

    device: DeviceCard
    frame: bytes


class Came(Message, frozen=True):
    """A device has connected, or is back, and its profile is in a call of the owner."""

    device: DeviceCard
    repeated: bool = False
    """Its home has said so before, and was cut off since. It is news only if the owner took the device for lost."""
    told: bool = False
    """It was cut off since, and the device has heard about a call of the owner's, and not about the end."""


class Away(Message, frozen=True):
    """A device has lost its connection, and may come back if it can."""

    device: DeviceCard


class Gone(Message, frozen=True):
    """A device will not come back as the same one, or is not known here at all."""

    device_id: str
    dropped: bool = False
    """It was sent away for good, and leaves its call at once."""


class Unsure(Message, frozen=True):
    """A device heard about its call from a node that owned it before, and maybe not what became of it since: that it does not
    ring any more, say, or that another device has its place."""

    device: DeviceCard


# -- to all nodes, from the one that a change has come to --------------------------------------------------------------


class Blocked(Message, frozen=True):
    """A profile has blocked another: a call between the two ends."""

    blocker: Profile
    blocked: Profile


class ScopesChanged(Message, frozen=True):
    """Who belongs to some scopes has changed: calls there end whose parties do not."""

    scopes: tuple[Scope, ...]


class RecordingPolicyChanged(Message, frozen=True):
    """The policy of a scope: recordings there end that it does not allow."""

    scope: Scope
    policy: str | None


class CredentialsRevoked(Message, frozen=True):
    """What is revoked has changed, in the database."""


# -- from the owner of a call to the one before it, which is about to stop ---------------------------------------------


class MediaMoved(Message, frozen=True):
    """Both parties of a call have their media at the owner: the one before it may let go of what it still has."""

    call_id: str


# -- asked ------------------------------------------------------------------------------------------------------------


class Resume(Request, frozen=True):
    """To the home of a device that has come to the asking node: hand it over."""

    resume_token: str
    last_seq: int
    """The number of the last message that it had."""


class TakeOver(Request, frozen=True):
    """To a node that is to go on with a call of the asking one, which is about to stop."""

    call_id: str
    profiles: tuple[Profile, Profile]
    """The caller, and the callee."""
    sheet: bytes
    """What a successor needs, as it is now."""
    flows: bool
    """Media flows, and goes on to until both parties have theirs at the asked node."""


class Accepted(Reply, frozen=True):
    """The answering node owns the call."""


class TakeCall(Request, frozen=True):
    """To a node that is to own a new call of a device of the asking one, whose invitation follows."""


class Willing(Reply, frozen=True):
    """It will."""

    begun: int
    """Calls that it has begun before."""


class Flush(Request, frozen=True):
    """To be answered once everything is taken that a device of the asking node has said so far."""

    device_id: str


class Flushed(Reply, frozen=True):
    """Everything is."""


class TakenSoFar(msgspec.Struct, frozen=True, array_like=True):
    """How much of a stream of messages a device's home has taken."""

    speaker: NodeRef
    stream: int
    order: int
    """The number of the latest message of it."""


class Resumed(Reply, frozen=True):
    """The device is the asking node's from now on. What still arrives for it, its former home sends after it."""

    device: DeviceCard
    seq: int
    """The number of the latest message to it."""
    frames: tuple[bytes, ...]
    """Numbered, oldest first: those after `last_seq`."""
    taken: tuple[TakenSoFar, ...] = ()
    told_by: tuple[NodeRef, ...] = ()
    """The nodes from which it has heard about a call, and not about its end."""


class Denied(Reply, frozen=True):
    """What was asked for cannot be given."""

    reason: str


# -- orders of the platform, asked of every node, as any may have the call ---------------------------------------------


class CallOrder(Request, frozen=True):
    """Base of those about one call. A node that does not have it answers `Absent`."""

    call_id: str


class ReadCall(CallOrder, frozen=True):
    """→ `CallRead`."""


class EndCall(CallOrder, frozen=True):
    """→ `Done`."""


class StartRecording(CallOrder, frozen=True):
    """Record it without asking its parties. → `Done`, or `OrderRefused`."""


class StopRecording(CallOrder, frozen=True):
    """→ `Done`."""


class RemoveProfile(Request, frozen=True):
    """A profile is deleted, and in a call of the node that is asked: it leaves, and what it did is written. → `Done`."""

    profile: Profile


class ListCalls(Request, frozen=True):
    """→ `CallsListed`."""

    after: str
    """The id of the last call of the list before; empty: from the beginning."""


class Absent(Reply, frozen=True):
    """The call is not of this node."""


class Done(Reply, frozen=True):
    """The order is carried out, as far as there was anything to do."""

    result: str | None
    """None: there was nothing to do. Of `StartRecording`: the id of the recording; empty: it begins with the answer."""


class OrderRefused(Reply, frozen=True):
    """The order may or can not be carried out."""

    code: str
    text: str


class CallRead(Reply, frozen=True):
    """A call that goes on."""

    detail: OngoingCallDetail


class CallsListed(Reply, frozen=True):
    """Calls of the node that is asked, by id, as many as fit."""

    calls: tuple[OngoingCall, ...]
    more: bool
    """There are more after these."""


_Any = (
    ToDevice | Drop | FromDevice | Came | Away | Gone | Unsure | MediaMoved
    | Blocked | ScopesChanged | RecordingPolicyChanged | CredentialsRevoked
    | Resume | TakeOver | TakeCall | Flush
    | Resumed | Accepted | Willing | Flushed | Denied
    | ReadCall | EndCall | StartRecording | StopRecording | RemoveProfile | ListCalls
    | Absent | Done | OrderRefused | CallRead | CallsListed
)  # fmt: skip

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(tuple[int, _Any])


def encode(message: Message | Request | Reply) -> bytes:
    """Bytes for another node."""
    return _encoder.encode((VERSION, message))


def decode(data: bytes) -> Message | Request | Reply:
    """What another node has encoded.

    Raises:
        ForeignMessage: it is of another version, of another program, or too long.
    """
    if len(data) > MAX_BYTES:
        raise ForeignMessage(f"{len(data)} bytes")
    try:
        version, message = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise ForeignMessage(str(error)) from None
    if version != VERSION:
        raise ForeignMessage(f"version {version}")
    return message
