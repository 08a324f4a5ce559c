"""The calls that have not ended, and what belongs to each outside the pure `Call`."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Final

from relay.clock import Timeline
from relay.cluster.values import Claim, NodeRef
from relay.errors import SignalingError, Unavailable
from relay.ids import Profile, ScopeKind, new_id
from relay.media.api import DtlsRole, TransportReport
from relay.sdp.model import SessionDescription
from relay.signaling.calls.call import Call, Party
from relay.signaling.calls.quality import Course, PathQuality
from relay.signaling.messages.incoming import AboutCall
from relay.signaling.messages.outgoing import TransferTarget
from relay.signaling.ports import UNKNOWN_PATH, MediaPath
from relay.signaling.presence.device import Device
from relay.signaling.recording import CallRecording
from relay.signaling.sessions.session import Session

MAX_CHAT_IDS: Final = 500
"""Names of chat messages that are remembered per call, to tell a repetition from a new one."""


MAX_REJOIN_REQUESTS: Final = 10
"""Times that devices of a party may ask the one in the call for it: each time its user sees a question."""

MAX_TARGETS: Final = 20
"""Profiles that the other party may be transferred to, as a party is shown them: each takes two queries."""

MAX_TARGETS_ASKED: Final = 20
"""Times that a party may ask in a call for the targets of a transfer."""

MAX_TRANSFERS: Final = 5
"""Times that a party may ask for a transfer in a call, refused ones included: each answer tells whether a profile is there."""


@dataclass(slots=True)
class PartyMedia:
    """The media of one party of a live call: the session of its device, its network path, and its quality."""

    session: Session | None = None
    path: MediaPath = UNKNOWN_PATH
    quality: PathQuality = field(default_factory=PathQuality)
    report: TransportReport | None = None
    """The latest one."""

    @property
    def negotiated(self) -> tuple[Session, SessionDescription]:
        """The session, and the party's latest description. Both are there once the call is answered."""
        assert self.session is not None and self.session.remote is not None, "the call is answered"
        return self.session, self.session.remote


class Purpose(Enum):
    """Why an offer is under way in mid-call."""

    FORWARD = auto()
    """A party wants to change its media; the other one answers."""
    RESTART = auto()
    """The server's offer for an ICE restart: it concerns the session of the answerer alone."""
    REJOIN = auto()
    """The server's offer to a new peer connection of a party."""
    REFRESH = auto()
    """The server's offer that tells the other party of that one's new streams."""
    REALIGN = auto()
    """The server's offer after an answer that came too late: the offerer has rolled back, and learns what the answerer has."""


@dataclass(slots=True, eq=False)
class Update:
    """An offer that waits for its answer."""

    purpose: Purpose
    answerer: Party
    offer: SessionDescription
    """What is offered, as the other party, or this one at an earlier time, described it."""
    call_type: str
    offerer: Device | None = None
    """Whose offer it is; None: the server's own."""
    ref: str | None = None
    role: DtlsRole = DtlsRole.ACTPASS
    """Of the DTLS handshake, as the relay offers it."""
    session: Session | None = None
    """The new session of a `REJOIN`."""
    update_id: str = field(default_factory=new_id)
    overtaken: tuple[Device, str | None] | None = None
    """The answerer's own offer, which crossed this one: its device, and its `ref`."""
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True, eq=False)
class Transfer:
    """A party's wish that the other one call a third profile."""

    by: Party
    target: TransferTarget
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True, eq=False)
class RejoinRequest:
    """A device's wish to have the call that another one of its profile is in."""

    asker: Device
    party: Party
    request_id: str = field(default_factory=new_id)
    timer: asyncio.TimerHandle | None = None


class CallMoved(Unavailable):
    """A call has moved to another node, while something waited for its turn: that one has it from now on."""

    def __init__(self, to: NodeRef) -> None:
        super().__init__(f"the call has moved to {to.name}")
        self.to = to


class CallLock(asyncio.Lock):
    """What puts everything that happens to a call in order. Who waits for it while the call moves to another node gets
    `CallMoved`."""

    moved_to: NodeRef | None = None

    async def __aenter__(self) -> None:
        await super().__aenter__()
        if self.moved_to is not None:
            self.release()
            raise CallMoved(self.moved_to)


@dataclass(slots=True, eq=False)
class LiveCall:
    """A call that has not ended. Whatever happens to it happens with its lock held."""

    call: Call
    timeline: Timeline
    """All dates of this call are of it."""
    offer: SessionDescription
    """The caller's: the latest one before the answer."""
    caller: PartyMedia = field(default_factory=PartyMedia)
    callee: PartyMedia = field(default_factory=PartyMedia)
    ringing: dict[str, tuple[Device, Session]] = field(default_factory=dict)
    """Devices that ring: device id → the device and its session."""
    waiting: list[Device] = field(default_factory=list)
    """Devices that were told that they may take the place of one that is away."""
    claim: Claim | None = None
    """By which this node owns it; None: it does not, or not yet."""
    succeeded: bool = False
    """Another node has had it before."""
    moved_from: NodeRef | None = None
    """The node that owned it before, and still has its media."""
    kept: tuple[object, ...] | None = None
    """The mark of the sheet that was kept last (`sheet.py`)."""
    called_back: Device | None = None
    """The device of a party that is `returning` whose turn it is."""
    offered_in_vain: Counter[Profile] = field(default_factory=Counter)
    """How many offers to a new peer connection each party that is `returning` has rejected or not answered."""
    refused: bool = False
    """The caller may not make it. It ends as soon as it is written down, and the callee learns nothing of it."""
    answered_at: datetime | None = None
    update: Update | None = None
    expired: Update | None = None
    """The last one whose time was up, as long as an answer to it may be on its way."""
    transfer: Transfer | None = None
    transfers_asked: Counter[Profile] = field(default_factory=Counter)
    """How often each party asked for one."""
    targets_asked: Counter[Profile] = field(default_factory=Counter)
    """How often each party asked who can be the target of one."""
    rejoin_requests: dict[Profile, RejoinRequest] = field(default_factory=dict)
    """Of each party, the one that waits for the answer of its device in the call."""
    rejoins_asked: Counter[Profile] = field(default_factory=Counter)
    """How often devices of each party have asked for the call."""
    chat_ids: dict[tuple[Profile, str], datetime] = field(default_factory=dict)
    """Chat messages that were taken: author and id → when."""
    course: Course = field(default_factory=Course)
    recording: CallRecording = field(default_factory=CallRecording)
    recording_timer: asyncio.TimerHandle | None = None
    timer: asyncio.TimerHandle | None = None
    lock: CallLock = field(default_factory=CallLock)

    @property
    def started_at(self) -> datetime:
        """When the invitation came."""
        return self.timeline.at(self.call.invited_at)

    def media(self, party: Party) -> PartyMedia:
        return self.caller if party is self.call.caller else self.callee

    def party_of(self, device: Device) -> Party:
        """The party that this device is in the call for.

        Raises:
            SignalingError: `wrong_state` if the call is not answered, `not_in_call` if another device is in it.
        """
        party = self.call.party(device.profile)
        if not self.call.answered:
            raise SignalingError("wrong_state", f"the call is {self.call.state}")
        if party.device_id != device.device_id:
            raise SignalingError("not_in_call", "another device of this profile is in the call")
        return party

    def take_update(self) -> Update | None:
        """The update that is under way, which is over by that."""
        update, self.update = self.update, None
        if update is not None and update.timer is not None:
            update.timer.cancel()
        return update

    def drop_requests(self) -> list[Device]:
        """No device has to say any more whether another one may have the call; the devices that asked."""
        requests = list(self.rejoin_requests.values())
        self.rejoin_requests.clear()
        for request in requests:
            if request.timer is not None:
                request.timer.cancel()
        return [request.asker for request in requests]

    def take_transfer(self) -> Transfer | None:
        """The transfer that is being asked for, which is over by that."""
        transfer, self.transfer = self.transfer, None
        if transfer is not None and transfer.timer is not None:
            transfer.timer.cancel()
        return transfer


class LiveCalls:
    """Every call that has not ended, by who is in it and by its transports."""

    def __init__(self) -> None:
        self._by_profile: dict[Profile, LiveCall] = {}
        self._by_transport: dict[str, LiveCall] = {}

    def add(self, live: LiveCall) -> None:
        """From here on both parties are taken."""
        for party in live.call.parties:
            self._by_profile[party.profile] = live

    def remove(self, live: LiveCall) -> None:
        """Both are free again."""
        for party in live.call.parties:
            if self._by_profile.get(party.profile) is live:
                del self._by_profile[party.profile]

    def of(self, profile: Profile) -> LiveCall | None:
        return self._by_profile.get(profile)

    def owned(self, profile: Profile) -> LiveCall | None:
        """The call of a profile, unless it may still come to nothing because another node's was first."""
        live = self._by_profile.get(profile)
        return None if live is None or live.claim is None else live

    def undecided(self, *profiles: Profile) -> LiveCall | None:
        """A call of one of these profiles that may still come to nothing because another node's was first."""
        calls = (self._by_profile.get(profile) for profile in profiles)
        return next((one for one in calls if one is not None and one.claim is None), None)

    def with_id(self, call_id: str) -> LiveCall | None:
        return next((one for one in self if one.call.call_id == call_id), None)

    def named(self, device: Device, message: AboutCall) -> LiveCall:
        """The call that a message is about.

        Raises:
            SignalingError: `no_call`.
        """
        live = self._by_profile.get(device.profile)
        if live is None or live.call.scope != message.scope:
            where = "whiteboard session" if message.scope.kind is ScopeKind.WHITEBOARD_SESSION else "conversation"
            raise SignalingError("no_call", f"this profile is in no call of this {where}")
        if message.call_id is not None and message.call_id != live.call.call_id:
            raise SignalingError("no_call", "this profile is in another call, or that one has ended")
        return live

    def own_transport(self, transport_id: str, live: LiveCall) -> None:
        self._by_transport[transport_id] = live

    def disown_transport(self, transport_id: str) -> None:
        self._by_transport.pop(transport_id, None)

    def with_transport(self, transport_id: str) -> LiveCall | None:
        return self._by_transport.get(transport_id)

    def beats(self, kind: ScopeKind, now: float) -> dict[datetime, list[str]]:
        """The calls of that kind of scope, by the date that it is for them: nearly always the same for all."""
        found: dict[datetime, list[str]] = {}
        for live in self:
            if live.call.scope.kind is kind:
                found.setdefault(live.timeline.at(now), []).append(live.call.call_id)
        return found

    def __iter__(self) -> Iterator[LiveCall]:
        return iter({id(one): one for one in self._by_profile.values()}.values())

    def __len__(self) -> int:
        return sum(1 for _ in self)
