"""`/api/session`: whether a browser is signed in, by what, and how it can be.

A page that asks whether its user is signed in has made no mistake if not, so the answer is 200 either way: browsers write every
other status to their console. It is what a page asks first, and over a slow line each further question is noticed: so the
answer has all that the page shows first.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self

import msgspec
from aiohttp import web
from msgspec import Meta

from relay.errors import Unauthorized, Unavailable
from relay.http.access.auth import (
    Credential,
    Expired,
    ForeignToken,
    HttpAuthenticator,
    NotYetValid,
    bearer_token,
    clear_cookie,
    is_given,
    set_cookie,
)
from relay.http.access.revocations import Revoked
from relay.http.api import Access, Operation, delete, get, post
from relay.http.directory import ConversationView, IceServers, host_of
from relay.http.parameters import ProfileView, view
from relay.http.ports import WhiteboardSessions
from relay.http.responses import answer
from relay.http.whiteboard import SessionView
from relay.ice_servers import IceServer
from relay.ids import Profile
from relay.records.profiles import ProfileCard
from relay.settings.auth import AuthSettings
from relay.settings.http import HttpSettings
from relay.settings.notation import parse_origin, write_origin
from relay.signaling.calls.service import Calls
from relay.signaling.ports import Directory

MOST_CONTACTS: Final = 8_192
"""Bytes of `contacts`. A page asks for more than that behind its first screen."""

LONGEST: Final = 400 * 86_400.0
"""Seconds. Browsers keep no cookie for longer (RFC 6265bis section 5.5)."""

Problem = Literal["expired", "not_yet_valid", "revoked", "wrong_service", "invalid"]

_PROBLEMS: Final[Sequence[tuple[type[Unauthorized], Problem]]] = (
    (Expired, "expired"),
    (NotYetValid, "not_yet_valid"),
    (Revoked, "revoked"),
    (ForeignToken, "wrong_service"),
)


@dataclass(frozen=True, slots=True)
class SignInOptions:
    """How the users of this relay sign in."""

    development: bool
    """As anybody, without a password."""
    sign_in_url: str
    """The platform's own page; empty: there is none."""
    frame_ancestors: Sequence[str]
    """The origins whose pages may give a token to the page that they show in a frame."""

    @classmethod
    def of(cls, auth: AuthSettings, http: HttpSettings) -> Self:
        return cls(auth.dev, http.sign_in_url, [write_origin(parse_origin(one)) for one in http.frame_ancestors])


class Contacts(msgspec.Struct, frozen=True):
    """What a profile can call in."""

    conversations: Sequence[ConversationView]
    whiteboard_sessions: Sequence[SessionView]


class SignInState(msgspec.Struct, frozen=True):
    """Whether a browser is signed in, and how it can be."""

    profile: Annotated[ProfileView | None, Meta(description="null: it is not signed in.")]
    expires_in: Annotated[
        float | None, Meta(description="Seconds until the credential ends; null: it does not end, or there is none.")
    ]
    problem: Annotated[Problem | None, Meta(description="What is wrong with the credential; null: nothing, or there is none.")]
    ice_servers: Sequence[IceServer]
    sign_in_url: Annotated[str, Meta(description="The platform's page for that; empty: there is none.")]
    development: Annotated[bool, Meta(description="Whether `/api/dev/login` is there.")]
    frame_ancestors: Annotated[Sequence[str], Meta(description="Origins of the pages that may show the page in a frame.")]
    contacts: (
        Annotated[
            Contacts,
            Meta(
                description="The conversations and whiteboard sessions of the profile. null: it is not signed in, or they are "
                f"more than {MOST_CONTACTS} bytes, or the database is away: ask `/api/conversations` and "
                "`/api/whiteboard/sessions`."
            ),
        ]
        | None
    ) = None


async def read(
    request: web.Request,
    *,
    who: HttpAuthenticator,
    calls: Calls,
    directory: Directory,
    whiteboard_sessions: WhiteboardSessions,
    servers: IceServers,
    options: SignInOptions,
) -> web.Response:
    try:
        credential = await who.signed_in(request)
    except Unauthorized as error:
        return answer(_without(options, _problem(error) if is_given(request) else None))
    return answer(await _session(request, credential, calls, directory, whiteboard_sessions, servers, options))


async def sign_in(
    request: web.Request,
    *,
    who: HttpAuthenticator,
    calls: Calls,
    directory: Directory,
    whiteboard_sessions: WhiteboardSessions,
    servers: IceServers,
    options: SignInOptions,
) -> web.Response:
    """Sign the browser in with the token of the header: it gets the cookie."""
    token = bearer_token(request)
    if token is None:
        return answer(_without(options, "invalid"))
    try:
        credential = await who.signed_in(request)
    except Unauthorized as error:
        return answer(_without(options, _problem(error)))
    response = answer(await _session(request, credential, calls, directory, whiteboard_sessions, servers, options))
    set_cookie(request, response, token, min(credential.expires_at - time.time(), LONGEST))
    return response


async def sign_out(request: web.Request) -> web.Response:
    """Take the cookie back. The token itself stays good until it ends, or is revoked."""
    response = web.Response(status=204)
    clear_cookie(request, response)
    return response


async def _session(
    request: web.Request,
    credential: Credential,
    calls: Calls,
    directory: Directory,
    whiteboard_sessions: WhiteboardSessions,
    servers: IceServers,
    options: SignInOptions,
) -> SignInState:
    profile = credential.profile
    # A party of a call can come back while the database is away: the call has its card.
    card = calls.card_in_call(profile) or await directory.profile(profile) or ProfileCard(profile, "", "")
    left = credential.expires_at - time.time()
    return SignInState(
        profile=view(card),
        expires_in=round(left, 3) if left < LONGEST else None,
        problem=None,
        ice_servers=servers(profile, host_of(request)),
        sign_in_url=options.sign_in_url,
        development=options.development,
        frame_ancestors=options.frame_ancestors,
        contacts=await _contacts(profile, directory, whiteboard_sessions),
    )


async def _contacts(profile: Profile, directory: Directory, whiteboard_sessions: WhiteboardSessions) -> Contacts | None:
    try:
        conversations = await directory.conversations(profile)
        sessions = await whiteboard_sessions.whiteboard_sessions(profile)
    except Unavailable:  # a party of a call comes back nevertheless
        return None
    contacts = Contacts([ConversationView.of(one) for one in conversations], [SessionView.of(one) for one in sessions])
    return contacts if len(msgspec.json.encode(contacts)) <= MOST_CONTACTS else None


def _without(options: SignInOptions, problem: Problem | None) -> SignInState:
    return SignInState(None, None, problem, (), options.sign_in_url, options.development, options.frame_ancestors)


def _problem(error: Unauthorized) -> Problem:
    return next((problem for kind, problem in _PROBLEMS if isinstance(error, kind)), "invalid")


ROUTES: Final = [
    get(
        "/api/session",
        read,
        Operation("Whether the browser is signed in, and how it can be.", SignInState, access=Access.ANYONE),
    ),
    post(
        "/api/session",
        sign_in,
        Operation(
            "Signs the browser in with the token of the `Authorization` header: the answer sets the cookie, which lasts as long "
            "as the token. A token that is not good is told by `problem`.",
            SignInState,
            access=Access.ANYONE,
        ),
    ),
    delete(
        "/api/session",
        sign_out,
        Operation("Signs the browser out: it forgets the cookie.", access=Access.ANYONE),
    ),
]
