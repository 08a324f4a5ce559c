"""What the TURN server wants done: values, for the edge to do in order."""

from collections.abc import Hashable
from dataclasses import dataclass

from relay.turn.messages import Address


@dataclass(frozen=True, slots=True)
class SendToClient:
    """Send these bytes to the client: one STUN message or ChannelData, padded to a multiple of four over streams."""

    client: Hashable
    data: bytes


@dataclass(frozen=True, slots=True)
class ToPeer:
    """Carry this datagram to the media address `peer`, as coming from this allocation."""

    allocation_id: int
    peer: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class Allocated:
    """An allocation came to be. Its id was never used before."""

    allocation_id: int
    client: Hashable


@dataclass(frozen=True, slots=True)
class Released:
    """An allocation is gone."""

    allocation_id: int


Output = SendToClient | ToPeer | Allocated | Released
