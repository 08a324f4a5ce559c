"""`/api/calls`: the signed-in profile's own calls in conversations. Another profile's call is not found."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from relay.errors import RelayError
from relay.http.access.auth import HttpAuthenticator
from relay.http.api import DescribedRoute, Operation, Parameter, get, post
from relay.http.parameters import (
    CALL,
    CURSOR,
    MAX_LIMIT,
    CallName,
    Cursor,
    Milliseconds,
    ProfileView,
    RecordingName,
    cursor_in,
    flag_in,
    flag_parameter,
    limit_in,
    limit_parameter,
    view,
)
from relay.http.ports import CallRatings, Histories, History
from relay.http.ratings import RatingView
from relay.http.recordings.ports import RecordingCatalogue
from relay.http.responses import answer, body_of
from relay.ids import Profile, ScopeKind
from relay.records.calls import CallDirection, CallRecord, ChatRecord
from relay.records.recordings import RecordingFilter
from relay.signaling.calls.notices import milliseconds
from relay.signaling.calls.service import Calls

MAX_SEEN: Final = 100
"""Calls that one request may mark."""

MAX_NAME: Final = 200
"""Characters of a name that is searched for: as many as a profile's may have."""


MAX_RECORDINGS: Final = 10
"""Recordings that are named with their call, newest first: it may have been recorded several times."""

_NAME: Final = Parameter(
    "name",
    Annotated[str, Meta(max_length=MAX_NAME)],
    "Only calls whose other party is called so, or a part of it, whatever case and accents. A page may then have fewer calls "
    "than `limit`, though `next_cursor` says that more may follow.",
)


class CallView(msgspec.Struct, frozen=True):
    """`relay.records.calls.CallRecord`, as the API shows it. Times are milliseconds since 1970, as on the WebSocket."""

    call_id: str
    call_type: str
    direction: CallDirection
    other: ProfileView | None
    status: Annotated[str, Meta(description="`initiated`, `answered`, `missed` or `ended`.")]
    reason: Annotated[str, Meta(description="Why it ended.")] | None
    started_at: Milliseconds
    answered_at: Milliseconds | None
    ended_at: Milliseconds | None
    duration_seconds: Annotated[int, Meta(description="From answered to ended.")] | None
    missed: bool
    seen: Annotated[bool, Meta(description="Says something only of calls that were missed.")]
    transferred_from: Annotated[str, Meta(description="`call_id` of the call whose transfer led to this one.")] | None
    route: Annotated[str, Meta(description="How the profile's own media arrived at last: `udp`, `tcp`, `turn-udp`…")] | None
    family: Annotated[str, Meta(description="`ipv4` or `ipv6`.")] | None
    rtt_ms: Annotated[float, Meta(description="Round trip between the relay and the profile.")] | None
    score: Annotated[float, Meta(description="Mean opinion score of the profile's own connection, 1 to 4.5.")] | None
    decline_message: Annotated[str, Meta(description="What the callee said to the caller by declining.")] | None
    conversation_id: int | UnsetType | None = UNSET
    whiteboard_session_id: int | UnsetType | None = UNSET
    recording_id: str | UnsetType | None = UNSET


class TextView(msgspec.Struct, frozen=True):
    """A chat message within a call."""

    message_id: str
    from_profile_type: str
    from_profile_id: int
    own: bool
    text: str
    sent_at: Milliseconds


class CallList(msgspec.Struct, frozen=True):
    """A page of calls, newest first."""

    calls: list[CallView]
    next_cursor: Cursor


class CallDetails(msgspec.Struct, frozen=True):
    """A call and its chat, oldest message first."""

    call: CallView
    chat: list[TextView]
    rating: Annotated[RatingView | None, Meta(description="What the profile has said of it; null: nothing.")]
    recordings: Annotated[list[RecordingName], Meta(description="Those that the profile may see, newest first.")]


class UnseenCount(msgspec.Struct, frozen=True):
    unseen_count: Annotated[int, Meta(description="Missed calls that have not been marked as seen.")]


class Marked(UnseenCount, frozen=True):
    marked: Annotated[int, Meta(description="Calls that had not been seen before.")]


class Seen(msgspec.Struct, frozen=True):
    """Exactly one of the two."""

    call_ids: Annotated[list[CallName], Meta(min_length=1, max_length=MAX_SEEN)] | None = None
    up_to: CallName | None = None


def routes(path: str, kind: ScopeKind) -> list[DescribedRoute]:
    """The resource of one kind of calls, below `path`."""
    page = limit_parameter(MAX_LIMIT), CURSOR

    return [
        get(
            path,
            partial(_list, kind=kind),
            Operation(
                "The profile's own calls, newest first.",
                CallList,
                query=(flag_parameter("missed", "Only missed ones."), _NAME, *page),
            ),
        ),
        get(
            f"{path}/missed",
            partial(_missed, kind=kind),
            Operation("The calls that the profile missed, newest first.", CallList, query=page),
        ),
        get(
            f"{path}/unseen",
            partial(_unseen, kind=kind),
            Operation("How many missed calls have not been marked as seen.", UnseenCount),
        ),
        post(
            f"{path}/seen",
            partial(_mark_seen, kind=kind),
            Operation(
                "Marks calls as seen: those that are named, or one and what was missed before it.",
                Marked,
                body=Seen,
                errors={404: "One of them is not the profile's own; none is marked."},
            ),
        ),
        get(f"{path}/{CALL}", partial(_one, kind=kind), Operation("One call, with its chat if that is kept.", CallDetails)),
    ]


async def _asker(request: web.Request, who: HttpAuthenticator, calls: Calls) -> Profile:
    """The signed-in profile, once what its calls have written can be read."""
    profile = (await who.signed_in(request)).profile
    await calls.written()
    return profile


async def _list(
    request: web.Request, *, kind: ScopeKind, who: HttpAuthenticator, calls: Calls, histories: Histories
) -> web.Response:
    profile = await _asker(request, who, calls)
    return await _page(request, kind, profile, histories[kind], missed=flag_in(request, "missed"), name=_name_in(request))


async def _missed(
    request: web.Request, *, kind: ScopeKind, who: HttpAuthenticator, calls: Calls, histories: Histories
) -> web.Response:
    profile = await _asker(request, who, calls)
    return await _page(request, kind, profile, histories[kind], missed=True)


async def _page(
    request: web.Request, kind: ScopeKind, profile: Profile, history: History, *, missed: bool, name: str = ""
) -> web.Response:
    try:
        page = await history.calls(profile, limit=limit_in(request), cursor=cursor_in(request), missed=missed, name=name)
    except ValueError as error:
        raise RelayError(str(error)) from None
    return answer(CallList([_call(record, kind) for record in page.calls], page.next_cursor))


async def _one(
    request: web.Request,
    *,
    kind: ScopeKind,
    who: HttpAuthenticator,
    calls: Calls,
    histories: Histories,
    ratings: CallRatings,
    catalogue: RecordingCatalogue,
) -> web.Response:
    profile = await _asker(request, who, calls)
    detail = await histories[kind].call(profile, request.match_info["call_id"])
    if detail is None:
        raise _no_such_call()
    rating = await ratings.rating(profile, detail.call.id)
    recordings = await catalogue.page(RecordingFilter(participant=profile, call_id=detail.call.id), limit=MAX_RECORDINGS)
    return answer(
        CallDetails(
            call=_call(detail.call, kind),
            chat=[_text(record) for record in detail.chat],
            rating=None if rating is None else RatingView.of(rating),
            recordings=[one.recording_id for one in recordings.entries],
        )
    )


async def _unseen(
    request: web.Request, *, kind: ScopeKind, who: HttpAuthenticator, calls: Calls, histories: Histories
) -> web.Response:
    profile = await _asker(request, who, calls)
    return answer(UnseenCount(await histories[kind].unseen_count(profile)))


async def _mark_seen(
    request: web.Request, *, kind: ScopeKind, who: HttpAuthenticator, calls: Calls, histories: Histories
) -> web.Response:
    profile = await _asker(request, who, calls)
    wanted, history = await body_of(request, Seen), histories[kind]
    now = datetime.now(UTC)
    if wanted.up_to is not None and wanted.call_ids is None:
        marked = await history.mark_seen_up_to(profile, wanted.up_to, now)
        if marked is None:
            raise _no_such_call()
    elif wanted.call_ids is not None and wanted.up_to is None:
        # Check every id before the first is marked: a request with another profile's call changes nothing.
        for call_id in wanted.call_ids:
            if await history.call(profile, call_id) is None:
                raise _no_such_call()
        marked = sum([bool(await history.mark_seen(profile, call_id, now)) for call_id in wanted.call_ids])
    else:
        raise RelayError("give either call_ids or up_to")
    return answer(Marked(marked=marked, unseen_count=await history.unseen_count(profile)))


def _name_in(request: web.Request) -> str:
    """`?name=`.

    Raises:
        RelayError: it is longer than a name.
    """
    name = request.query.get("name", "").strip()
    if len(name) > MAX_NAME:
        raise RelayError(f"name has at most {MAX_NAME} characters")
    return name


def _no_such_call() -> web.HTTPNotFound:
    return web.HTTPNotFound(text="you have no such call")


def _call(record: CallRecord, kind: ScopeKind) -> CallView:
    scope: dict[str, Any] = {kind.id_field: None if record.scope is None else record.scope.scope_id}
    if kind is ScopeKind.WHITEBOARD_SESSION:
        scope["recording_id"] = record.recording_id
    return CallView(
        call_id=record.id,
        call_type=record.call_type,
        direction=record.direction,
        other=None if record.other is None else view(record.other),
        status=record.status,
        reason=record.reason,
        started_at=milliseconds(record.started_at),
        answered_at=_milliseconds(record.answered_at),
        ended_at=_milliseconds(record.ended_at),
        duration_seconds=record.duration_seconds,
        missed=record.missed,
        seen=record.seen,
        transferred_from=record.transferred_from,
        route=record.route,
        family=record.family,
        rtt_ms=record.rtt_ms,
        score=record.score,
        decline_message=record.decline_message,
        **scope,
    )


def _text(record: ChatRecord) -> TextView:
    author, sent_at = record.author, milliseconds(record.sent_at)
    return TextView(record.message_id, author.profile_type, author.profile_id, record.own, record.text, sent_at)


def _milliseconds(at: datetime | None) -> int | None:
    return None if at is None else milliseconds(at)


ROUTES: Final = routes("/api/calls", ScopeKind.CONVERSATION)
