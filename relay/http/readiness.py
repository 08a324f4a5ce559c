"""`GET /readyz`: whether this server can take new calls. `/healthz` only says that its process lives.

Who asks waits for no part that hangs, and many who ask at a time are one look.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Final, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from relay.http.api import Access, Operation, get
from relay.http.responses import OUTAGE_RETRY, answer

Check = Callable[[], Awaitable[bool]]

DEADLINE: Final = 2.0
"""Seconds that a part has to answer; most probes give up after 1 to 5."""

FRESH: Final = 1.0
"""Seconds that what was found out is good for: probes come every few seconds, strangers may come a thousand times in one."""


class Readiness:
    """Checks whether the parts of the server are ready.

    Args:
        checks: by their names in the response.
    """

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._found: asyncio.Task[dict[str, bool]] | None = None
        self._looked_at = 0.0

    async def look(self) -> Mapping[str, bool]:
        """Which parts are ready."""
        loop = asyncio.get_running_loop()
        if self._found is None or (self._found.done() and loop.time() - self._looked_at > FRESH):
            self._found, self._looked_at = loop.create_task(self._look()), loop.time()
        return await asyncio.shield(self._found)

    async def _look(self) -> dict[str, bool]:
        looking = {name: asyncio.ensure_future(check()) for name, check in self._checks.items()}
        await asyncio.wait(looking.values(), timeout=DEADLINE)
        for one in looking.values():
            one.cancel()  # without waiting: a check that hangs may hang in its cancellation too
            one.add_done_callback(_consume_exception)
        return {
            name: one.done() and not one.cancelled() and not one.exception() and one.result() for name, one in looking.items()
        }


def _consume_exception(done: "asyncio.Future[bool]") -> None:
    """Retrieve the exception of a failed check, so that asyncio does not log it. The check counts as not ready."""
    if not done.cancelled():
        done.exception()


class ReadinessView(msgspec.Struct, frozen=True):
    """Whether a server can take new calls."""

    status: Literal["ready", "not_ready"]
    checks: Annotated[
        Mapping[str, bool],
        Meta(description="Which of its parts are ready: `database`, `media`, `accepting`, and in a cluster `lease`."),
    ]


async def ready(_request: web.Request, *, readiness: Readiness) -> web.Response:
    checks = await readiness.look()
    if all(checks.values()):
        return answer(ReadinessView("ready", checks))
    response = answer(ReadinessView("not_ready", checks), 503)
    response.headers["Retry-After"] = str(OUTAGE_RETRY)
    return response


ROUTES: Final = [
    get(
        "/readyz",
        ready,
        Operation(
            "Whether this server can take new calls, looked at once a second at most.",
            ReadinessView,
            replies={503: ReadinessView},
            access=Access.ANYONE,
        ),
    ),
]
