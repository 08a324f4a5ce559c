"""Ends what is allowed no longer: those who were deleted, blocked, removed or logged out leave their calls at once.

Everything here concerns the calls and devices of this server; `orders` passes on to other nodes what concerns theirs.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from relay.ids import Profile, Scope
from relay.records.calls import OngoingCall, OngoingCallDetail
from relay.signaling.calls import measured, policy
from relay.signaling.calls.arrivals import Arrivals
from relay.signaling.calls.call import Call, EndReason
from relay.signaling.calls.context import CallContext
from relay.signaling.calls.home import Home
from relay.signaling.calls.live import CallMoved
from relay.signaling.calls.termination import Termination
from relay.signaling.presence.device import Device

logger = logging.getLogger(__name__)

CREDENTIAL_OVER: Final = 4401
"""Close code: the credential has expired, or was revoked. Get a new one."""

DROPPED: Final = 4403
"""Close code: the platform has sent this device away. It may come again, as another device."""

DROPPED_TEXT: Final = "disconnected by the platform"
DELETED_TEXT: Final = "the profile was deleted"

LAST_WORDS: Final = 2.0
"""Seconds that the last entries of who is deleted may take to be written."""


class Enforcement:
    """What changes mean for the calls and devices of this server."""

    def __init__(self, context: CallContext, termination: Termination, arrivals: Arrivals, home: Home) -> None:
        self._context = context
        self._termination = termination
        self._arrivals = arrivals
        self._home = home

    def ongoing(self) -> Sequence[OngoingCall]:
        """The calls that have not ended."""
        return tuple(measured.ongoing(one, self._context.me.name) for one in self._context.live)

    def detail(self, call_id: str) -> OngoingCallDetail | None:
        """A call that has not ended, with its media; None: it does not go on here."""
        live = self._context.live.with_id(call_id)
        return None if live is None else measured.detail(live, self._context.me.name)

    async def end_call(self, call_id: str) -> bool:
        """End a call; whether it was going on here."""
        found = [one for one in self._context.live if one.call.call_id == call_id]
        for live in found:
            await self._termination.end_locked(live, EndReason.TERMINATED)
        return bool(found)

    async def remove(self, profile: Profile) -> None:
        """A profile is deleted: it leaves its call, and its devices are sent away."""
        devices = self._context.devices.known(profile)
        for device in devices:
            device.dropped = True  # from here on, it begins nothing
        live = self._context.live.of(profile)
        if live is not None:
            with suppress(CallMoved):  # that node hears next that the devices are gone for good
                async with live.lock:
                    # Not `cancelled`: the callee would get a missed call, with a name that may have to be forgotten.
                    await self._termination.end(live, EndReason.TERMINATED if live.call.answered else EndReason.REJECTED)
        for device in devices:
            self._context.devices.drop(device, CREDENTIAL_OVER, DELETED_TEXT)
            await self._home.gone(device, dropped=True)
        # What it has said and done is in the database, and can be erased there, before this is over.
        await self._context.log.settled(LAST_WORDS)

    async def drop(self, profile: Profile) -> None:
        """Send the devices of a profile away, and end the call that they are in."""
        await self._drop(self._context.devices.known(profile), DROPPED, DROPPED_TEXT)

    async def revoke(self, profile: Profile | None, issued_before: float) -> None:
        """The same for devices whose credential was issued before a time (seconds since 1970).

        Args:
            profile: None: those of everybody.
        """
        known = self._context.devices.all() if profile is None else self._context.devices.known(profile)
        devices = [one for one in known if one.issued_at is None or one.issued_at < issued_before]
        await self._drop(devices, CREDENTIAL_OVER, "the credential was revoked")

    async def block(self, blocker: Profile, blocked: Profile) -> None:
        """One profile has blocked another: a call between the two ends."""
        live = self._context.live.of(blocker)
        if live is None or live is not self._context.live.of(blocked):
            return
        with suppress(CallMoved):  # its new owner reviews it
            async with live.lock:
                # The blocked one sees what it would see if the other one had hung up, cancelled or declined.
                unanswered = EndReason.CANCELLED if live.call.caller.profile == blocker else EndReason.REJECTED
                await self._termination.end(live, EndReason.HANGUP if live.call.answered else unanswered)

    async def review(self, *scopes: Scope) -> None:
        """Membership has changed at these scopes; without any: it may have anywhere.

        Calls end whose parties do not belong there any more, or of whom one has blocked the other.
        """
        await self._review(lambda call: not scopes or call.scope in scopes)

    async def _review(self, concerns: Callable[[Call], bool]) -> None:
        for live in [one for one in self._context.live if concerns(one.call)]:
            call = live.call
            eligibility = await self._context.ports.directory.eligibility(call.scope, call.caller.profile, call.callee.profile)
            with suppress(CallMoved):  # its new owner reviews it
                async with live.lock:
                    reason = policy.ends(eligibility, answered=call.answered)
                    if reason is not None:
                        await self._termination.end(live, reason)

    async def _drop(self, devices: Sequence[Device], code: int, reason: str) -> None:
        for device in devices:
            device.dropped = True
        for device in devices:
            await self._arrivals.sent_away(device)
            self._context.devices.drop(device, code, reason)
            await self._home.gone(device, dropped=True)
        if devices:
            logger.info("%d devices were disconnected: %s", len(devices), reason)
