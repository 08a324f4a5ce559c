"""`/api/me`: what there is about the signed-in profile, to take along or to take back."""

from datetime import UTC, datetime
from typing import Any, Final, TypedDict

from aiohttp import web

from relay.http.access.auth import HttpAuthenticator
from relay.http.api import Operation, delete, get
from relay.http.ports import OwnHistory, PersonalData
from relay.http.responses import answer
from relay.ids import Profile


class Export(TypedDict):
    """Everything about a profile. Times are ISO 8601."""

    profile: dict[str, Any] | None
    settings: dict[str, Any]
    blocks: list[dict[str, Any]]
    connections: list[dict[str, Any]]
    conversations: list[dict[str, Any]]
    whiteboard_sessions: list[dict[str, Any]]
    calls: list[dict[str, Any]]
    whiteboard_calls: list[dict[str, Any]]
    chat: list[dict[str, Any]]
    """Its own messages."""
    push_subscriptions: list[dict[str, Any]]
    """Without their keys."""
    recordings: list[dict[str, Any]]
    """Of its calls, by consent; without their files."""
    recording_consents: list[dict[str, Any]]
    call_ratings: list[dict[str, Any]]


async def export(request: web.Request, *, who: HttpAuthenticator, data: PersonalData) -> web.Response:
    return await export_of((await who.signed_in(request)).profile, data)


async def erase_history(request: web.Request, *, who: HttpAuthenticator, history: OwnHistory) -> web.Response:
    await history.erase_history((await who.signed_in(request)).profile, datetime.now(UTC))
    return web.Response(status=204)


async def export_of(profile: Profile, data: PersonalData) -> web.Response:
    """Everything about a profile, as a file to keep.

    Raises:
        HTTPNotFound: there is nothing.
    """
    found = await data.export(profile)
    if found is None:
        raise web.HTTPNotFound(text=f"there is nothing about {profile.key}")
    response = answer(found)
    response.headers["Content-Disposition"] = f'attachment; filename="{profile.key}.json"'
    return response


EXPORT: Final = Operation(
    "Everything that there is about the profile, as a file.", Export, errors={404: "There is nothing about the profile."}
)
ERASE_HISTORY: Final = Operation(
    "Takes the profile out of its calls that have ended, and deletes its chat messages and the recordings by consent of its "
    "calls. The other parties keep their calls, without its name."
)

ROUTES: Final = [
    get("/api/me/export", export, EXPORT),
    delete("/api/me/history", erase_history, ERASE_HISTORY),
]
