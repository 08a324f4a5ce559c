"""Lists of all that the platform has told the relay, page by page: what is there and should not be, the platform deletes."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from relay.errors import RelayError
from relay.http.access.service_token import guarded
from relay.http.admin.items import ProfileDetails, ScopeView
from relay.http.api import Operation, get
from relay.http.parameters import CURSOR, Cursor, ProfileName, cursor_in, limit_in, limit_parameter
from relay.http.ports import Platform
from relay.http.responses import answer
from relay.ids import ScopeKind
from relay.records.calls import Page, ScopeRecord

MAX_LIMIT: Final = 1000
"""Entries of one page."""


class ProfileList(msgspec.Struct, frozen=True):
    profiles: list[ProfileDetails]
    next_cursor: Cursor


class ConnectionView(msgspec.Struct, frozen=True):
    """Two profiles that are connected."""

    profiles: Annotated[list[ProfileName], Meta(min_length=2, max_length=2)]


class ConnectionList(msgspec.Struct, frozen=True):
    connections: list[ConnectionView]
    next_cursor: Cursor


class ConversationList(msgspec.Struct, frozen=True):
    conversations: list[ScopeView]
    next_cursor: Cursor


class WhiteboardSessionList(msgspec.Struct, frozen=True):
    whiteboard_sessions: list[ScopeView]
    next_cursor: Cursor


async def profiles(request: web.Request, *, platform: Platform) -> web.Response:
    page = await _page(request, platform.list_profiles)
    return answer(ProfileList([ProfileDetails.of(card) for card in page.entries], page.next_cursor))


async def connections(request: web.Request, *, platform: Platform) -> web.Response:
    page = await _page(request, platform.list_connections)
    found = [ConnectionView([ProfileName.of(profile) for profile in pair]) for pair in page.entries]
    return answer(ConnectionList(found, page.next_cursor))


async def conversations(request: web.Request, *, platform: Platform) -> web.Response:
    page = await _scopes(request, ScopeKind.CONVERSATION, platform)
    return answer(ConversationList([ScopeView.of(one) for one in page.entries], page.next_cursor))


async def whiteboard_sessions(request: web.Request, *, platform: Platform) -> web.Response:
    page = await _scopes(request, ScopeKind.WHITEBOARD_SESSION, platform)
    return answer(WhiteboardSessionList([ScopeView.of(one) for one in page.entries], page.next_cursor))


async def _scopes(request: web.Request, kind: ScopeKind, platform: Platform) -> Page[ScopeRecord]:
    return await _page(request, lambda limit, cursor: platform.list_scopes(kind, limit, cursor))


async def _page(request: web.Request, read: Callable[[int, str | None], Awaitable[Page[Any]]]) -> Page[Any]:
    limit, cursor = limit_in(request, MAX_LIMIT), cursor_in(request)
    try:
        return await read(limit, cursor)
    except ValueError as error:
        raise RelayError(f"cursor: {error}") from None


_PAGE: Final = (limit_parameter(MAX_LIMIT), CURSOR)

ROUTES: Final = guarded(
    [
        get("/api/admin/profiles", profiles, Operation("All profiles, by type and id.", ProfileList, query=_PAGE)),
        get(
            "/api/admin/connections",
            connections,
            Operation("All connections between profiles, each once.", ConnectionList, query=_PAGE),
        ),
        get(
            "/api/admin/conversations",
            conversations,
            Operation("All conversations, by id, with their members.", ConversationList, query=_PAGE),
        ),
        get(
            "/api/admin/whiteboard/sessions",
            whiteboard_sessions,
            Operation("All whiteboard sessions, by id, with their members.", WhiteboardSessionList, query=_PAGE),
        ),
    ]
)
