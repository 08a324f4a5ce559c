"""JSON in and out, and what every answer has in common."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from relay.errors import RelayError, Unauthorized

logger = logging.getLogger(__name__)

MAX_BODY: Final = 64 * 1024
"""Bytes of a request body."""

_HEADERS: Final = {
    # Asked for again at each load, and answered 304: a page of yesterday with modules of today would be neither.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' https: data: blob:; media-src 'self' blob:; "
    "connect-src 'self' ws: wss:; object-src 'none'; base-uri 'self'; frame-ancestors 'none'; form-action 'self'",
    "Permissions-Policy": "camera=(self), microphone=(self), display-capture=(self)",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

_Body = TypeVar("_Body")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answer(body: object, status: int = 200) -> web.Response:
    """`body` as JSON; msgspec structs, dataclasses and containers of them."""
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")


def problem(status: int, code: str, message: str) -> web.Response:
    """`{"error": {"code", "message"}}`."""
    return answer({"error": {"code": code, "message": message}}, status)


async def body_of(request: web.Request, kind: type[_Body]) -> _Body:
    """The request's JSON body.

    Raises:
        RelayError: it is not what `kind` says.
    """
    try:
        body = await request.read()
        if len(body) > MAX_BODY:  # below a prefix, the limit of the outer application counts
            raise web.HTTPRequestEntityTooLarge(MAX_BODY, len(body))
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError, web.RequestPayloadError) as error:
        raise RelayError(str(error)) from None


@web.middleware
async def errors_in_words(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Every failure leaves as JSON with a code; only what is our own fault is logged."""
    try:
        return await handler(request)
    except Unauthorized as error:
        return problem(401, "unauthorized", str(error))
    except RelayError as error:
        return problem(400, "invalid_request", str(error))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = problem(error.status, error.reason.lower().replace(" ", "_"), error.text or error.reason)
        if "Allow" in error.headers:  # RFC 9110 section 15.5.6: a 405 says what would be allowed
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except Exception:
        logger.exception("%s %s failed", request.method, request.path)
        return problem(500, "internal", "the server could not do this")


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler for `on_response_prepare`."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
