"""`/api/push`: where the signed-in profile's browsers are told of calls while no page is open."""

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from relay.errors import RelayError
from relay.http.auth import signed_in
from relay.http.ports import PUSH_GATE, PUSH_SUBSCRIPTIONS, PushGate
from relay.http.responses import answer, body_of
from relay.signaling.records import MAX_ENDPOINT_LENGTH, MAX_PUSH_KEY_LENGTH

_Endpoint = Annotated[str, Meta(min_length=1, max_length=MAX_ENDPOINT_LENGTH, pattern=r"^[!-~]*\Z")]
"""Printable ASCII without spaces, as a URL is. PostgreSQL takes no NUL, not even to compare with."""
_Key = Annotated[str, Meta(min_length=1, max_length=MAX_PUSH_KEY_LENGTH)]


class _Keys(msgspec.Struct, frozen=True):
    p256dh: _Key
    auth: _Key


class _Subscription(msgspec.Struct, frozen=True):
    """`PushSubscription.toJSON()` of the Push API; its `expirationTime` says nothing that the push service does not say later."""

    endpoint: _Endpoint
    keys: _Keys


class _Unsubscription(msgspec.Struct, frozen=True):
    endpoint: _Endpoint


async def key(request: web.Request) -> web.Response:
    """The key that browsers subscribe with."""
    await signed_in(request)
    return answer({"key": _gate(request).public_key})


async def subscribe(request: web.Request) -> web.Response:
    """Register a browser for the profile, or bring its keys up to date."""
    profile, gate = (await signed_in(request)).profile, _gate(request)
    wanted = await body_of(request, _Subscription)
    place = wanted.endpoint, wanted.keys.p256dh, wanted.keys.auth
    try:
        gate.check(*place)
        await request.app[PUSH_SUBSCRIPTIONS].add(profile, *place, datetime.now(UTC))
    except ValueError as error:
        raise RelayError(str(error)) from None
    return web.Response(status=204)


async def unsubscribe(request: web.Request) -> web.Response:
    """The browser is told of nothing any more; also while Web Push is off."""
    profile = (await signed_in(request)).profile
    wanted = await body_of(request, _Unsubscription)
    await request.app[PUSH_SUBSCRIPTIONS].remove(profile, wanted.endpoint)
    return web.Response(status=204)


def _gate(request: web.Request) -> PushGate:
    gate = request.app.get(PUSH_GATE)
    if gate is None:
        raise web.HTTPNotFound(text="this server sends no push messages")
    return gate


ROUTES: Final = [
    web.get("/api/push/key", key),
    web.post("/api/push/subscriptions", subscribe),
    web.delete("/api/push/subscriptions", unsubscribe),
]
