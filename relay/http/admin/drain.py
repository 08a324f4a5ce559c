"""`/api/admin/drain`: the server stops once its calls have ended."""

from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from relay.http.access.service_token import guarded
from relay.http.api import Operation, get, post
from relay.http.responses import answer, body_of
from relay.signaling.calls.service import Calls

USUAL: Final = 60.0
"""Seconds that calls have, where neither the request nor `RELAY_DRAIN_SECONDS` says how many."""


@dataclass(frozen=True, slots=True)
class DrainLimit:
    """How long a drain lasts at most, unless the request says it."""

    seconds: float
    """`RELAY_DRAIN_SECONDS`; 0: it is not set."""


class DrainBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seconds: (
        Annotated[
            float,
            Meta(
                ge=0,
                le=86_400,
                description="That calls have to end; null: `RELAY_DRAIN_SECONDS`, or 60 if that is 0.",
            ),
        ]
        | None
    ) = None


class DrainView(msgspec.Struct, frozen=True):
    """Whether a server drains, and what it waits for."""

    draining: bool
    calls: Annotated[int, Meta(description="Calls that have not ended.")]
    devices: Annotated[int, Meta(description="Devices that are connected.")]
    seconds_left: Annotated[float | None, Meta(description="Until calls that still go on are ended; null: it does not drain.")]


async def drain(request: web.Request, *, calls: Calls, limit: DrainLimit) -> web.Response:
    wanted = (await body_of(request, DrainBody)).seconds
    calls.draining.begin((limit.seconds or USUAL) if wanted is None else wanted)
    return answer(_view(calls), 202)


async def read_drain(_request: web.Request, *, calls: Calls) -> web.Response:
    return answer(_view(calls))


def _view(calls: Calls) -> DrainView:
    left = calls.draining.seconds_left
    return DrainView(left is not None, calls.call_count, calls.device_count, None if left is None else round(left, 1))


ROUTES: Final = guarded(
    [
        get("/api/admin/drain", read_drain, Operation("Whether this server drains, and what it waits for.", DrainView)),
        post(
            "/api/admin/drain",
            drain,
            Operation(
                "Has this server take no new calls, send clients away that are in none (1012), and stop once its calls have "
                "ended or their time is over. A second request sets another limit.",
                DrainView,
                status=202,
                body=DrainBody,
            ),
        ),
    ]
)
