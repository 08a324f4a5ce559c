"""JSON bodies of requests and responses, and the headers of every response."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Final, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta

from relay.errors import ReadOnly, RelayError, Unauthorized, Unavailable
from relay.http.limits import TooMany
from relay.http.proxies import Asker, asker_of

logger = logging.getLogger(__name__)

MAX_BODY: Final = 64 * 1024
"""Bytes of a request body."""

WORTH_COMPRESSING: Final = 1400
"""Bytes that one packet takes to the client in any case."""

OUTAGE_RETRY: Final = 5
"""Seconds in Retry-After while the database is away: the interval at which the server itself checks it."""

LARGE_BODY_TIMEOUT: Final = 60.0
"""Seconds for a body that may be larger."""

_CONTENT: Final = {
    "default-src": "'self'",
    # Said again though it is the default: nothing that stands in the page itself is run, and of styles only those of the relay.
    "script-src": "'self'",
    "style-src": "'self'",
    "worker-src": "'self'",
    "manifest-src": "'self'",
    "img-src": "'self' https: data: blob:",
    "media-src": "'self' blob:",
    "connect-src": "'self'",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
"""Content Security Policy, level 3."""

_FEATURES: Final = {
    **dict.fromkeys(("camera", "microphone", "display-capture", "autoplay", "fullscreen", "screen-wake-lock"), "(self)"),
    **dict.fromkeys(("geolocation", "midi", "payment", "usb", "serial", "hid"), "()"),
}

_HEADERS: Final = {
    # Asked for again at each load, and answered 304: a page of yesterday with modules of today would be neither.
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(f"{name}={who}" for name, who in _FEATURES.items()),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

_STRICT_TRANSPORT: Final = "max-age=31536000"
"""One year, for this host only: what else lives below its name is not ours to decide about (RFC 6797)."""

_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?")

_Body = TypeVar("_Body")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answer(body: object, status: int = 200, *, compressed: bool = False) -> web.Response:
    """`body` as JSON; msgspec structs, dataclasses and containers of them.

    Args:
        compressed: where it is long and the client takes that. Only for what has no secret beside what others have chosen: its
            length would betray it.
    """
    encoded = msgspec.json.encode(body)
    response = web.Response(body=encoded, status=status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"  # the response is personal
    if status == 503:
        # Behind a balancer that ends no TLS, the client's next connection may lead to a server that is ready. Without this, its
        # HTTP library would ask this one again for as long as it keeps the connection open.
        response.force_close()
    if compressed and len(encoded) > WORTH_COMPRESSING:
        response.enable_compression()
    return response


class Problem(msgspec.Struct, frozen=True):
    """The error of a failed request."""

    code: Annotated[str, Meta(description="For programs: `not_found` and the like.")]
    message: Annotated[str, Meta(description="For people.")]


class ProblemBody(msgspec.Struct, frozen=True):
    """The body of each error."""

    error: Problem


def problem(status: int, code: str, message: str) -> web.Response:
    """`{"error": {"code", "message"}}`."""
    return answer(ProblemBody(Problem(code, message)), status)


async def body_of(request: web.Request, kind: type[_Body]) -> _Body:
    """The request's JSON body.

    Raises:
        RelayError: the body does not match `kind`.
    """
    try:
        body = await request.read()
        if len(body) > MAX_BODY:  # below a prefix, the limit of the outer application counts
            raise web.HTTPRequestEntityTooLarge(MAX_BODY, len(body))
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError, web.RequestPayloadError) as error:
        raise RelayError(str(error)) from None


async def large_body_of(request: web.Request, kind: type[_Body], limit: int) -> _Body:
    """The JSON body of a request that may be larger than others, and whose credential has been looked at.

    Args:
        limit: bytes.

    Raises:
        RelayError: the body does not match `kind`.
        HTTPRequestEntityTooLarge: it is larger.
        HTTPRequestTimeout: it does not come in time.
    """
    try:
        async with asyncio.timeout(LARGE_BODY_TIMEOUT):
            body = await request.clone(client_max_size=limit).read()
        return msgspec.json.decode(body, type=kind)
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"the body did not come within {LARGE_BODY_TIMEOUT:g} s") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError, web.RequestPayloadError) as error:
        raise RelayError(str(error)) from None


@web.middleware
async def errors_in_words(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Turn every failure into JSON with a code; log only the server's own faults."""
    try:
        return await handler(request)
    except RelayError as error:
        return _problem_of(error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = problem(error.status, error.reason.lower().replace(" ", "_"), error.text or error.reason)
        if "Allow" in error.headers:  # RFC 9110 section 15.5.6: a 405 lists the allowed methods
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except Exception as error:
        transport = request.transport
        # The client has gone: no fault of the server.
        if isinstance(error, ConnectionError) and (transport is None or transport.is_closing()):
            return problem(400, "client_gone", "the connection ended before the answer")
        logger.exception("%s %s failed", request.method, request.path)
        return problem(500, "internal", "the server could not do this")


def _problem_of(error: RelayError) -> web.Response:
    match error:
        case Unauthorized():
            return problem(401, "unauthorized", str(error))
        case TooMany():
            return _later(problem(429, "too_many_requests", str(error)), error.retry_after)
        case Unavailable():
            return _later(problem(503, "unavailable", str(error)), OUTAGE_RETRY)
        case ReadOnly():
            return problem(409, "read_only", str(error))
    return problem(400, "invalid_request", str(error))


def _later(response: web.Response, seconds: int) -> web.Response:
    response.headers["Retry-After"] = str(seconds)
    return response


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler for `on_response_prepare`."""
    asker = asker_of(request)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Content-Security-Policy", content_policy(asker))
    if asker.secure:
        response.headers.setdefault("Strict-Transport-Security", _STRICT_TRANSPORT)


def content_policy(asker: Asker, frame_ancestors: Sequence[str] = (), styles: Sequence[str] = ()) -> str:
    """The Content Security Policy of a response.

    Args:
        frame_ancestors: the origins whose pages may show it in a frame; none: no page may.
        styles: hashes of those that stand in it.
    """
    policy = dict(_CONTENT)
    if styles:
        policy["style-src"] = " ".join((policy["style-src"], *styles))
    if frame_ancestors:
        policy["frame-ancestors"] = " ".join(frame_ancestors)
    if _HOST.fullmatch(asker.host):
        # To some browsers 'self' is https only, and not the WebSockets of the same host.
        policy["connect-src"] += f" {'wss' if asker.secure else 'ws'}://{asker.host}"
        if not asker.secure:  # or so it looks, behind a proxy that is not trusted
            policy["connect-src"] += f" wss://{asker.host}"
    return "; ".join(f"{name} {sources}" for name, sources in policy.items())
