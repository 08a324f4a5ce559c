"""`/api/recordings`: recordings by consent of calls that the signed-in profile took part in. Another recording is not found."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from aiohttp import web
from msgspec import Meta

from relay.errors import RelayError
from relay.http.access.auth import HttpAuthenticator
from relay.http.api import Operation, Parameter, delete, get, post
from relay.http.parameters import (
    MAX_CURSOR_LENGTH,
    MAX_MILLISECONDS,
    RECORDING,
    CallName,
    cursor_in,
    flag_in,
    flag_parameter,
    limit_in,
    limit_parameter,
)
from relay.http.recordings.desk import RecordingDesk
from relay.http.recordings.views import RecordingDetails, RecordingList, State, Verdict
from relay.ids import MAX_PROFILE_ID, Profile, Scope, ScopeKind
from relay.records.recordings import RecordingFilter, RecordingState, RecordingVerdict
from relay.signaling.messages.common import Id

MAX_LIMIT: Final = 100
"""Recordings of one page."""

FILE: Final = r"{file_name:[\w.-]{1,64}}"

_Moment = Annotated[int, Meta(ge=0, le=MAX_MILLISECONDS)]

FILTER: Final = (
    Parameter("conversation_id", Id, "Only those of calls in this conversation."),
    Parameter("whiteboard_session_id", Id, "Only those of calls in this whiteboard session."),
    Parameter("call_id", CallName, "Only those of this call."),
    Parameter("profile", Annotated[str, Meta(extra_json_schema={"example": "tutor_789"})], "Only those with this party."),
    Parameter("from", _Moment, "Only those that began then or later; milliseconds since 1970 UTC."),
    Parameter("to", _Moment, "Only those that began before; milliseconds since 1970 UTC."),
    Parameter("state", State, "Only those in this state."),
    Parameter("verdict", Verdict, "Only those of which verification has found this."),
    Parameter("after", Annotated[str, Meta(max_length=MAX_CURSOR_LENGTH)], "`next_cursor` of the page before."),
    limit_parameter(MAX_LIMIT),
)


def filter_in(request: web.Request, participant: Profile | None) -> RecordingFilter:
    """What a request wants listed.

    Args:
        participant: only what this profile may see.

    Raises:
        RelayError: a parameter makes no sense.
    """
    query = request.query
    scopes = [Scope(kind, _number(request, kind.id_field, MAX_PROFILE_ID)) for kind in ScopeKind if query.get(kind.id_field)]
    if len(scopes) > 1:
        raise RelayError("give either conversation_id or whiteboard_session_id")
    try:
        profile = Profile.parse(query["profile"]) if query.get("profile") else None
        states = (RecordingState(query["state"]),) if query.get("state") else ()
        verdict = RecordingVerdict(query["verdict"]) if query.get("verdict") else None
    except ValueError as error:
        raise RelayError(str(error)) from None
    return RecordingFilter(
        participant=participant,
        profile=profile,
        scope=scopes[0] if scopes else None,
        call_id=query.get("call_id") or None,
        started_from=_moment(request, "from"),
        started_before=_moment(request, "to"),
        states=states,
        verdict=verdict,
    )


def _moment(request: web.Request, name: str) -> datetime | None:
    if not request.query.get(name):
        return None
    return datetime.fromtimestamp(_number(request, name, MAX_MILLISECONDS) / 1000, UTC)


def _number(request: web.Request, name: str, highest: int) -> int:
    text = request.query[name]
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= highest):
        raise RelayError(f"{name} is a number from 0 to {highest}")
    return int(text)


async def listed(request: web.Request, *, who: HttpAuthenticator, desk: RecordingDesk) -> web.Response:
    profile = (await who.signed_in(request)).profile
    return await desk.page(
        request, profile, filter_in(request, profile), limit_in(request, MAX_LIMIT), cursor_in(request, "after")
    )


async def read(request: web.Request, *, who: HttpAuthenticator, desk: RecordingDesk) -> web.Response:
    return await desk.read(request, (await who.signed_in(request)).profile)


async def remove(request: web.Request, *, who: HttpAuthenticator, desk: RecordingDesk) -> web.Response:
    return await desk.delete(request, (await who.signed_in(request)).profile)


async def download(request: web.Request, *, who: HttpAuthenticator, desk: RecordingDesk) -> web.StreamResponse:
    profile = (await who.signed_in(request)).profile
    return await desk.download(request, profile, request.match_info["file_name"])


async def report(request: web.Request, *, who: HttpAuthenticator, desk: RecordingDesk) -> web.StreamResponse:
    return await desk.report(request, (await who.signed_in(request)).profile)


async def report_page(request: web.Request, *, who: HttpAuthenticator, desk: RecordingDesk) -> web.StreamResponse:
    return await desk.report_page(request, (await who.signed_in(request)).profile)


async def assemble(request: web.Request, *, who: HttpAuthenticator, desk: RecordingDesk) -> web.Response:
    return await desk.assemble(request, (await who.signed_in(request)).profile, mp4=flag_in(request, "mp4"))


async def verify(request: web.Request, *, who: HttpAuthenticator, desk: RecordingDesk) -> web.Response:
    return await desk.verify(request, (await who.signed_in(request)).profile)


_RANGES: Final = {416: "There are no such bytes, or more than one range was asked for; Content-Range says how many there are."}
_BUSY: Final = "`busy`: something else is being done with it, or waits for it."

READ: Final = Operation("A recording, with what is being done with it.", RecordingDetails)
REMOVE: Final = Operation(
    "Deletes a recording with all its files.",
    errors={409: "`legal_hold`: it may not be deleted now. `busy`: the call is still being recorded."},
)
DOWNLOAD: Final = Operation(
    "A file of a recording, or one range of it (`Range`, `If-Range`).",
    Any,
    media_type="*/*",
    replies={206: Any},
    errors=_RANGES,
)
REPORT: Final = Operation(
    "What the verification of a recording has found.",
    Any,
    media_type="application/json",
    replies={206: Any},
    errors={404: "There is no such recording, or it was not verified.", **_RANGES},
)
REPORT_PAGE: Final = Operation(
    "The same as a page.",
    Any,
    media_type="text/html",
    replies={206: Any},
    errors={404: "There is no such recording, or it was not verified.", **_RANGES},
)
ASSEMBLE: Final = Operation(
    "Makes playable files of a recording, also again. The answer comes before it is done.",
    RecordingDetails,
    status=202,
    query=(flag_parameter("mp4", "Also an MP4 with both parties side by side, which takes long."),),
    errors={404: "There is no such recording, or its capture is not on this server.", 409: _BUSY},
)
VERIFY: Final = Operation(
    "Verifies a recording, also again. The answer comes before it is done.",
    RecordingDetails,
    status=202,
    errors={
        404: "There is no such recording, it was not assembled, verification is not installed, or its capture is not on this "
        "server.",
        409: _BUSY,
    },
)

_ONE: Final = f"/api/recordings/{RECORDING}"

ROUTES: Final = [
    get(
        "/api/recordings",
        listed,
        Operation(
            "Recordings of calls that the profile took part in and that were recorded by consent, newest first.",
            RecordingList,
            query=FILTER,
        ),
    ),
    get(_ONE, read, READ),
    delete(_ONE, remove, REMOVE),
    get(f"{_ONE}/files/{FILE}", download, DOWNLOAD),
    get(f"{_ONE}/report", report, REPORT),
    get(f"{_ONE}/report.html", report_page, REPORT_PAGE),
    post(f"{_ONE}/assemble", assemble, ASSEMBLE),
    post(f"{_ONE}/verify", verify, VERIFY),
]
