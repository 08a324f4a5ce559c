"""`/api/whiteboard`: the signed-in profile's whiteboard sessions, and its own calls in them."""

from typing import Final, Self

import msgspec
from aiohttp import web

from relay.http import calls
from relay.http.access.auth import HttpAuthenticator
from relay.http.api import Operation, get
from relay.http.parameters import ProfileView, view
from relay.http.ports import WhiteboardSessions
from relay.http.responses import answer
from relay.ids import ScopeKind
from relay.records.calls import SessionCard


class SessionView(msgspec.Struct, frozen=True):
    """A whiteboard session and those in it."""

    whiteboard_session_id: int
    members: list[ProfileView]

    @classmethod
    def of(cls, card: SessionCard) -> Self:
        return cls(card.whiteboard_session_id, [view(member) for member in card.members])


class Sessions(msgspec.Struct, frozen=True):
    sessions: list[SessionView]


async def sessions(request: web.Request, *, who: HttpAuthenticator, whiteboard_sessions: WhiteboardSessions) -> web.Response:
    cards = await whiteboard_sessions.whiteboard_sessions((await who.signed_in(request)).profile)
    return answer(Sessions([SessionView.of(card) for card in cards]), compressed=True)


ROUTES: Final = [
    *calls.routes("/api/whiteboard/calls", ScopeKind.WHITEBOARD_SESSION),
    get("/api/whiteboard/sessions", sessions, Operation("The whiteboard sessions that the profile is a member of.", Sessions)),
]
