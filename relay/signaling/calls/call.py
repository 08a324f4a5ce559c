"""The life of one call, as a table: state × event → state. Pure: times come in as arguments, one next deadline comes out.

docs/protocol.md has the table as a diagram; `relay.signaling.calls.diagram` draws it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from relay.errors import SignalingError
from relay.ids import Profile, Scope
from relay.settings.calls import CallSettings
from relay.signaling.messages.common import MediaState


class State(StrEnum):
    INVITED = "invited"
    """The caller's invitation is good; no device of the callee has it yet (one may be on its way, woken by a push message)."""
    RINGING = "ringing"
    """At least one device of the callee rings."""
    ANSWERED = "answered"
    """One device answered; media is connecting."""
    CONNECTED = "connected"
    """Media flows both ways."""
    RECONNECTING = "reconnecting"
    """Media flowed, and the transport of a party has fallen silent."""
    ENDED = "ended"


class Event(StrEnum):
    RANG = "rang"
    ANSWERED = "answered"
    MEDIA_UP = "media_up"
    """Both transports are up."""
    MEDIA_DOWN = "media_down"
    """A transport is not."""
    END = "end"


class EndReason(StrEnum):
    """Why a call ended: `call_logs.end_reason` and the `reason` of a final message."""

    HANGUP = "hangup"
    REJECTED = "rejected"
    BUSY = "busy"
    OFFLINE = "offline"
    CANCELLED = "cancelled"
    NO_ANSWER = "no_answer"
    ANSWERED_ELSEWHERE = "answered_elsewhere"
    """Another device of the callee took the call: what a device that rang is told, and never the end of a call."""
    BLOCKED = "blocked"
    """One of the two has blocked the other. The caller is told `rejected`; only the row says it."""
    ICE_FAILED = "ice_failed"
    ICE_TIMEOUT = "ice_timeout"
    SIGNALING_LOST = "signaling_lost"
    WORKER_LOST = "worker_lost"
    """The process that forwarded its media died."""
    SERVER_SHUTDOWN = "server_shutdown"
    UNAVAILABLE = "unavailable"
    """The server could not set it up: its database or its media plane failed."""
    EXPIRED = "expired"
    """A server found the call open without a server in charge: the one that was has died."""
    TERMINATED = "terminated"
    """The platform ended it, or one of the two may be in it no longer: deleted, logged out, or no member any more."""
    TIME_LIMIT = "time_limit"
    """It has lasted as long as the operator lets calls last."""
    MEDIA_UNAVAILABLE = "media_unavailable"
    """The callee wanted to answer, and its device could not: no refusal."""
    NOT_SUPPORTED = "not_supported"
    """The call is recorded, and the client of a party cannot show that."""
    TRANSFERRED = "transferred"
    """One party asked the other to call a third profile, and that agreed."""


TRANSITIONS: Final[Mapping[State, Mapping[Event, State]]] = {
    State.INVITED: {Event.RANG: State.RINGING, Event.END: State.ENDED},
    State.RINGING: {Event.ANSWERED: State.ANSWERED, Event.END: State.ENDED},
    State.ANSWERED: {Event.MEDIA_UP: State.CONNECTED, Event.MEDIA_DOWN: State.ANSWERED, Event.END: State.ENDED},
    State.CONNECTED: {Event.MEDIA_UP: State.CONNECTED, Event.MEDIA_DOWN: State.RECONNECTING, Event.END: State.ENDED},
    State.RECONNECTING: {Event.MEDIA_UP: State.CONNECTED, Event.MEDIA_DOWN: State.RECONNECTING, Event.END: State.ENDED},
    State.ENDED: {},
}

BEFORE_ANSWER: Final = frozenset({State.INVITED, State.RINGING})

UPDATE_TIMEOUT: Final = 15.0
"""Seconds that a renegotiation may take."""

TRANSFER_TIMEOUT: Final = 30.0
"""Seconds that a party may think about being transferred."""


@dataclass(slots=True)
class Party:
    """One side of a call."""

    profile: Profile
    name: str
    avatar: str
    device_id: str | None = None
    """The device that is in the call; None for a callee that has not answered, and when a device that cannot resume is lost."""
    transport_id: str | None = None
    """The transport of that device."""
    media_up: bool = False
    signaling_lost_at: float | None = None
    media_lost_at: float | None = None
    media: MediaState = field(default_factory=MediaState)
    """What it last said of its media."""
    holds: bool = False
    """It has put the call on hold."""
    can_update: bool | None = None
    """Its client takes `call_update`; None while no device of it has taken the call."""
    can_show_recording: bool = False
    """Its client shows that the call is recorded."""
    returning: bool = False
    """Its peer connection is lost with the node that had the call, and it has no other one yet."""


@dataclass(slots=True)
class Call:
    """A call between two parties.

    Attributes:
        invited_at: when the invitation came; seconds, monotonic, like every `now` here.
        since: when the present state began.
        answered_since: when it was answered.
        ringing_lost_at: since when no device that rings has been connected; None while one is.
        keeps_chat: chat messages of the call are kept with it.
        moving: it has come from another node, where its media flows until both parties have theirs here.
    """

    call_id: str
    scope: Scope
    call_type: str
    caller: Party
    callee: Party
    timers: CallSettings
    invited_at: float
    since: float = field(init=False)
    answered_since: float | None = field(init=False, default=None)
    ringing_lost_at: float | None = None
    transferred_from: str | None = None
    keeps_chat: bool = False
    moving: bool = False
    state: State = State.INVITED
    end_reason: EndReason | None = None
    decline_message: str | None = None
    """What the callee said by declining."""
    parties: tuple[Party, Party] = field(init=False)

    def __post_init__(self) -> None:
        self.parties = (self.caller, self.callee)
        self.since = self.invited_at

    @property
    def answered(self) -> bool:
        """The call was answered and has not ended."""
        return self.state not in BEFORE_ANSWER and self.state is not State.ENDED

    def party(self, profile: Profile) -> Party:
        """The side that this profile is.

        Raises:
            KeyError: it is in another call.
        """
        for party in self.parties:
            if party.profile == profile:
                return party
        raise KeyError(profile)

    def party_with(self, transport_id: str) -> Party | None:
        """The side whose device has this transport."""
        return next((one for one in self.parties if one.transport_id == transport_id), None)

    def other(self, party: Party) -> Party:
        return self.callee if party is self.caller else self.caller

    def apply(self, event: Event, now: float) -> bool:
        """Move along the table.

        Returns:
            Whether the state is another one now.

        Raises:
            SignalingError: `wrong_state`; the event makes no sense now.
        """
        target = TRANSITIONS[self.state].get(event)
        if target is None:
            raise SignalingError("wrong_state", f"the call is {self.state}")
        changed = target is not self.state
        if changed:
            self.state, self.since = target, now
            if target is State.ANSWERED:
                self.answered_since = now
        return changed

    def end(self, reason: EndReason, now: float) -> bool:
        """End the call, once: False if it has already ended."""
        if self.state is State.ENDED:
            return False
        self.end_reason = reason
        return self.apply(Event.END, now)

    # -- the two lives of a party: signaling and media ----------------------------------------------------------------

    def signaling_lost(self, party: Party, now: float, *, resumable: bool) -> None:
        """The party's device is away without a word. If it cannot come back as the same device, any other may take its place."""
        if not resumable:
            party.device_id = None
        party.signaling_lost_at = now

    def signaling_back(self, party: Party, device_id: str) -> None:
        """The party's device has come back, or another has taken its place."""
        party.device_id = device_id
        party.signaling_lost_at = None

    def media_changed(self, party: Party, *, up: bool, now: float) -> bool:
        """The party's transport is up or down; whether the call's state changed by that."""
        if up:
            party.media_lost_at = None
        elif party.media_up or party.media_lost_at is None:
            party.media_lost_at = now
        party.media_up = up
        if not self.answered:
            return False
        all_up = all(one.media_up for one in self.parties)
        if self.moving and not all_up:
            return False
        self.moving = False
        return self.apply(Event.MEDIA_UP if all_up else Event.MEDIA_DOWN, now)

    def moved(self, now: float) -> bool:
        """The time is over in which media flows at the node before: a party that has none here has none; whether the state
        changed by that."""
        if not self.moving or self.state is State.ENDED:
            return False
        self.moving = False
        for party in self.parties:
            if not party.media_up:
                party.media_lost_at = now
        return self.apply(Event.MEDIA_DOWN, now)

    # -- time ---------------------------------------------------------------------------------------------------------

    def deadline(self) -> tuple[float, EndReason] | None:
        """When the call ends if nothing happens, and with which reason; None: it does not."""
        deadlines = [*self._state_deadlines(), *self._signaling_deadlines(), *self._length_deadline()]
        return min(deadlines) if deadlines else None

    def _length_deadline(self) -> list[tuple[float, EndReason]]:
        if not self.answered or self.answered_since is None or not self.timers.max_call_minutes:
            return []
        return [(self.answered_since + 60 * self.timers.max_call_minutes, EndReason.TIME_LIMIT)]

    def _state_deadlines(self) -> list[tuple[float, EndReason]]:
        match self.state:
            case State.INVITED:
                return [(self.invited_at + self.timers.ring_timeout, EndReason.OFFLINE)]
            case State.RINGING:
                due = [(self.invited_at + self.timers.ring_timeout, EndReason.NO_ANSWER)]
                if self.ringing_lost_at is not None:
                    due.append((self.ringing_lost_at + self.timers.vanished_grace, EndReason.OFFLINE))
                return due
            case State.ANSWERED:
                return [(self.since + self.timers.connect_timeout, EndReason.ICE_FAILED)]
            case State.RECONNECTING:
                lost = [one.media_lost_at for one in self.parties if one.media_lost_at is not None]
                return [(min(lost, default=self.since) + self.timers.media_grace, EndReason.ICE_TIMEOUT)]
            case _:
                return []

    def _signaling_deadlines(self) -> list[tuple[float, EndReason]]:
        found = []
        for party in self.parties:
            lost = party.signaling_lost_at
            if lost is None or self.state is State.ENDED:
                continue
            ends = lost + self.timers.signaling_grace
            if not party.media_up and not party.returning:
                gone = max(lost, party.media_lost_at or lost)
                ends = min(ends, gone + self.timers.vanished_grace)
            found.append((ends, EndReason.SIGNALING_LOST))
        return found
