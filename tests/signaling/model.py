"""A simple model of the calls of a server: what must come of all that clients, media and time do.

One thing happens after another, at once, and nothing fails. Devices are numbers, calls are in the order in which they began.
Every message gives the code of the error that answers it, or None.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from relay.ids import Place, PlaceKind, Profile
from relay.settings.calls import CallSettings
from relay.signaling.calls.call import TRANSFER_TIMEOUT, UPDATE_TIMEOUT
from relay.signaling.calls.live import MAX_TRANSFERS


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
    place: Place
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
class Model:
    members: dict[Place, frozenset[Profile]]
    timers: CallSettings
    now: float
    devices: dict[int, Device] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    blocks: set[tuple[Profile, Profile]] = field(default_factory=set)
    undisturbed: set[Profile] = field(default_factory=set)

    # -- looking ------------------------------------------------------------------------------------------------------

    def rows(self, kind: PlaceKind) -> list[tuple[Profile, Profile, str, str, str | None]]:
        return [one.row for one in self.calls if one.place.kind is kind]

    def of(self, profile: Profile) -> Call | None:
        live = (one for one in self.calls if one.state != "ended")
        return next((one for one in live if profile in (one.caller.profile, one.callee.profile)), None)

    def rings(self, device: int) -> int | None:
        """The number of the call that a device rings for."""
        return next((number for number, call in enumerate(self.calls) if device in call.ringing), None)

    def _connected(self, profile: Profile) -> list[int]:
        return [number for number, one in self.devices.items() if one.profile == profile and one.connected]

    def _refusal(self, place: Place, caller: Profile, callee: Profile) -> str | None:
        if {(caller, callee), (callee, caller)} & self.blocks:
            return "blocked"
        if not {caller, callee} <= self.members.get(place, frozenset()):
            return "rejected"
        return "busy" if callee in self.undisturbed else None

    def _named(self, device: int, place: Place) -> Call | None:
        call = self.of(self.devices[device].profile)
        return call if call is not None and call.place == place else None

    def _within(self, device: int, place: Place) -> tuple[Call, Side] | str:
        """The answered call that the device is in, or the error."""
        call = self._named(device, place)
        if call is None:
            return "no_call"
        if not call.answered:
            return "wrong_state"
        side = call.side(self.devices[device].profile)
        return (call, side) if side.device == device else "not_in_call"

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

    # -- the five messages --------------------------------------------------------------------------------------------

    def _again(self, device: int, callee: Profile, place: Place) -> Call | None:
        """The unanswered call that the invitation repeats."""
        caller = self.devices[device].profile
        older = self.of(caller)
        if older is None or older.answered or self._refusal(place, caller, callee) is not None:
            return None
        return older if (older.caller.profile, older.callee.profile, older.place) == (caller, callee, place) else None

    def replace_older(self, device: int, callee: Profile, place: Place) -> None:
        """The first third of an invitation: after it, the caller is free, or the call is the same one again."""
        caller = self.devices[device].profile
        older = self.of(caller)
        if self._again(device, callee, place) is not None:
            return
        if callee != caller and older is not None and older.caller.profile == caller:
            if not older.answered:
                self._end(older, "cancelled")
            elif older.caller.device in (device, None):
                self._end(older, "hangup")

    def invite(self, device: int, callee: Profile, place: Place) -> str | None:
        caller = self.devices[device].profile
        if callee == caller:
            return "invalid_message"
        again = self._again(device, callee, place)
        if again is not None:
            again.caller.device, again.caller.lost_at = device, None
            again.told.add(device)
            again.joined.add(device)
            return None
        refusal = self._refusal(place, caller, callee)
        theirs = self.of(callee)
        if refusal is None and theirs is not None and theirs.callee.profile == caller and theirs.place == place:
            crossed = theirs.state == "ringing" and self.devices[device].version == 2
            if crossed:
                return None
        if refusal is None and (self.of(caller) or self.of(callee)):
            refusal = "busy"
        call = Call(place, "voice", Side(caller, device), Side(callee), self.now, self.now, told={device})
        self.calls.append(call)
        if refusal is not None:
            self._end(call, refusal)
        return None

    def begin_ringing(self, device: int) -> None:
        """The last third of an invitation: after the second, both are taken."""
        call = self.of(self.devices[device].profile)
        if call is None or call.caller.device != device or call.state != "invited":
            return
        call.ringing.update(self._connected(call.callee.profile))
        call.told |= call.ringing
        call.state = "ringing"
        if not call.ringing:
            self._end(call, "offline")

    def answer(self, device: int, place: Place, *, good: bool) -> str | None:
        call = self._named(device, place)
        if call is None:
            return "no_call"
        if device not in call.ringing:
            return "wrong_state"
        if not good:
            return "invalid_sdp"
        call.callee.device = device
        call.ringing.clear()
        call.state, call.status, call.since = "answered", "answered", self.now
        return None

    def decline(self, device: int, place: Place, reason: str) -> str | None:
        call = self._named(device, place)
        if call is None:
            return "no_call"
        if device not in call.ringing:
            return "wrong_state"
        self._end(call, reason if reason in ("busy", "offline") else "rejected")
        return None

    def hang_up(self, device: int, place: Place) -> str | None:
        call = self._named(device, place)
        if call is None:
            return "no_call"
        side = call.side(self.devices[device].profile)
        if device in call.ringing:
            self._end(call, "rejected")
        elif side.device not in (device, None):
            return "not_in_call"
        elif side is call.callee and not call.answered:
            return "wrong_state"
        else:
            call.told.add(device)
            call.joined.add(device)
            self._end(call, "hangup" if call.answered else "cancelled")
        return None

    def candidate(self, device: int, place: Place) -> str | None:
        return None if self._named(device, place) else "no_call"

    # -- within a call ------------------------------------------------------------------------------------------------

    def say(self, device: int, place: Place) -> str | None:
        """A text, or the state of one's media."""
        found = self._within(device, place)
        return found if isinstance(found, str) else None

    def hold(self, device: int, place: Place, *, holds: bool) -> str | None:
        found = self._within(device, place)
        if isinstance(found, str):
            return found
        _, side = found
        if side.holds is holds:
            return "wrong_state"
        side.holds = holds
        return None

    def offer(self, device: int, place: Place, sections: int, call_type: str) -> str | None:
        found = self._within(device, place)
        if isinstance(found, str):
            return found
        call, side = found
        if call.update is not None:
            # The offer that overtook it is there, or on its way: that says enough.
            return None if call.update.answerer == side.profile else "update_glare"
        other = call.other(side)
        if other.device is None or self.devices[other.device].version == 1:
            return "unsupported"
        if other.sections > side.sections:
            self._offer_own(call, "realign", side)
            return None
        if sections < side.sections:
            return "invalid_sdp"
        call.update = self._update("forward", other, sections, call_type)
        return None

    def answer_update(self, device: int, place: Place, sections: int) -> str | None:
        found = self._within(device, place)
        if isinstance(found, str):
            return found
        call, side = found
        update, other = self._awaited(call, side), call.other(side)
        if update is None:
            return "wrong_state"
        if update.sections != sections:
            return "invalid_sdp"
        late = update is not call.update
        call.expired = None
        side.sections = sections
        if late:
            if update.kind == "forward" and call.update is None:
                self._offer_own(call, "realign", other)
            return None
        call.update = None
        if update.kind == "forward":
            other.sections, call.call_type = update.sections, update.call_type
        elif update.kind == "rejoin":
            self._media_changed(call, side, up=False)
            self._offer_own(call, "refresh", other)
        elif update.kind == "realign":
            self._offer_own(call, "refresh", other)
        return None

    def _awaited(self, call: Call, side: Side) -> Update | None:
        """The offer under way to that side, or one whose time was up."""
        return next((one for one in (call.update, call.expired) if one is not None and one.answerer == side.profile), None)

    def _offer_own(self, call: Call, kind: str, answerer: Side) -> None:
        if answerer.device is not None and self.devices[answerer.device].version == 2:
            call.update = self._update(kind, answerer, call.other(answerer).sections, call.call_type)

    def reject_update(self, device: int, place: Place) -> str | None:
        found = self._within(device, place)
        if isinstance(found, str):
            return found
        call, side = found
        update = self._awaited(call, side)
        if update is None:
            return "wrong_state"
        if update is call.update:
            call.update = None
        return None

    def restart(self, device: int, place: Place) -> str | None:
        found = self._within(device, place)
        if isinstance(found, str):
            return found
        call, side = found
        if call.update is not None:
            return "update_glare"
        call.update = self._update("restart", side, call.other(side).sections, call.call_type)
        return None

    def rejoin(self, device: int, place: Place) -> str | None:
        call = self._named(device, place)
        if call is None:
            return "no_call"
        if not call.answered:
            return "wrong_state"
        side = call.side(self.devices[device].profile)
        if side.device != device and side.lost_at is None:
            return "not_in_call"
        side.device, side.lost_at = device, None
        call.told.add(device)
        call.joined.add(device)
        call.expired = None
        call.update = self._update("rejoin", side, call.other(side).sections, call.call_type)
        return None

    def _update(self, kind: str, answerer: Side, sections: int, call_type: str) -> Update:
        return Update(kind, answerer.profile, sections, call_type, self.now + UPDATE_TIMEOUT)

    def ask_transfer(self, device: int, place: Place, target: Profile) -> str | None:
        found = self._within(device, place)
        if isinstance(found, str):
            return found
        call, side = found
        if call.transfer is not None:
            return "wrong_state"
        if target in (call.caller.profile, call.callee.profile):
            return "invalid_message"
        other = call.other(side).profile
        call.transfers_asked[side.profile] += 1
        conversations = {one: who for one, who in self.members.items() if one.kind is PlaceKind.CONVERSATION}
        known = [one for one, who in conversations.items() if {side.profile, target} <= who]
        shared = [one for one, who in conversations.items() if {other, target} <= who]
        blocked = {(side.profile, target), (target, side.profile)} & self.blocks
        visible = known and not blocked and call.transfers_asked[side.profile] <= MAX_TRANSFERS
        callable_ = shared and not self._refusal(min(shared), other, target)
        if not visible or not callable_ or not self._connected(target) or self.of(target):
            return "not_allowed"
        call.transfer = Transfer(side.profile, self.now + TRANSFER_TIMEOUT)
        return None

    def answer_transfer(self, device: int, place: Place, *, accepted: bool) -> str | None:
        found = self._within(device, place)
        if isinstance(found, str):
            return found
        call, side = found
        if call.transfer is None or call.transfer.by == side.profile:
            return "wrong_state"
        if accepted:
            self._end(call, "transferred")
        call.transfer = None
        return None

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
