"""A platform that embeds the relay with its own authentication and call policy, and with hooks for the events of calls."""

import logging
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field

from aiohttp import web

from relay.app import create_app
from relay.extensions import CallFacts, CallRequest, Extensions, Identity, Profile, Verdict
from relay.serving import media_beside
from relay.settings.all import Settings

logger = logging.getLogger(__name__)

SESSION = "platform_session"
"""The cookie that the platform's own log-in sets."""


@dataclass
class Platform:
    """Authentication (`identify`), call policy (`judge`) and hooks for the events of calls (`call_started` and the others)."""

    sessions: dict[str, tuple[Profile, float]] = field(default_factory=dict)
    """Cookie → whose it is, and when the session began."""
    minutes_left: Counter[Profile] = field(default_factory=Counter)
    in_a_call: set[Profile] = field(default_factory=set)
    bills: list[tuple[Profile, int]] = field(default_factory=list)

    async def identify(self, request: web.Request) -> Identity | None:
        session = self.sessions.get(request.cookies.get(SESSION, ""))
        return None if session is None else Identity(session[0], issued_at=session[1])

    async def judge(self, request: CallRequest) -> Verdict:
        if self.minutes_left[request.standing.caller.profile] <= 0:
            return Verdict.REJECTED
        return request.built_in

    async def call_started(self, call: CallFacts) -> None:
        self.in_a_call |= {call.caller, call.callee}

    async def call_answered(self, call: CallFacts) -> None:
        logger.info("%s has answered %s", call.callee.key, call.caller.key)

    async def call_ended(self, call: CallFacts) -> None:
        self.in_a_call -= {call.caller, call.callee}
        self.bills.append((call.caller, call.duration_seconds or 0))


def my_app(settings: Settings, platform: Platform) -> web.Application:
    async def log_in(request: web.Request) -> web.Response:
        """The platform's own, whatever that is."""
        cookie = secrets.token_urlsafe()
        platform.sessions[cookie] = (Profile.parse(str((await request.post())["who"])), time.time())
        response = web.Response(status=204)
        response.set_cookie(SESSION, cookie, httponly=True, samesite="Lax")
        return response

    app = web.Application()
    relay = create_app(settings, extensions=Extensions(policy=platform, identification=platform, hooks=platform))
    app.router.add_post("/login", log_in)
    app.add_subapp("/calls/", relay)
    app.cleanup_ctx.append(media_beside(relay))
    return app


if __name__ == "__main__":
    web.run_app(my_app(Settings(dev=True, port=8001), Platform()), port=8000)
