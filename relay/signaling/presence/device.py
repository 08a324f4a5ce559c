"""A client of a profile: a tab, a telephone. Its WebSocket is with this node, or with another one, which is its home then."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final, Self

from relay.cluster.messages import Drop, Message, Resumed, TakenSoFar, ToDevice
from relay.cluster.values import DeviceCard, NodeRef
from relay.ids import Profile, new_id
from relay.signaling.messages import outgoing
from relay.signaling.messages.outgoing import ToClient, Transient, encode
from relay.signaling.ports import Connection
from relay.signaling.presence.inflow import Inflow
from relay.signaling.presence.outbox import Outbox
from relay.signaling.sessions.addresses import Addresses

VERSION_2: Final = 2
"""The second version of the protocol, which has more messages than the first."""

TOKEN_BYTES: Final = 24

Post = Callable[[NodeRef, Message], None]


def goes_on(message: ToClient) -> bool | None:
    """Whether its receiver has, or may have, a call by it; None: it changes nothing."""
    match message:
        case outgoing.EndedDelivery() | outgoing.DeclinedDelivery():
            return False
        case outgoing.CallStateMessage():
            return message.state != "ended"
        case outgoing.CallElsewhere():
            return not message.over
        case outgoing.CallMessage():
            return True
        case _:
            return None


class RemoteHome:
    """The home of a device that is another node, and what is on its way there.

    Attributes:
        node: its home.
        connected: as its home has said last.
        busy: something that the device has said or done is being taken.
    """

    __slots__ = ("_held", "_me", "_order", "_post", "_stream", "busy", "connected", "node")

    def __init__(self, me: NodeRef, node: NodeRef, post: Post, stream: int, *, connected: bool) -> None:
        """
        Args:
            me: this node.
            stream: higher than that of every earlier one of the same device.
        """
        self.node = node
        self.connected = connected
        self.busy = False
        self._me = me
        self._post = post
        self._stream = stream
        self._order = 0
        self._held: list[ToClient] | None = None

    def send(self, device_id: str, message: ToClient) -> None:
        if self._held is not None:
            self._held.append(message)
            return
        self._order += 1
        transient = isinstance(message, Transient)
        of = self._me, self._stream, self._order
        self._post(self.node, ToDevice(device_id, encode(message), transient, *of, goes_on(message)))

    def drop(self, device_id: str, code: int, reason: str) -> None:
        self._post(self.node, Drop(device_id, code, reason))

    def hold(self) -> None:
        """Send nothing for a while: the device may be about to come to this node."""
        if self._held is None:
            self._held = []

    def unhold(self) -> list[ToClient]:
        """Send at once again; what was not sent meanwhile."""
        held, self._held = self._held, None
        return held or []


class Device:
    """One client of a profile: a tab, a telephone.

    Attributes:
        version: of the protocol that it speaks, 1 or 2 (`VERSION_2`).
        resume_token: by which it comes back as the same device; empty if its home is another node, which knows it.
        connection: None while it is away, and if its home is another node.
        arriving: it is connected, and is not told so yet: other nodes hear of it first.
        announced: other nodes know of it as it is.
        remote: None: this node is its home.
        moves: how often it has changed its home.
        replaces: the device that its client was before, whose home was lost.
        owner: the node that was last seen to own a call of its profile, if that is another one; this node is its home.
        told_by: the other nodes that were given its invitation, or from which it has heard about a call, and not about its end:
            more than one if that is late or lost. This node is its home.
        placed_at: the node that its latest invitation went to, as long as it has not heard from there. This node is its home.
        came_from: its former home, which sends on what it still gets for it; None: this one was its first.
        told_before: what `told_by` was when it came from there.
        in_doubt: the call of its profile was taken over from this node, and it has not heard from the new owner yet.
        turn: held while other nodes are told about it.
        issued_at: when the credential of its latest connection was issued, in seconds since 1970; None: that is not known.
        dropped: it was sent away for good. What it still says is not heard.
        addresses: of its latest connection. For one of another node, no address of this node: media comes here directly.
        can_show_recording: it has said that it shows its user when a call is recorded.
        takes: message types of `OPTIONAL_TYPES` that its latest connection has asked for.
    """

    __slots__ = (
        *(
            "_inflows",
            "_outbox",
            "addresses",
            "announced",
            "arriving",
            "came_from",
            "can_show_recording",
            "connection",
            "device_id",
            "dropped",
        ),
        *(
            "in_doubt",
            "issued_at",
            "moves",
            "owner",
            "placed_at",
            "profile",
            "remote",
            "replaces",
            "resume_token",
            "takes",
            "told_before",
            "told_by",
            "turn",
            "version",
        ),
    )

    def __init__(
        self, profile: Profile, version: int, connection: Connection | None = None, issued_at: float | None = None
    ) -> None:
        self.device_id = new_id()
        self.profile = profile
        self.version = version
        self.resume_token = secrets.token_urlsafe(TOKEN_BYTES)
        self.connection: Connection | None = None
        self.arriving = False
        self.announced = False
        self.remote: RemoteHome | None = None
        self.moves = 0
        self.replaces: str | None = None
        self.placed_at: NodeRef | None = None
        self.owner: NodeRef | None = None
        self.told_by: set[NodeRef] = set()
        self.came_from: NodeRef | None = None
        self.told_before: frozenset[NodeRef] = frozenset()
        self.in_doubt = False
        self.turn = asyncio.Lock()
        self.addresses = Addresses()
        self.issued_at = issued_at
        self.dropped = False
        self.can_show_recording = False
        self.takes: frozenset[str] = frozenset()
        # Until it is welcomed, everything is kept: a client of version 1 cannot come back, but it may be about to come.
        self._outbox = Outbox(keeps=True)
        self._inflows: dict[NodeRef, Inflow] = {}
        if connection is not None:
            self.attach(connection)
            self.catch_up(0)

    @property
    def connected(self) -> bool:
        return self.connection is not None or (self.remote is not None and self.remote.connected)

    @property
    def resumable(self) -> bool:
        """Whether it can come back at all."""
        return self.version >= VERSION_2

    @property
    def can_update(self) -> bool:
        """Whether it takes `call_update`."""
        return self.version >= VERSION_2

    def card(self, home: NodeRef) -> DeviceCard:
        """What other nodes are to know of it."""
        return DeviceCard(
            profile=self.profile,
            device_id=self.device_id,
            home=home,
            version=self.version,
            connected=self.connected or self.arriving,
            takes=tuple(sorted(self.takes)),
            can_show_recording=self.can_show_recording,
            remote_address=self.addresses.remote,
            issued_at=self.issued_at,
            moves=self.moves,
            replaces=self.replaces,
        )

    # -- what it is sent ----------------------------------------------------------------------------------------------

    def send(self, message: ToClient) -> None:
        """Send a message, or keep it until the device is back. Never blocks, never fails."""
        if self.remote is not None:
            self.remote.send(self.device_id, message)
        else:
            self._deliver(encode(message), transient=isinstance(message, Transient))

    def succeeded(self, former: NodeRef) -> None:
        """Another node has taken over the call of a node that was lost, and may only have been slow: what that one has said of it
        since does not count."""
        inflow = self._inflows.get(former)
        if inflow is not None:
            inflow.close()

    def misses(self, sender: NodeRef) -> bool:
        """Whether something for it may have been among messages of that node which are lost. This node is its home."""
        return sender in (self.owner, *self.told_by) or (sender == self.came_from and bool(self.told_before & self.told_by))

    def take(self, message: ToDevice) -> None:
        """Send what another node has to say to it, in the order in which that one said it. This node is its home."""
        for one in self._inflows.setdefault(message.speaker, Inflow()).take(message):
            self.owner = one.speaker
            if self.placed_at == one.speaker and one.goes_on is not False:
                self.placed_at = None
            if one.goes_on:
                self.told_by.add(one.speaker)
            elif one.goes_on is False:
                self.told_by.discard(one.speaker)
            self._deliver(one.frame, transient=one.transient)

    def _deliver(self, frame: bytes, *, transient: bool) -> None:
        if not transient:
            frame = self._outbox.add_frame(frame)
        if self.connection is not None:
            self.connection.send(frame)

    # -- connections --------------------------------------------------------------------------------------------------

    def attach(self, connection: Connection) -> None:
        """It has another connection."""
        self.connection, self.arriving = connection, False
        self.addresses = Addresses(connection.local_address, connection.remote_address)

    def catch_up(self, last_seq: int) -> list[bytes] | None:
        """The frames after that number, which it is sent next; None if they are not all here any more."""
        frames = self.missed(last_seq)
        if not self.resumable:
            self._outbox.keep_nothing()
        return frames

    def arrived(self, last_seq: int) -> None:
        """The client says that it has everything up to that number."""
        self._outbox.arrived(last_seq)

    def missed(self, last_seq: int) -> list[bytes] | None:
        """The frames after that number; None if they are not all here."""
        return self._outbox.after(last_seq)

    # -- from node to node --------------------------------------------------------------------------------------------

    @classmethod
    def elsewhere(cls, card: DeviceCard, remote: RemoteHome) -> Self:
        """A device whose home is another node."""
        device = cls(card.profile, card.version)
        device.device_id, device.can_show_recording = card.device_id, card.can_show_recording
        device.leave(remote)
        device.learn(card)
        return device

    def learn(self, card: DeviceCard) -> None:
        """Its home says this of it."""
        assert self.remote is not None, "its home is another node"
        self.remote.node, self.remote.connected, self.moves = card.home, card.connected, card.moves
        self.addresses, self.issued_at, self.takes = Addresses(None, card.remote_address), card.issued_at, frozenset(card.takes)
        self.replaces = card.replaces

    def leave(self, remote: RemoteHome) -> tuple[int, tuple[TakenSoFar, ...], list[ToDevice]]:
        """Another node is its home from now on.

        Returns:
            What that one needs: the number of its latest frame, and what was taken of other nodes; and messages of those that
            came too early, which are to be sent after it.
        """
        inflows = self._inflows
        early = [message for one in inflows.values() for message in one.rest()]
        taken = tuple(TakenSoFar(speaker, one.stream, one.taken) for speaker, one in inflows.items())
        seq = self._outbox.seq
        self.remote, self.connection, self.resume_token, self.owner, self.told_by = remote, None, "", None, set()
        self.placed_at = None
        self._outbox, self._inflows = _NOTHING, {}
        self.moves += 1  # what its card said until now does not count any more, also if other nodes pass it on
        return seq, taken, early

    def settle(self, token: str, given: Resumed) -> None:
        """This node is its home from now on."""
        held = [] if self.remote is None else self.remote.unhold()
        self.remote, self.arriving = None, True
        self.resume_token, self.moves, self.told_by = token, given.device.moves + 1, set(given.told_by)
        self.came_from, self.told_before = given.device.home, frozenset(given.told_by)
        self.replaces = given.device.replaces
        self._outbox = Outbox(keeps=True, seq=given.seq, frames=given.frames)
        self._inflows = {one.speaker: Inflow(one.stream, one.order) for one in given.taken}
        for message in held:
            self.send(message)


_NOTHING: Final = Outbox(keeps=False)
"""Of all devices of other nodes: what they are sent is numbered and kept there."""
