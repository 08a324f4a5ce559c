"""The origins of the pages that may use the relay.

A browser sends the cookie of a site with what *any* page asks of it, and lets any page open a WebSocket anywhere. It also says
which page asks, in a header that no script can change (RFC 6454, RFC 6455 section 10.2): only our own page, and those that the
operator names, are served.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from yarl import URL

from relay.http.proxies import asker_of
from relay.http.responses import problem
from relay.settings.notation import Origin, parse_origin

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""RFC 9110 section 9.2.1: methods that change nothing."""


class Origins:
    """The allowed origins.

    Args:
        allowed: those besides the page's own.

    Attributes:
        refused: requests that came from a foreign page, by what they were: `socket`, `request` or `preflight`.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(parse_origin(one) for one in allowed)
        self.refused: Counter[str] = Counter()

    def allowed(self, request: web.BaseRequest) -> bool:
        """Whether the page that a request comes from, if it comes from a page, may send it."""
        if "Origin" not in request.headers:
            return True  # no browser, or a navigation; neither carries what a foreign page could make use of
        origin = _origin_of(request)
        return origin is not None and (origin in self._allowed or _is_same_host(origin, request))

    @property
    def any_named(self) -> bool:
        """Whether the operator names any."""
        return bool(self._allowed)

    def named(self, request: web.BaseRequest) -> bool:
        """Whether a request comes from a page that the operator names."""
        return _origin_of(request) in self._allowed

    def middleware(self) -> Middleware:
        """Refuses WebSockets and changes by foreign pages. The browser's same-origin policy keeps them from reading."""

        @web.middleware
        async def refuse_foreign_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
            upgrade = "websocket" in request.headers.get("Upgrade", "").lower()
            if (upgrade or request.method not in _SAFE) and not self.allowed(request):
                self.refused["socket" if upgrade else "request"] += 1
                return problem(403, "foreign_origin", "pages of this origin may not use the relay")
            return await handler(request)

        return refuse_foreign_pages


def _origin_of(request: web.BaseRequest) -> Origin | None:
    """The origin of the page that sent a request; None if its Origin header is invalid."""
    values = request.headers.getall("Origin", ())
    try:
        return parse_origin(values[0]) if len(values) == 1 else None
    except ValueError:  # also "null": a sandboxed frame, a file
        return None


def _is_same_host(origin: Origin, request: web.BaseRequest) -> bool:
    scheme, host, port = origin
    asker = asker_of(request)
    if asker.secure and scheme != "https":
        return False
    try:
        # Behind a proxy that is not trusted, https looks like http: then the origin's own scheme says which port is the usual.
        ours = URL(f"{scheme}://{asker.host}")
        return (ours.host or "").lower() == host and ours.port == port
    except ValueError:
        return False
