"""`/api/push`: the Web Push subscriptions of the signed-in profile, which announce calls while no page is open."""

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from relay.errors import RelayError
from relay.http.access.auth import HttpAuthenticator
from relay.http.api import Operation, delete, get, post
from relay.http.ports import PushGate, PushSubscriptions
from relay.http.responses import answer, body_of
from relay.records.calls import MAX_ENDPOINT_LENGTH, MAX_PUSH_KEY_LENGTH

_Endpoint = Annotated[str, Meta(min_length=1, max_length=MAX_ENDPOINT_LENGTH, pattern=r"^[!-~]*\Z")]
"""Printable ASCII without spaces, as a URL is. PostgreSQL takes no NUL, not even to compare with."""
_Key = Annotated[str, Meta(min_length=1, max_length=MAX_PUSH_KEY_LENGTH)]


class PushKeys(msgspec.Struct, frozen=True):
    p256dh: _Key
    auth: _Key


class BrowserSubscription(msgspec.Struct, frozen=True):
    """`PushSubscription.toJSON()` of the Push API; the relay ignores `expirationTime`, and waits for a 404 or 410."""

    endpoint: _Endpoint
    keys: PushKeys


class Unsubscription(msgspec.Struct, frozen=True):
    endpoint: _Endpoint


class PublicKey(msgspec.Struct, frozen=True):
    key: Annotated[str | None, Meta(description="`applicationServerKey` of `PushManager.subscribe`; null: there is no Web Push.")]


async def key(request: web.Request, *, who: HttpAuthenticator, gate: PushGate | None) -> web.Response:
    """The key that browsers subscribe with."""
    await who.signed_in(request)
    return answer(PublicKey(None if gate is None else gate.public_key))


async def subscribe(
    request: web.Request, *, who: HttpAuthenticator, gate: PushGate | None, subscriptions: PushSubscriptions
) -> web.Response:
    """Register a browser for the profile, or bring its keys up to date."""
    profile, gate = (await who.signed_in(request)).profile, _configured(gate)
    wanted = await body_of(request, BrowserSubscription)
    scope = wanted.endpoint, wanted.keys.p256dh, wanted.keys.auth
    try:
        gate.check(*scope)
        await subscriptions.add(profile, *scope, datetime.now(UTC))
    except ValueError as error:
        raise RelayError(str(error)) from None
    return web.Response(status=204)


async def unsubscribe(request: web.Request, *, who: HttpAuthenticator, subscriptions: PushSubscriptions) -> web.Response:
    """Remove the browser's subscription; also while Web Push is off."""
    profile = (await who.signed_in(request)).profile
    wanted = await body_of(request, Unsubscription)
    await subscriptions.remove(profile, wanted.endpoint)
    return web.Response(status=204)


def _configured(gate: PushGate | None) -> PushGate:
    if gate is None:
        raise web.HTTPNotFound(text="this server sends no push messages")
    return gate


_OFF: Final = {404: "Web Push is not configured."}

ROUTES: Final = [
    get("/api/push/key", key, Operation("The key that browsers subscribe with.", PublicKey)),
    post(
        "/api/push/subscriptions",
        subscribe,
        Operation(
            "Registers a browser of the profile: what `PushSubscription.toJSON()` gives.",
            body=BrowserSubscription,
            errors={400: "Not an https URL of a push service on port 443, or no such keys or profile.", **_OFF},
        ),
    ),
    delete(
        "/api/push/subscriptions",
        unsubscribe,
        Operation("Unregisters a browser. Works without Web Push too.", body=Unsubscription),
    ),
]
