"""What the platform may end: calls, the connections of a profile, and credentials that have not expired yet."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from relay.http.admin.access import guarded
from relay.http.parameters import PROFILE, profile_in
from relay.http.ports import ENFORCER
from relay.http.responses import answer, body_of
from relay.http.revocations import REVOCATIONS
from relay.ids import PlaceKind, Profile
from relay.signaling.calls.notices import milliseconds
from relay.signaling.records import OngoingCall, RevocationCause

MAX_MILLISECONDS: Final = 253_402_300_799_000
"""The last moment that a `datetime` has."""


class _Revocation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    issued_before: Annotated[int, Meta(ge=0, le=MAX_MILLISECONDS)] | None = None
    """Milliseconds since 1970; None: now."""


async def list_calls(request: web.Request) -> web.Response:
    return answer({"calls": [_call(one) for one in request.app[ENFORCER].ongoing()]})


async def end_call(request: web.Request) -> web.Response:
    if not await request.app[ENFORCER].end_call(request.match_info["call_id"]):
        raise web.HTTPNotFound(text="no such call goes on")
    return web.Response(status=204)


async def drop_devices(request: web.Request) -> web.Response:
    await request.app[ENFORCER].drop(profile_in(request))
    return web.Response(status=204)


async def read_revocation(request: web.Request, profile: Profile | None) -> web.Response:
    moment = request.app[REVOCATIONS].issued_before(profile)
    return answer({"issued_before": None if moment is None else milliseconds(moment)})


async def revoke(request: web.Request, profile: Profile | None) -> web.Response:
    wanted = (await body_of(request, _Revocation)).issued_before
    moment = datetime.now(UTC) if wanted is None else datetime.fromtimestamp(wanted / 1000, UTC)
    await request.app[REVOCATIONS].revoke(profile, moment, RevocationCause.REVOKED)
    return web.Response(status=204)


async def lift(request: web.Request, profile: Profile | None) -> web.Response:
    await request.app[REVOCATIONS].lift(profile)
    return web.Response(status=204)


def _call(one: OngoingCall) -> dict[str, Any]:
    key = "conversation_id" if one.place.kind is PlaceKind.CONVERSATION else "whiteboard_session_id"
    return {
        "call_id": one.call_id,
        key: one.place.place_id,
        "call_type": one.call_type,
        "state": one.state,
        "caller": one.caller._asdict(),
        "callee": one.callee._asdict(),
        "answered_at": None if one.answered_at is None else milliseconds(one.answered_at),
    }


_Operation = Callable[[web.Request, Profile | None], Awaitable[web.Response]]


def _of_profile(operation: _Operation) -> Callable[[web.Request], Awaitable[web.Response]]:
    return lambda request: operation(request, profile_in(request))


def _of_everybody(operation: _Operation) -> Callable[[web.Request], Awaitable[web.Response]]:
    return lambda request: operation(request, None)


_REVOCATION: Final = f"/api/admin/profiles/{PROFILE}/revocation"

ROUTES: Final = guarded(
    [
        web.get("/api/admin/calls", list_calls),
        web.post(r"/api/admin/calls/{call_id:\w{1,32}}/end", end_call),
        web.delete(f"/api/admin/profiles/{PROFILE}/devices", drop_devices),
        web.get(_REVOCATION, _of_profile(read_revocation)),
        web.put(_REVOCATION, _of_profile(revoke)),
        web.delete(_REVOCATION, _of_profile(lift)),
        web.get("/api/admin/revocation", _of_everybody(read_revocation)),
        web.put("/api/admin/revocation", _of_everybody(revoke)),
        web.delete("/api/admin/revocation", _of_everybody(lift)),
    ]
)
