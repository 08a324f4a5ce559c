"""Lists of all that the platform has told the relay, page by page: what is there and should not be, the platform deletes."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from relay.errors import RelayError
from relay.http.admin.access import guarded
from relay.http.parameters import cursor_in, limit_in
from relay.http.ports import PLATFORM
from relay.http.responses import answer
from relay.ids import PlaceKind
from relay.signaling.records import Page, PlaceRecord

MAX_LIMIT: Final = 1000
"""Entries of one page."""


async def profiles(request: web.Request) -> web.Response:
    page = await _page(request, request.app[PLATFORM].list_profiles)
    found = [
        {**card.profile._asdict(), "name": card.name, "avatar": card.avatar, "user_id": card.user_id} for card in page.entries
    ]
    return answer({"profiles": found, "next_cursor": page.next_cursor})


async def connections(request: web.Request) -> web.Response:
    page = await _page(request, request.app[PLATFORM].list_connections)
    found = [{"profiles": [profile._asdict() for profile in pair]} for pair in page.entries]
    return answer({"connections": found, "next_cursor": page.next_cursor})


async def conversations(request: web.Request) -> web.Response:
    page = await _places(request, PlaceKind.CONVERSATION)
    found = [{"conversation_id": one.place.place_id, **_place(one)} for one in page.entries]
    return answer({"conversations": found, "next_cursor": page.next_cursor})


async def whiteboard_sessions(request: web.Request) -> web.Response:
    page = await _places(request, PlaceKind.WHITEBOARD_SESSION)
    found = [{"whiteboard_session_id": one.place.place_id, **_place(one)} for one in page.entries]
    return answer({"whiteboard_sessions": found, "next_cursor": page.next_cursor})


async def _places(request: web.Request, kind: PlaceKind) -> Page[PlaceRecord]:
    return await _page(request, lambda limit, cursor: request.app[PLATFORM].list_places(kind, limit, cursor))


def _place(record: PlaceRecord) -> dict[str, Any]:
    return {"members": [member._asdict() for member in record.members], "keep_chat": record.keep_chat}


async def _page(request: web.Request, read: Callable[[int, str | None], Awaitable[Page[Any]]]) -> Page[Any]:
    limit, cursor = limit_in(request, MAX_LIMIT), cursor_in(request)
    try:
        return await read(limit, cursor)
    except ValueError as error:
        raise RelayError(f"cursor: {error}") from None


ROUTES: Final = guarded(
    [
        web.get("/api/admin/profiles", profiles),
        web.get("/api/admin/connections", connections),
        web.get("/api/admin/conversations", conversations),
        web.get("/api/admin/whiteboard/sessions", whiteboard_sessions),
    ]
)
