"""A simple model of the calls of a server: what must come of all that clients, media and time do.

One thing happens after another, at once, and nothing fails. Devices are numbers, calls are in the order in which they began.
Every message gives the code of the error that answers it, or None.
"""

from dataclasses import dataclass

from relay.ids import Profile, Scope, ScopeKind
from relay.signaling.calls.call import TRANSFER_TIMEOUT, UPDATE_TIMEOUT
from relay.signaling.calls.live import MAX_TRANSFERS
from tests.signaling.world import Call, Side, Transfer, Update, World


@dataclass(slots=True)
class Model(World):
    """What clients say."""

    # -- version 1 ----------------------------------------------------------------------------------------------------

    def _again(self, device: int, callee: Profile, scope: Scope) -> Call | None:
        """The unanswered call that the invitation repeats."""
        caller = self.devices[device].profile
        older = self.of(caller)
        if older is None or older.answered or self._refusal(scope, caller, callee) is not None:
            return None
        return older if (older.caller.profile, older.callee.profile, older.scope) == (caller, callee, scope) else None

    def replace_older(self, device: int, callee: Profile, scope: Scope) -> None:
        """The first third of an invitation: after it, the caller is free, or the call is the same one again."""
        caller = self.devices[device].profile
        older = self.of(caller)
        if self._again(device, callee, scope) is not None:
            return
        if callee != caller and older is not None and older.caller.profile == caller:
            if not older.answered:
                self._end(older, "cancelled")
            elif older.caller.device in (device, None):
                self._end(older, "hangup")

    def invite(self, device: int, callee: Profile, scope: Scope) -> str | None:
        caller = self.devices[device].profile
        if callee == caller:
            return "invalid_message"
        again = self._again(device, callee, scope)
        if again is not None:
            again.caller.device, again.caller.lost_at = device, None
            again.told.add(device)
            again.joined.add(device)
            return None
        refusal = self._refusal(scope, caller, callee)
        theirs = self.of(callee)
        if refusal is None and theirs is not None and theirs.callee.profile == caller and theirs.scope == scope:
            crossed = theirs.state == "ringing" and self.devices[device].version == 2
            if crossed:
                return None
        if refusal is None and (self.of(caller) or self.of(callee)):
            refusal = "busy"
        call = Call(scope, "voice", Side(caller, device), Side(callee), self.now, self.now, told={device})
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

    def answer(self, device: int, scope: Scope, *, good: bool) -> str | None:
        call = self._named(device, scope)
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

    def decline(self, device: int, scope: Scope, reason: str) -> str | None:
        call = self._named(device, scope)
        if call is None:
            return "no_call"
        if device not in call.ringing:
            return "wrong_state"
        self._end(call, reason if reason in ("busy", "offline") else "rejected")
        return None

    def hang_up(self, device: int, scope: Scope) -> str | None:
        call = self._named(device, scope)
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

    def candidate(self, device: int, scope: Scope) -> str | None:
        return None if self._named(device, scope) else "no_call"

    # -- within a call ------------------------------------------------------------------------------------------------

    def say(self, device: int, scope: Scope) -> str | None:
        """A text, or the state of one's media."""
        found = self._within(device, scope)
        return found if isinstance(found, str) else None

    def hold(self, device: int, scope: Scope, *, holds: bool) -> str | None:
        found = self._within(device, scope)
        if isinstance(found, str):
            return found
        _, side = found
        if side.holds is holds:
            return "wrong_state"
        side.holds = holds
        return None

    def offer(self, device: int, scope: Scope, sections: int, call_type: str) -> str | None:
        found = self._within(device, scope)
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

    def answer_update(self, device: int, scope: Scope, sections: int) -> str | None:
        found = self._within(device, scope)
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

    def reject_update(self, device: int, scope: Scope) -> str | None:
        found = self._within(device, scope)
        if isinstance(found, str):
            return found
        call, side = found
        update = self._awaited(call, side)
        if update is None:
            return "wrong_state"
        if update is call.update:
            call.update = None
        return None

    def restart(self, device: int, scope: Scope) -> str | None:
        found = self._within(device, scope)
        if isinstance(found, str):
            return found
        call, side = found
        if call.update is not None:
            return "update_glare"
        call.update = self._update("restart", side, call.other(side).sections, call.call_type)
        return None

    def rejoin(self, device: int, scope: Scope) -> str | None:
        found = self._side_of(device, scope)
        if isinstance(found, str):
            return found
        call, side = found
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

    def ask_transfer(self, device: int, scope: Scope, target: Profile) -> str | None:
        found = self._within(device, scope)
        if isinstance(found, str):
            return found
        call, side = found
        if call.transfer is not None:
            return "wrong_state"
        if target in (call.caller.profile, call.callee.profile):
            return "invalid_message"
        other = call.other(side).profile
        call.transfers_asked[side.profile] += 1
        conversations = {one: who for one, who in self.members.items() if one.kind is ScopeKind.CONVERSATION}
        known = [one for one, who in conversations.items() if {side.profile, target} <= who]
        shared = [one for one, who in conversations.items() if {other, target} <= who]
        blocked = {(side.profile, target), (target, side.profile)} & self.blocks
        visible = known and not blocked and call.transfers_asked[side.profile] <= MAX_TRANSFERS
        callable_ = shared and not self._refusal(min(shared), other, target)
        if not visible or not callable_ or not self._connected(target) or self.of(target):
            return "not_allowed"
        call.transfer = Transfer(side.profile, self.now + TRANSFER_TIMEOUT)
        return None

    def answer_transfer(self, device: int, scope: Scope, *, accepted: bool) -> str | None:
        found = self._within(device, scope)
        if isinstance(found, str):
            return found
        call, side = found
        if call.transfer is None or call.transfer.by == side.profile:
            return "wrong_state"
        if accepted:
            self._end(call, "transferred")
        call.transfer = None
        return None
