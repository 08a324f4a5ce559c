"""What nodes know of each other, of devices and of calls."""

from dataclasses import dataclass

from relay.ids import Profile


@dataclass(frozen=True, slots=True)
class NodeRef:
    """One process of a node, from its start to its end."""

    name: str
    """`RELAY_NODE`. Two processes may have the same one: a rolling update starts the new one before the old one ends."""
    incarnation: int
    """The fencing token: positive, unique among all nodes of a database, and higher than that of every earlier start. It stands
    in the row of each call that this process owns."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A call and the node that owns it. While it stands, its profiles are in no other call."""

    call_id: str
    owner: NodeRef
    profiles: tuple[Profile, Profile]
    """The caller, and the callee."""


@dataclass(frozen=True, slots=True)
class DeviceCard:
    """A device, as nodes know it that are not its home."""

    profile: Profile
    device_id: str
    home: NodeRef
    version: int
    """Of the protocol that it speaks, 1 or 2."""
    connected: bool
    """False: it is away, and may come back."""
    takes: tuple[str, ...] = ()
    """Message types beyond those of its version."""
    can_show_recording: bool = False
    remote_address: str | None = None
    """For limits only: media of the device goes to the owner of its call, at addresses of that one."""
    issued_at: float | None = None
    """When its credential was issued, in seconds since 1970; None: that is not known."""
    moves: int = 0
    """How often it has changed its home: of two cards of a device, the one with more moves is the later one."""
    replaces: str | None = None
    """The device that its client was before, whose home was lost with all that was kept for it."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What came of a claim."""

    claim: Claim
    """That of the call that was asked for; or, if one of its profiles is in another call, that call's."""
    devices: tuple[DeviceCard, ...] = ()
    """Of both profiles, those whose homes are other nodes that live: each profile's in the order in which they came. None if it
    is another call's. The home of a device that comes after that learns of the claim by enlisting it."""
