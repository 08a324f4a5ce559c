"""The names of all keys, and what stands in their values.

The braces keep all keys of a cluster in one slot of a Redis Cluster, so that one script may use several of them. Whatever belongs
to a node begins with a line that names the process, by which scripts know whether it lives.
"""

from dataclasses import dataclass, field
from typing import Final, TypeVar

import msgspec

from relay.cluster.api import NodeCard
from relay.cluster.values import Claim, DeviceCard, NodeRef
from relay.errors import RelayError
from relay.ids import Profile

_Value = TypeVar("_Value")

FIELD: Final = b"m"
"""Of an entry of an inbox: the envelope."""


class ForeignValue(RelayError):
    """What stands in Redis was not written by a node of this version."""


@dataclass(frozen=True, slots=True)
class RedisKeys:
    """The names of the keys of a cluster."""

    namespace: str
    prefix: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "prefix", f"relay:{{{self.namespace}}}:")

    @property
    def nodes(self) -> str:
        """Set: the processes that were there."""
        return f"{self.prefix}nodes"

    @property
    def opened(self) -> str:
        """Since when there has always been a node, in milliseconds since 1970 by Redis's clock."""
        return f"{self.prefix}opened"

    @property
    def node_prefix(self) -> str:
        return f"{self.prefix}node:"

    def node(self, ref: NodeRef) -> str:
        """Hash: the card of a process and the generation of its writing connection. Its expiry is the lease."""
        return f"{self.node_prefix}{ref_text(ref)}"

    def inbox(self, ref: NodeRef) -> str:
        """Stream: what other nodes post to it."""
        return f"{self.prefix}in:{ref_text(ref)}"

    def devices(self, profile: Profile) -> str:
        """Hash: the cards of a profile's devices, by their ids."""
        return f"{self.prefix}dev:{profile.key}"

    def token(self, digest: bytes) -> str:
        """The card of the device that comes back by a token."""
        return f"{self.prefix}tok:{digest.hex()}"

    def busy(self, profile: Profile) -> str:
        """The claim on a profile."""
        return f"{self.prefix}busy:{profile.key}"

    def window(self, name: str) -> str:
        """What was counted for a rate limit, as long as its window lasts."""
        return f"{self.prefix}lim:{name}"

    def sheet(self, call_id: str) -> str:
        """What the successor of a call's owner needs."""
        return f"{self.prefix}sheet:{call_id}"


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """What one node sends another, in an entry of the other's inbox."""

    name: str
    incarnation: int
    seq: int
    kind: str
    """`message`, `request`, `reply`, `refusal`, or `hello`, which only shows that those before it are lost."""
    correlation: int
    """Of a request and its reply; 0: none."""
    body: bytes

    @property
    def sender(self) -> NodeRef:
        return NodeRef(self.name, self.incarnation)


_encoder: Final = msgspec.msgpack.Encoder()
_cards: Final = msgspec.msgpack.Decoder(NodeCard)
_devices: Final = msgspec.msgpack.Decoder(DeviceCard)
_envelopes: Final = msgspec.msgpack.Decoder(Envelope)


def ref_text(ref: NodeRef) -> str:
    """A process in one line."""
    return f"{ref.name}#{ref.incarnation}"


def ref_of(text: bytes) -> NodeRef:
    """
    Raises:
        ForeignValue: it names no process.
    """
    name, _, incarnation = text.decode(errors="replace").rpartition("#")
    if not name or not incarnation.isdecimal():
        raise ForeignValue(f"{text[:40]!r} is no node")
    return NodeRef(name, int(incarnation))


def claim_text(claim: Claim) -> bytes:
    caller, callee = claim.profiles
    return f"{ref_text(claim.owner)}\n{claim.call_id}\n{caller.key}\n{callee.key}".encode()


def claim_of(value: bytes) -> Claim:
    """
    Raises:
        ForeignValue: it is no claim.
    """
    try:
        owner, call_id, caller, callee = value.split(b"\n")
        return Claim(call_id.decode(), ref_of(owner), (Profile.parse(caller.decode()), Profile.parse(callee.decode())))
    except ValueError:
        raise ForeignValue(f"{value[:40]!r} is no claim") from None


def pack(value: NodeCard | DeviceCard | Envelope) -> bytes:
    return _encoder.encode(value)


def card_of(value: bytes) -> NodeCard:
    """
    Raises:
        ForeignValue: it is no card of a node.
    """
    return _read(_cards, value)


def device_of(value: bytes) -> DeviceCard:
    """
    Args:
        value: a card below the line, or the lines, of its home.

    Raises:
        ForeignValue: it is no card of a device.
    """
    return _read(_devices, value)


def envelope_of(value: bytes) -> Envelope:
    """
    Raises:
        ForeignValue: it is no envelope.
    """
    found = _read(_envelopes, value)
    if found.seq < 1:
        raise ForeignValue("its number is not positive")
    return found


def _read(decoder: "msgspec.msgpack.Decoder[_Value]", value: bytes) -> _Value:
    try:
        return decoder.decode(value)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ForeignValue(str(error)) from None
