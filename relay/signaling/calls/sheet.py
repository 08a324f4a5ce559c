"""What is kept of a call outside of its node, so that another one can go on with it if that dies.

It has the credentials of both peers' transports: whatever keeps it must keep it to itself.
"""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from relay.cluster.api import Cluster
from relay.errors import RelayError
from relay.ids import Profile, Scope
from relay.media.api import DtlsRole
from relay.settings.calls import CallSettings
from relay.signaling.calls.call import Call, Party, State
from relay.signaling.calls.live import LiveCall
from relay.signaling.messages.common import MediaState

VERSION: Final = 1
"""Of a sheet. A node of another version does not go on with the call."""


class PartySheet(msgspec.Struct, frozen=True, array_like=True):
    """A party of a call."""

    profile: Profile
    name: str
    avatar: str
    device_id: str | None
    media: MediaState
    holds: bool
    can_update: bool | None
    can_show_recording: bool
    description: str | None
    """Its latest one that took effect, as text; None before the answer."""
    role: DtlsRole
    """The relay's, towards it."""


class CallSheet(msgspec.Struct, frozen=True, array_like=True):
    """A call."""

    version: int
    call_id: str
    scope: Scope
    call_type: str
    caller: PartySheet
    callee: PartySheet
    started_at: datetime
    invited_at: datetime
    answered_at: datetime | None
    offer: str
    """The caller's, as text: the latest one before the answer."""
    transferred_from: str | None
    keeps_chat: bool
    ahead: float | None = None
    """As of the timeline that its dates are of (`relay.clock.Timeline`)."""


class UnusableSheet(RelayError):
    """Bytes that are no sheet of this version."""


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(CallSheet)


def keep(cluster: Cluster, live: LiveCall) -> None:
    """Keep the sheet of a call of this node, if it has changed and another node could go on with it."""
    now = mark(live)
    if live.claim is not None and now != live.kept and cluster.nodes():
        live.kept = now
        cluster.keep(live.call.call_id, encode(live))


def first(cluster: Cluster, live: LiveCall) -> bytes:
    """The sheet of a call that this node is about to claim, to be kept with the claim; empty if no other node could go on."""
    if not cluster.nodes():
        return b""
    live.kept = mark(live)
    return encode(live)


def mark(live: LiveCall) -> tuple[object, ...]:
    """Differs from an earlier one if the sheet would. Cheap: it is asked for every call, every second."""
    call = live.call
    parties = [(one.device_id, one.media, one.holds, one.can_update, one.can_show_recording) for one in call.parties]
    sessions = [live.media(one).session for one in call.parties]
    described = [None if one is None else (one.role, one.remote) for one in sessions]
    return call.call_type, call.invited_at, live.answered_at, live.offer, *parties, *described


def encode(live: LiveCall) -> bytes:
    """The sheet of a call."""
    call = live.call
    return _encoder.encode(
        CallSheet(
            version=VERSION,
            call_id=call.call_id,
            scope=call.scope,
            call_type=call.call_type,
            caller=_party(live, call.caller),
            callee=_party(live, call.callee),
            started_at=live.started_at,
            invited_at=live.timeline.at(call.invited_at),
            answered_at=live.answered_at,
            offer=live.offer.text,
            transferred_from=call.transferred_from,
            keeps_chat=call.keeps_chat,
            ahead=live.timeline.ahead,
        )
    )


def _party(live: LiveCall, party: Party) -> PartySheet:
    session = live.media(party).session
    remote = None if session is None else session.remote
    return PartySheet(
        profile=party.profile,
        name=party.name,
        avatar=party.avatar,
        device_id=party.device_id,
        media=party.media,
        holds=party.holds,
        can_update=party.can_update,
        can_show_recording=party.can_show_recording,
        description=None if remote is None else remote.text,
        role=DtlsRole.ACTPASS if session is None else session.role,
    )


def decode(data: bytes) -> CallSheet:
    """
    Raises:
        UnusableSheet: it is of another version, or of another program.
    """
    try:
        sheet = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise UnusableSheet(str(error)) from None
    if sheet.version != VERSION:
        raise UnusableSheet(f"version {sheet.version}")
    return sheet


def call_of(sheet: CallSheet, timers: CallSettings, now: float, date: datetime, *, flows: bool = False) -> Call:
    """The call as its node left it, for another one to go on with: without media, if it was answered.

    Args:
        now: seconds, monotonic; `date` is the same moment.
        flows: the media that it had still flows.
    """

    def when(at: datetime) -> float:
        return now - max(0.0, (date - at) / timedelta(seconds=1))

    caller, callee = (
        Party(
            *(one.profile, one.name, one.avatar, one.device_id),
            media=one.media,
            holds=one.holds,
            can_update=one.can_update,
            can_show_recording=one.can_show_recording,
        )
        for one in (sheet.caller, sheet.callee)
    )
    call = Call(
        call_id=sheet.call_id,
        scope=sheet.scope,
        call_type=sheet.call_type,
        caller=caller,
        callee=callee,
        timers=timers,
        invited_at=when(sheet.invited_at),
        transferred_from=sheet.transferred_from,
        keeps_chat=sheet.keeps_chat,
    )
    if sheet.answered_at is not None:
        call.state, call.moving = (State.CONNECTED, True) if flows else (State.RECONNECTING, False)
        call.since, call.answered_since = now, when(sheet.answered_at)
        for party in call.parties:
            party.media_lost_at = None if flows else now
    return call
