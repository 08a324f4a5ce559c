"""`/api/admin/conversations` and `/api/admin/whiteboard/sessions`: where calls belong, and who is in there."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from relay.errors import RelayError
from relay.http import api
from relay.http.admin.access import guarded
from relay.http.admin.items import PlaceBody, PlaceView
from relay.http.parameters import PLACE, PROFILE, place_in, profile_in
from relay.http.ports import PLATFORM
from relay.http.responses import answer, body_of
from relay.ids import Place, PlaceKind

_Handler = Callable[[web.Request, Place], Awaitable[web.Response]]


async def read(request: web.Request, place: Place) -> web.Response:
    record = await request.app[PLATFORM].place(place)
    if record is None:
        raise web.HTTPNotFound(text="there is no such place")
    return answer(PlaceView.of(record))


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


def _routes(path: str, kind: PlaceKind) -> list[api.DescribedRoute]:
    name = kind.value.replace("_", " ")

    def at_place(handler: _Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def of_path(request: web.Request) -> web.Response:
            return await handler(request, place_in(request, kind))

        return of_path

    return [
        api.get(f"{path}/{PLACE}", at_place(read), api.Operation(f"A {name}.", PlaceView)),
        api.put(
            f"{path}/{PLACE}",
            at_place(put),
            api.Operation(f"Adds a {name}, or brings it up to date: these are its members, and no others.", body=PlaceBody),
        ),
        api.delete(f"{path}/{PLACE}", at_place(delete), api.Operation(f"Deletes a {name}; its calls stay.")),
        api.put(
            f"{path}/{PLACE}/members/{PROFILE}",
            at_place(add_member),
            api.Operation(
                f"Makes a profile a member of a {name}.", errors={404: f"There is no such profile, or no such {name}."}
            ),
        ),
        api.delete(f"{path}/{PLACE}/members/{PROFILE}", at_place(remove_member), api.Operation(f"Removes a member of a {name}.")),
    ]


ROUTES: Final = guarded(
    [
        *_routes("/api/admin/conversations", PlaceKind.CONVERSATION),
        *_routes("/api/admin/whiteboard/sessions", PlaceKind.WHITEBOARD_SESSION),
    ]
)
