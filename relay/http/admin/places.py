"""`/api/admin/conversations` and `/api/admin/whiteboard/sessions`: where calls belong, and who is in there."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from relay.errors import RelayError
from relay.http.admin.access import guarded
from relay.http.admin.items import PlaceBody
from relay.http.parameters import PLACE, PROFILE, place_in, profile_in
from relay.http.ports import PLATFORM
from relay.http.responses import answer, body_of
from relay.ids import Place, PlaceKind

_ID: Final = {
    PlaceKind.CONVERSATION: "conversation_id",
    PlaceKind.WHITEBOARD_SESSION: "whiteboard_session_id",
}
"""What answers call the id."""

_Operation = Callable[[web.Request, Place], Awaitable[web.Response]]


async def read(request: web.Request, place: Place) -> web.Response:
    record = await request.app[PLATFORM].place(place)
    if record is None:
        raise web.HTTPNotFound(text="there is no such place")
    members = [member._asdict() for member in record.members]
    return answer({_ID[place.kind]: place.place_id, "members": members, "keep_chat": record.keep_chat})


async def put(request: web.Request, place: Place) -> web.Response:
    wanted = await body_of(request, PlaceBody)
    record = wanted.record(place)
    try:
        await request.app[PLATFORM].put_place(place, record.members, keep_chat=record.keep_chat)
    except ValueError as error:
        raise RelayError(str(error)) from None
    return web.Response(status=204)


async def delete(request: web.Request, place: Place) -> web.Response:
    await request.app[PLATFORM].delete_place(place)
    return web.Response(status=204)


async def add_member(request: web.Request, place: Place) -> web.Response:
    try:
        await request.app[PLATFORM].add_member(place, profile_in(request))
    except ValueError as error:
        raise web.HTTPNotFound(text=str(error)) from None
    return web.Response(status=204)


async def remove_member(request: web.Request, place: Place) -> web.Response:
    await request.app[PLATFORM].remove_member(place, profile_in(request))
    return web.Response(status=204)


def _routes(path: str, kind: PlaceKind) -> list[web.RouteDef]:
    def at_place(operation: _Operation) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def of_path(request: web.Request) -> web.Response:
            return await operation(request, place_in(request, kind))

        return of_path

    return [
        web.get(f"{path}/{PLACE}", at_place(read)),
        web.put(f"{path}/{PLACE}", at_place(put)),
        web.delete(f"{path}/{PLACE}", at_place(delete)),
        web.put(f"{path}/{PLACE}/members/{PROFILE}", at_place(add_member)),
        web.delete(f"{path}/{PLACE}/members/{PROFILE}", at_place(remove_member)),
    ]


ROUTES: Final = guarded(
    [
        *_routes("/api/admin/conversations", PlaceKind.CONVERSATION),
        *_routes("/api/admin/whiteboard/sessions", PlaceKind.WHITEBOARD_SESSION),
    ]
)
