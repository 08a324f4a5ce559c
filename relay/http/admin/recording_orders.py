"""Which calls are recorded, as the platform wants it: one call without asking, and scopes in which recording is restricted."""

from functools import partial
from typing import Annotated, Any, Final, Literal, Protocol

import msgspec
from aiohttp import web
from msgspec import Meta

from relay.errors import RelayError, SignalingError
from relay.http import api
from relay.http.access.service_token import guarded
from relay.http.admin.live import ABSENT
from relay.http.parameters import CALL, SCOPE, scope_in
from relay.http.responses import answer, body_of, problem
from relay.ids import Scope, ScopeKind
from relay.records.recordings import RecordingPolicy

PolicyName = Literal["off", "consent", "always"]


class RecordingOrders(Protocol):
    """The recordings of calls in progress, at whichever server of the cluster."""

    @property
    def server_policy(self) -> RecordingPolicy:
        """Of this server."""
        ...

    async def order(self, call_id: str) -> str | None:
        """Record a call without asking.

        Returns:
            The id of the recording; empty: it begins with the answer. None: no such call is in progress.

        Raises:
            SignalingError: it may or can not be recorded.
            Unavailable: the server that has it, or may have it, does not answer.
        """
        ...

    async def stop(self, call_id: str) -> bool:
        """End the recording of a call; whether there was one.

        Raises:
            Unavailable: as above.
        """
        ...

    async def set_policy(self, scope: Scope, policy: RecordingPolicy | None) -> None:
        """The policy of a scope has changed: recordings there end that it does not allow any more."""
        ...


class RecordingPolicies(Protocol):
    """The policies that scopes have of their own."""

    async def policy(self, scope: Scope) -> RecordingPolicy | None: ...

    async def set_policy(self, scope: Scope, policy: RecordingPolicy | None) -> None: ...


class RecordingOrdered(msgspec.Struct, frozen=True):
    """A call is recorded, or will be."""

    recording_id: Annotated[str, Meta(description="Null: it begins when the call is answered.")] | None
    state: Literal["recording", "ordered"]


class PolicyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    policy: Annotated[PolicyName, Meta(description="At most what the server itself permits: `off` < `consent` < `always`.")]


class PolicyView(msgspec.Struct, frozen=True):
    policy: Annotated[PolicyName, Meta(description="Null: it has none of its own.")] | None
    effective: Annotated[PolicyName, Meta(description="What counts: this, or the server's where that is stricter.")]


async def order(request: web.Request, *, orders: RecordingOrders) -> web.Response:
    try:
        recording_id = await orders.order(request.match_info["call_id"])
    except SignalingError as error:
        return problem(503 if error.code == "unavailable" else 409, error.code, str(error))
    if recording_id is None:
        raise web.HTTPNotFound(text="no such call goes on")
    return answer(RecordingOrdered(recording_id or None, "recording" if recording_id else "ordered"), 202)


async def stop(request: web.Request, *, orders: RecordingOrders) -> web.Response:
    if not await orders.stop(request.match_info["call_id"]):
        raise web.HTTPNotFound(text="no such call is recorded")
    return web.Response(status=204)


async def read_policy(
    request: web.Request, *, kind: ScopeKind, orders: RecordingOrders, policies: RecordingPolicies
) -> web.Response:
    own, server = await policies.policy(scope_in(request, kind)), orders.server_policy
    return answer(PolicyView(None if own is None else own.value, server.stricter(own).value))


async def put_policy(
    request: web.Request, *, kind: ScopeKind, orders: RecordingOrders, policies: RecordingPolicies
) -> web.Response:
    scope, wanted = scope_in(request, kind), RecordingPolicy((await body_of(request, PolicyBody)).policy)
    server = orders.server_policy
    if server.stricter(wanted) is not wanted:
        raise RelayError(
            f"this server permits `{server}` at most (RELAY_RECORDING): a {_named(kind)} may be stricter, not looser"
        )
    await policies.set_policy(scope, wanted)
    await orders.set_policy(scope, wanted)
    return web.Response(status=204)


async def delete_policy(
    request: web.Request, *, kind: ScopeKind, orders: RecordingOrders, policies: RecordingPolicies
) -> web.Response:
    scope = scope_in(request, kind)
    await policies.set_policy(scope, None)
    await orders.set_policy(scope, None)
    return web.Response(status=204)


def _named(kind: ScopeKind) -> str:
    return kind.value.replace("_", " ")


def _routes(path: str, kind: ScopeKind) -> list[api.DescribedRoute]:
    where, name = f"{path}/{SCOPE}/recording", _named(kind)
    return [
        api.get(where, partial(read_policy, kind=kind), api.Operation(f"Which calls of a {name} may be recorded.", PolicyView)),
        api.put(
            where,
            partial(put_policy, kind=kind),
            api.Operation(
                f"Restricts the recording of calls of a {name}. Recordings in progress that are not permitted any more end.",
                body=PolicyBody,
            ),
        ),
        api.delete(where, partial(delete_policy, kind=kind), api.Operation(f"Lets the server's policy count in a {name} again.")),
    ]


_CALL: Final = f"/api/admin/calls/{CALL}/recording"

_ERRORS: Final[dict[int, Any]] = {
    **ABSENT,
    409: "`not_allowed`: the server or the scope does not permit it; `not_supported`: a client cannot show that the call is "
    "recorded; `wrong_state`: it is recorded already.",
}

ROUTES: Final = guarded(
    [
        api.post(
            _CALL,
            order,
            api.Operation(
                "Records a call without asking its parties, which are shown that it is recorded.",
                RecordingOrdered,
                status=202,
                errors=_ERRORS,
            ),
        ),
        api.delete(
            _CALL, stop, api.Operation("Ends the recording of a call.", errors={**ABSENT, 404: "No such call is recorded."})
        ),
        *_routes("/api/admin/conversations", ScopeKind.CONVERSATION),
        *_routes("/api/admin/whiteboard/sessions", ScopeKind.WHITEBOARD_SESSION),
    ]
)
