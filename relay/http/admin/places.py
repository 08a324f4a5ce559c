"""`/api/admin/conversations` and `/api/admin/whiteboard/sessions`: where calls belong, and who is in there."""

from functools import partial
from typing import Final

from aiohttp import web

from relay.errors import RelayError
from relay.http import api
from relay.http.admin.access import guarded
from relay.http.admin.items import PlaceBody, PlaceView
from relay.http.parameters import PLACE, PROFILE, place_in, profile_in
from relay.http.ports import Platform
from relay.http.responses import answer, body_of
from relay.ids import PlaceKind


async def read(request: web.Request, *, kind: PlaceKind, platform: Platform) -> web.Response:
    record = await platform.place(place_in(request, kind))
    if record is None:
        raise web.HTTPNotFound(text="there is no such place")
    return answer(PlaceView.of(record))


async def put(request: web.Request, *, kind: PlaceKind, platform: Platform) -> web.Response:
    place, wanted = place_in(request, kind), await body_of(request, PlaceBody)
    record = wanted.record(place)
    try:
        await platform.put_place(place, record.members, keep_chat=record.keep_chat)
    except ValueError as error:
        raise RelayError(str(error)) from None
    return web.Response(status=204)


async def delete(request: web.Request, *, kind: PlaceKind, platform: Platform) -> web.Response:
    await platform.delete_place(place_in(request, kind))
    return web.Response(status=204)


async def add_member(request: web.Request, *, kind: PlaceKind, platform: Platform) -> web.Response:
    try:
        await platform.add_member(place_in(request, kind), profile_in(request))
    except ValueError as error:
        raise web.HTTPNotFound(text=str(error)) from None
    return web.Response(status=204)


async def remove_member(request: web.Request, *, kind: PlaceKind, platform: Platform) -> web.Response:
    await platform.remove_member(place_in(request, kind), profile_in(request))
    return web.Response(status=204)


def _routes(path: str, kind: PlaceKind) -> list[api.DescribedRoute]:
    name = kind.value.replace("_", " ")

    return [
        api.get(f"{path}/{PLACE}", partial(read, kind=kind), api.Operation(f"A {name}.", PlaceView)),
        api.put(
            f"{path}/{PLACE}",
            partial(put, kind=kind),
            api.Operation(f"Adds a {name}, or brings it up to date: these are its members, and no others.", body=PlaceBody),
        ),
        api.delete(f"{path}/{PLACE}", partial(delete, kind=kind), api.Operation(f"Deletes a {name}; its calls stay.")),
        api.put(
            f"{path}/{PLACE}/members/{PROFILE}",
            partial(add_member, kind=kind),
            api.Operation(
                f"Makes a profile a member of a {name}.", errors={404: f"There is no such profile, or no such {name}."}
            ),
        ),
        api.delete(
            f"{path}/{PLACE}/members/{PROFILE}",
            partial(remove_member, kind=kind),
            api.Operation(f"Removes a member of a {name}."),
        ),
    ]


ROUTES: Final = guarded(
    [
        *_routes("/api/admin/conversations", PlaceKind.CONVERSATION),
        *_routes("/api/admin/whiteboard/sessions", PlaceKind.WHITEBOARD_SESSION),
    ]
)
