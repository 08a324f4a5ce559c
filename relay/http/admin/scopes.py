"""`/api/admin/conversations` and `/api/admin/whiteboard/sessions`: where calls belong, and who is in there."""

from functools import partial
from typing import Final

from aiohttp import web

from relay.errors import RelayError
from relay.http import api
from relay.http.access.service_token import guarded
from relay.http.admin.items import ScopeBody, ScopeView
from relay.http.parameters import PROFILE, SCOPE, profile_in, scope_in
from relay.http.ports import Platform
from relay.http.responses import answer, body_of
from relay.ids import ScopeKind


async def read(request: web.Request, *, kind: ScopeKind, platform: Platform) -> web.Response:
    record = await platform.scope(scope_in(request, kind))
    if record is None:
        raise web.HTTPNotFound(text="there is no such scope")
    return answer(ScopeView.of(record))


async def put(request: web.Request, *, kind: ScopeKind, platform: Platform) -> web.Response:
    scope, wanted = scope_in(request, kind), await body_of(request, ScopeBody)
    record = wanted.record(scope)
    try:
        await platform.put_scope(scope, record.members, keep_chat=record.keep_chat)
    except ValueError as error:
        raise RelayError(str(error)) from None
    return web.Response(status=204)


async def delete(request: web.Request, *, kind: ScopeKind, platform: Platform) -> web.Response:
    await platform.delete_scope(scope_in(request, kind))
    return web.Response(status=204)


async def add_member(request: web.Request, *, kind: ScopeKind, platform: Platform) -> web.Response:
    try:
        await platform.add_member(scope_in(request, kind), profile_in(request))
    except ValueError as error:
        raise web.HTTPNotFound(text=str(error)) from None
    return web.Response(status=204)


async def remove_member(request: web.Request, *, kind: ScopeKind, platform: Platform) -> web.Response:
    await platform.remove_member(scope_in(request, kind), profile_in(request))
    return web.Response(status=204)


def _routes(path: str, kind: ScopeKind) -> list[api.DescribedRoute]:
    name = kind.value.replace("_", " ")

    return [
        api.get(f"{path}/{SCOPE}", partial(read, kind=kind), api.Operation(f"A {name}.", ScopeView)),
        api.put(
            f"{path}/{SCOPE}",
            partial(put, kind=kind),
            api.Operation(f"Adds a {name}, or brings it up to date: these are its members, and no others.", body=ScopeBody),
        ),
        api.delete(f"{path}/{SCOPE}", partial(delete, kind=kind), api.Operation(f"Deletes a {name}; its calls stay.")),
        api.put(
            f"{path}/{SCOPE}/members/{PROFILE}",
            partial(add_member, kind=kind),
            api.Operation(
                f"Makes a profile a member of a {name}.", errors={404: f"There is no such profile, or no such {name}."}
            ),
        ),
        api.delete(
            f"{path}/{SCOPE}/members/{PROFILE}",
            partial(remove_member, kind=kind),
            api.Operation(f"Removes a member of a {name}."),
        ),
    ]


ROUTES: Final = guarded(
    [
        *_routes("/api/admin/conversations", ScopeKind.CONVERSATION),
        *_routes("/api/admin/whiteboard/sessions", ScopeKind.WHITEBOARD_SESSION),
    ]
)
