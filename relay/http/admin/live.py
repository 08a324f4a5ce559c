"""What the platform may end: calls, the connections of a profile, and credentials that have not expired yet."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from relay.http.access.revocations import Revocations
from relay.http.access.service_token import guarded
from relay.http.api import Operation, delete, get, post, put
from relay.http.parameters import CALL, MAX_MILLISECONDS, PROFILE, Milliseconds, ProfileName, profile_in
from relay.http.ports import Enforcer
from relay.http.responses import answer, body_of
from relay.ids import Profile
from relay.records.calls import MeasuredMedia, MeasuredStream, OngoingCall, RevocationCause
from relay.signaling.calls.notices import milliseconds


class RevocationBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    issued_before: (
        Annotated[int, Meta(ge=0, le=MAX_MILLISECONDS, description="Milliseconds since 1970 UTC; null: now.")] | None
    ) = None


class RevocationView(msgspec.Struct, frozen=True):
    issued_before: Annotated[int, Meta(description="Milliseconds since 1970 UTC; null: nothing is revoked.")] | None


class OngoingCallView(msgspec.Struct, frozen=True, kw_only=True):
    """A call in progress."""

    call_id: str
    conversation_id: int | UnsetType = UNSET
    whiteboard_session_id: int | UnsetType = UNSET
    call_type: str
    state: str
    caller: ProfileName
    callee: ProfileName
    started_at: Milliseconds
    answered_at: Milliseconds | None
    node: Annotated[str, Meta(description="The name of the server that has it (`RELAY_NODE`).")]


class OngoingCallList(msgspec.Struct, frozen=True):
    """Oldest first."""

    calls: list[OngoingCallView]
    unanswered: Annotated[
        tuple[str, ...],
        Meta(description="Nodes of the cluster that did not answer within 3 s: their calls are missing here."),
    ]


class MeasuredStreamView(msgspec.Struct, frozen=True, kw_only=True):
    """One RTP stream that a party sends."""

    mid: str
    kind: str
    ssrc: int
    codec: Annotated[str, Meta(description="Lower-case encoding name; empty before a packet has arrived.")]
    repair_ssrc: Annotated[int | None, Meta(description="Of its retransmissions (RFC 4588), if it was announced.")]
    forwarded: Annotated[bool, Meta(description="It leaves by the other party's transport.")]
    bitrate: Annotated[int, Meta(description="Bit/s, in the last two seconds.")]
    loss: Annotated[float, Meta(description="Of the packets of the last two seconds, 0 to 1.")]
    jitter_ms: float
    packets: int
    lost: int
    keyframes: int
    keyframe_requests: int
    nacks: int

    @classmethod
    def of(cls, one: MeasuredStream) -> "MeasuredStreamView":
        return cls(
            mid=one.mid,
            kind=one.kind,
            ssrc=one.ssrc,
            codec=one.codec,
            repair_ssrc=one.repair_ssrc,
            forwarded=one.forwarded,
            bitrate=round(one.bitrate),
            loss=round(one.loss, 4),
            jitter_ms=round(one.jitter * 1000, 1),
            packets=one.packets,
            lost=one.lost,
            keyframes=one.keyframes,
            keyframe_requests=one.keyframe_requests,
            nacks=one.nacks,
        )


class MeasuredMediaView(msgspec.Struct, frozen=True, kw_only=True):
    """The media of one party in the last two seconds."""

    score: Annotated[float, Meta(description="1 to 4.5, as in `call_quality`.")]
    rtt_ms: float | None
    jitter_ms: float
    loss_from_peer: float
    loss_to_peer: float
    bitrate: Annotated[int, Meta(description="Bit/s from the party.")]
    route: str | None
    family: str | None
    streams: list[MeasuredStreamView]

    @classmethod
    def of(cls, one: MeasuredMedia | None) -> "MeasuredMediaView | None":
        if one is None:
            return None
        return cls(
            score=round(one.score, 2),
            rtt_ms=None if one.rtt is None else round(one.rtt * 1000, 1),
            jitter_ms=round(one.jitter * 1000, 1),
            loss_from_peer=round(one.loss_from_peer, 4),
            loss_to_peer=round(one.loss_to_peer, 4),
            bitrate=round(one.bitrate),
            route=one.route,
            family=one.family,
            streams=[MeasuredStreamView.of(stream) for stream in one.streams],
        )


class CallMediaView(msgspec.Struct, frozen=True):
    """Null before the first report on a party's transport."""

    caller: MeasuredMediaView | None
    callee: MeasuredMediaView | None


class OngoingCallMedia(msgspec.Struct, frozen=True):
    """A call in progress, and what its parties send."""

    call: OngoingCallView
    started_at: Milliseconds
    media: CallMediaView


async def list_calls(_request: web.Request, *, enforcer: Enforcer) -> web.Response:
    found = await enforcer.ongoing()
    return answer(OngoingCallList([_call(one) for one in found.calls], found.unanswered))


async def read_call(request: web.Request, *, enforcer: Enforcer) -> web.Response:
    found = await enforcer.detail(request.match_info["call_id"])
    if found is None:
        raise web.HTTPNotFound(text="no such call goes on")
    media = CallMediaView(MeasuredMediaView.of(found.caller), MeasuredMediaView.of(found.callee))
    return answer(OngoingCallMedia(_call(found.call), milliseconds(found.call.started_at), media))


async def end_call(request: web.Request, *, enforcer: Enforcer) -> web.Response:
    if not await enforcer.end_call(request.match_info["call_id"]):
        raise web.HTTPNotFound(text="no such call goes on")
    return web.Response(status=204)


async def drop_devices(request: web.Request, *, enforcer: Enforcer) -> web.Response:
    await enforcer.drop(profile_in(request))
    return web.Response(status=204)


async def read_revocation(request: web.Request, *, revocations: Revocations) -> web.Response:
    moment = revocations.issued_before(_whose(request))
    return answer(RevocationView(None if moment is None else milliseconds(moment)))


async def revoke(request: web.Request, *, revocations: Revocations) -> web.Response:
    profile, wanted = _whose(request), (await body_of(request, RevocationBody)).issued_before
    moment = datetime.now(UTC) if wanted is None else datetime.fromtimestamp(wanted / 1000, UTC)
    await revocations.revoke(profile, moment, RevocationCause.REVOKED)
    return web.Response(status=204)


async def lift(request: web.Request, *, revocations: Revocations) -> web.Response:
    await revocations.lift(_whose(request))
    return web.Response(status=204)


def _call(one: OngoingCall) -> OngoingCallView:
    scope: dict[str, Any] = {one.scope.kind.id_field: one.scope.scope_id}
    return OngoingCallView(
        call_id=one.call_id,
        **scope,
        call_type=one.call_type,
        state=one.state,
        caller=ProfileName.of(one.caller),
        callee=ProfileName.of(one.callee),
        started_at=milliseconds(one.started_at),
        answered_at=None if one.answered_at is None else milliseconds(one.answered_at),
        node=one.node,
    )


def _whose(request: web.Request) -> Profile | None:
    """The profile of the path; None: it names none, and all profiles are meant."""
    return profile_in(request) if "profile_id" in request.match_info else None


ABSENT: Final = {
    404: "No such call is in progress.",
    503: "`unavailable`: the node of the cluster that has the call, or may have it, does not answer; try again in a few seconds.",
}

_REVOCATION: Final = f"/api/admin/profiles/{PROFILE}/revocation"

_READ: Final = Operation("Since when tokens of the profile, or of all profiles, are valid.", RevocationView)
_REVOKE: Final = Operation(
    "Revokes tokens of the profile, or of all profiles, that were issued before a time. Connections that were made with one are "
    "closed (4401), and the calls of those devices end.",
    body=RevocationBody,
)
_LIFT: Final = Operation("Lifts a revocation: tokens that have not expired are valid again.")

ROUTES: Final = guarded(
    [
        get(
            "/api/admin/calls",
            list_calls,
            Operation("The calls in progress, of all nodes of the cluster, oldest first.", OngoingCallList),
        ),
        get(
            f"/api/admin/calls/{CALL}",
            read_call,
            Operation(
                "A call in progress, with what its parties send: streams, codecs, rates, loss.",
                OngoingCallMedia,
                errors=ABSENT,
            ),
        ),
        post(
            f"/api/admin/calls/{CALL}/end",
            end_call,
            Operation("Ends a call (`terminated`).", errors=ABSENT),
        ),
        delete(
            f"/api/admin/profiles/{PROFILE}/devices",
            drop_devices,
            Operation("Disconnects the devices of a profile (4403); a call that one of them is in ends. They may connect again."),
        ),
        get(_REVOCATION, read_revocation, _READ),
        put(_REVOCATION, revoke, _REVOKE),
        delete(_REVOCATION, lift, _LIFT),
        get("/api/admin/revocation", read_revocation, _READ),
        put("/api/admin/revocation", revoke, _REVOKE),
        delete("/api/admin/revocation", lift, _LIFT),
    ]
)
