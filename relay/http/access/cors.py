"""Cross-origin requests (Fetch standard, "CORS protocol") of the pages that the operator names.

A browser shows a page the answer of another origin, or runs a module from there, only if that says so. The relay says so of its
API and of the modules and styles that a page may embed, and to no other page than those of `RELAY_ALLOWED_ORIGINS`.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from relay.http.access.origins import Origins
from relay.http.responses import problem

_SHARED: Final = re.compile(r"/(?:api/(?!admin/)|client/|app/|css/|icon\.svg$)")
"""What pages of other origins may ask for, also below a prefix that the relay is mounted at. The platform's own resources are not
for pages: their credential must not be in a browser."""

_REQUEST_HEADERS: Final = "Authorization, Content-Type, If-Range, Range"
"""That a page may set, besides those that need no leave. Of `Range`, `bytes=-500` needs one."""

_RESPONSE_HEADERS: Final = "Accept-Ranges, Allow, Content-Disposition, Content-Range, ETag, Retry-After"
"""That a page may read, besides those that need no leave."""

_PREFLIGHT_LIFETIME: Final = 7200
"""Seconds, the most that Chromium takes. What is then sent is looked at again, so an origin that is removed has nothing of it."""


class Cors:
    """The answers to pages of other origins.

    Args:
        origins: says which are served, and counts what is refused.
    """

    def __init__(self, origins: Origins) -> None:
        self._origins = origins

    def middleware(self) -> Middleware:
        """Answers preflights. It stands before the limits: a preflight has no credential that could let it pass them."""

        @web.middleware
        async def answer_preflights(request: web.Request, handler: Handler) -> web.StreamResponse:
            wanted = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_METHOD)
            if request.method != hdrs.METH_OPTIONS or wanted is None or not self._is_shared(request):
                return await handler(request)
            if not self._origins.named(request):
                self._origins.refused["preflight"] += 1
                return problem(403, "foreign_origin", "pages of this origin may not use the relay")
            failure = request.match_info.http_exception
            if not isinstance(failure, web.HTTPMethodNotAllowed):  # there is no such resource
                return await handler(request)
            return web.Response(
                status=204,
                headers={
                    hdrs.ACCESS_CONTROL_ALLOW_METHODS: ", ".join(sorted(failure.allowed_methods)),
                    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: _REQUEST_HEADERS,
                    hdrs.ACCESS_CONTROL_MAX_AGE: str(_PREFLIGHT_LIFETIME),
                },
            )

        return answer_preflights

    def signal(self) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
        """Handler for `on_response_prepare`: errors too can be read by the page that they are for."""

        async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
            if not self._origins.any_named or not self._is_shared(request):
                return
            # Always: what a cache has for one page must not be given to another.
            response.headers[hdrs.VARY] = ", ".join(filter(None, (response.headers.get(hdrs.VARY), hdrs.ORIGIN)))
            if self._origins.named(request):
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = request.headers[hdrs.ORIGIN]
                # The cookie, which a browser sends between origins of one site.
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
                response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _RESPONSE_HEADERS
                response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"

        return add_headers

    def _is_shared(self, request: web.Request) -> bool:
        return _SHARED.search(request.path) is not None
