"""The devices and calls of the model: what comes and goes, what media do, and what is due."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from relay.ids import Profile, Scope, ScopeKind
from relay.settings.calls import CallSettings


@dataclass(slots=True)
class Device:
    profile: Profile
    version: int
    connected: bool = True
    lost_at: float = 0.0


@dataclass(slots=True)
class Side:
    profile: Profile
    device: int | None = None
    lost_at: float | None = None
    media_up: bool = False
    media_lost_at: float | None = None
    holds: bool = False
    sections: int = 1
    """Of what it has said last of its media."""


@dataclass(slots=True)
class Update:
    kind: str
    answerer: Profile
    sections: int
    call_type: str
    due: float


@dataclass(slots=True)
class Transfer:
    by: Profile
    due: float


@dataclass(slots=True)
class Call:
    scope: Scope
    call_type: str
    caller: Side
    callee: Side
    invited_at: float
    since: float
    state: str = "invited"
    status: str = "initiated"
    reason: str | None = None
    ringing: set[int] = field(default_factory=set)
    ringing_lost_at: float | None = None
    update: Update | None = None
    expired: Update | None = None
    """The last one whose time was up."""
    transfer: Transfer | None = None
    transfers_asked: Counter[Profile] = field(default_factory=Counter)
    told: set[int] = field(default_factory=set)
    """Devices that must hear of its end, once."""
    joined: set[int] = field(default_factory=set)
    """Those among them that took it over from another device, or may, even after they were told `answered_elsewhere`."""

    @property
    def answered(self) -> bool:
        return self.state in ("answered", "connected", "reconnecting")

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.caller, self.callee

    def side(self, profile: Profile) -> Side:
        return self.caller if self.caller.profile == profile else self.callee

    def other(self, side: Side) -> Side:
        return self.callee if side is self.caller else self.caller

    @property
    def row(self) -> tuple[Profile, Profile, str, str, str | None]:
        return self.caller.profile, self.callee.profile, self.call_type, self.status, self.reason


@dataclass(slots=True)
class World:
    """What devices, media and time do."""

    members: dict[Scope, frozenset[Profile]]
    timers: CallSettings
    now: float
    devices: dict[int, Device] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    blocks: set[tuple[Profile, Profile]] = field(default_factory=set)
    undisturbed: set[Profile] = field(default_factory=set)

    # -- looking ------------------------------------------------------------------------------------------------------

    def rows(self, kind: ScopeKind) -> list[tuple[Profile, Profile, str, str, str | None]]:
        return [one.row for one in self.calls if one.scope.kind is kind]

    def of(self, profile: Profile) -> Call | None:
        live = (one for one in self.calls if one.state != "ended")
        return next((one for one in live if profile in (one.caller.profile, one.callee.profile)), None)

    def rings(self, device: int) -> int | None:
        """The number of the call that a device rings for."""
        return next((number for number, call in enumerate(self.calls) if device in call.ringing), None)

    def _connected(self, profile: Profile) -> list[int]:
        return [number for number, one in self.devices.items() if one.profile == profile and one.connected]

    def _refusal(self, scope: Scope, caller: Profile, callee: Profile) -> str | None:
        if {(caller, callee), (callee, caller)} & self.blocks:
            return "blocked"
        if not {caller, callee} <= self.members.get(scope, frozenset()):
            return "rejected"
        return "busy" if callee in self.undisturbed else None

    def _named(self, device: int, scope: Scope) -> Call | None:
        call = self.of(self.devices[device].profile)
        return call if call is not None and call.scope == scope else None

    def _side_of(self, device: int, scope: Scope) -> tuple[Call, Side] | str:
        """The answered call of the device's profile, and its side there, whichever device that is; or the error."""
        call = self._named(device, scope)
        if call is None:
            return "no_call"
        return (call, call.side(self.devices[device].profile)) if call.answered else "wrong_state"

    def _within(self, device: int, scope: Scope) -> tuple[Call, Side] | str:
        """The answered call that the device is in, or the error."""
        found = self._side_of(device, scope)
        return found if isinstance(found, str) or found[1].device == device else "not_in_call"

    # -- coming and going ---------------------------------------------------------------------------------------------

    def connect(self, number: int, profile: Profile, version: int) -> None:
        self.devices[number] = Device(profile, version)
        self._meet_call(number)

    def resume(self, number: int) -> None:
        self.devices[number].connected = True
        self._meet_call(number)

    def _meet_call(self, number: int) -> None:
        call = self.of(self.devices[number].profile)
        if call is None:
            return
        side = call.side(self.devices[number].profile)
        if side.device == number:
            side.lost_at = None
        elif not call.answered and side is call.callee:
            call.ringing.add(number)
            call.told.add(number)
            self._look_at_ringing(call)
        elif call.answered and side.lost_at is not None:
            if side.device is None:
                side.device, side.lost_at = number, None
            call.told.add(number)
            call.joined.add(number)

    def lose(self, number: int) -> None:
        device = self.devices[number]
        device.connected, device.lost_at = False, self.now
        resumable = device.version == 2
        call = self.of(device.profile)
        if call is not None:
            side = call.side(device.profile)
            if side.device == number:
                side.lost_at = self.now
                if not resumable:
                    side.device = None
            elif number in call.ringing:
                if not resumable:
                    call.ringing.discard(number)
                self._look_at_ringing(call)
        if not resumable:
            self._remove(number)

    def _remove(self, number: int) -> None:
        del self.devices[number]
        for call in self.calls:
            call.told.discard(number)

    def _expire(self, number: int) -> None:
        call = self.of(self.devices[number].profile)
        if call is not None:
            side = call.side(self.devices[number].profile)
            if number in call.ringing:
                call.ringing.discard(number)
                self._look_at_ringing(call)
            elif side.device == number:
                side.device = None
        self._remove(number)

    def _look_at_ringing(self, call: Call) -> None:
        if any(self.devices[one].connected for one in call.ringing):
            call.ringing_lost_at = None
        elif call.ringing_lost_at is None:
            call.ringing_lost_at = self.now

    # -- media --------------------------------------------------------------------------------------------------------

    def media(self, profile: Profile, *, up: bool) -> None:
        call = self.of(profile)
        if call is not None and call.answered:
            self._media_changed(call, call.side(profile), up=up)

    def handshake_failed(self, profile: Profile) -> None:
        call = self.of(profile)
        if call is not None and call.answered:
            self._end(call, "ice_failed")

    def worker_lost(self, profile: Profile) -> None:
        call = self.of(profile)
        if call is not None:
            self._end(call, "worker_lost")

    def _media_changed(self, call: Call, side: Side, *, up: bool) -> None:
        if up:
            side.media_lost_at = None
        elif side.media_up or side.media_lost_at is None:
            side.media_lost_at = self.now
        side.media_up = up
        if all(one.media_up for one in call.sides):
            state = "connected"
        else:
            state = "answered" if call.state == "answered" else "reconnecting"
        if state != call.state:
            call.state, call.since = state, self.now

    # -- time ---------------------------------------------------------------------------------------------------------

    def wait_until(self, then: float) -> None:
        """Let everything happen that is due by then, in order."""
        while True:
            due, number, what = min(self._due(), default=(then, 0, ""))
            if due >= then:
                break
            self.now = due
            if what == "gone":
                self._expire(number)
            elif what == "update":
                call = self.calls[number]
                # What a page that rejoins was offered is gone with its leg.
                call.expired = None if call.update is not None and call.update.kind == "rejoin" else call.update
                call.update = None
            elif what == "transfer":
                self.calls[number].transfer = None
            else:
                self._end(self.calls[number], what)
        self.now = then

    def _due(self) -> Iterable[tuple[float, int, str]]:
        for number, device in self.devices.items():
            if not device.connected:
                yield device.lost_at + self.timers.signaling_grace, number, "gone"
        for number, call in enumerate(self.calls):
            if call.state == "ended":
                continue
            if call.update is not None:
                yield call.update.due, number, "update"
            if call.transfer is not None:
                yield call.transfer.due, number, "transfer"
            for due, reason in self._ends(call):
                yield due, number, reason

    def _ends(self, call: Call) -> Iterable[tuple[float, str]]:
        timers = self.timers
        if call.state == "ringing":
            yield call.invited_at + timers.ring_timeout, "no_answer"
            if call.ringing_lost_at is not None:
                yield call.ringing_lost_at + timers.vanished_grace, "offline"
        if call.state == "answered":
            yield call.since + timers.connect_timeout, "ice_failed"
        if call.state == "reconnecting":
            silent = [one.media_lost_at for one in call.sides if one.media_lost_at is not None]
            yield min(silent) + timers.media_grace, "ice_timeout"
        for side in call.sides:
            if side.lost_at is not None:
                yield side.lost_at + timers.signaling_grace, "signaling_lost"
                if not side.media_up:
                    gone = max(side.lost_at, side.media_lost_at or 0.0)
                    yield gone + timers.vanished_grace, "signaling_lost"

    def _end(self, call: Call, reason: str) -> None:
        call.status = "ended" if call.answered else "missed"
        call.state, call.reason = "ended", reason
        call.ringing.clear()
        call.update = call.transfer = None
