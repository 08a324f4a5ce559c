"""Detects headers that a reverse proxy fails to pass on. Each fault is logged once, with the header's name.

Otherwise an operator sees a page that loads but never connects, or users who share one rate limit.
"""

import logging
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from yarl import URL

from relay.http.proxies import Asker, asker_of
from relay.settings.notation import parse_origin

logger = logging.getLogger(__name__)

_OURS: Final = ("/api/", "/ws/")
"""Paths that pages request. The proxy's own probes use other paths, and forward no client."""

_MAX_LINES: Final = 32
"""Lines in all: a fault is logged once for each trusted proxy, and once for all others together."""

_UPGRADE: Final = (
    "a WebSocket came without its Upgrade header, so it was refused: the reverse proxy must pass on `Upgrade` and `Connection` "
    "(nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade)"
)
_PORT: Final = (
    "a page that is open on port %d came with a Host header without a port, so it looks like another site's and is refused: the "
    "reverse proxy must pass on `Host` as it came (nginx: proxy_set_header Host $http_host, not $host), or `X-Forwarded-Host`"
)
_HOST: Final = (
    "a trusted proxy sends a Host header that is not what the page was opened by, so the page looks like another site's and is "
    "refused: it must pass on `Host` as it came (nginx: proxy_set_header Host $http_host), or `X-Forwarded-Host`"
)
_FOR: Final = (
    "a trusted proxy sends no X-Forwarded-For, so all of its users are one address to the limits "
    "(nginx: proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for)"
)
_PROTO: Final = (
    "a trusted proxy sends no X-Forwarded-Proto for a page that was opened by https, so the cookie is not kept to https "
    "(nginx: proxy_set_header X-Forwarded-Proto $scheme)"
)


class ProxyFaults:
    """Inspects every request, and changes none."""

    def __init__(self) -> None:
        self._logged: set[tuple[str, str | None]] = set()

    def middleware(self) -> Middleware:
        """Must run after the middleware of `Proxies`."""

        @web.middleware
        async def look(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith(_OURS):
                self._look(request, asker_of(request))
            return await handler(request)

        return look

    def _look(self, request: web.Request, asker: Asker) -> None:
        headers = request.headers
        # RFC 9110 section 7.6.1: a proxy without support for WebSockets drops the hop-by-hop headers, and only those.
        if "Sec-WebSocket-Key" in headers and "websocket" not in headers.get("Upgrade", "").lower():
            self._log(asker, _UPGRADE)
        if asker.proxy is not None and "X-Forwarded-For" not in headers:
            self._log(asker, _FOR)
        if "Origin" in headers:
            self._look_at_origin(headers["Origin"], asker, has_proto="X-Forwarded-Proto" in headers)

    def _look_at_origin(self, text: str, asker: Asker, *, has_proto: bool) -> None:
        try:
            scheme, host, port = parse_origin(text)
            ours = URL(f"{scheme}://{asker.host}")
            same_host, same_port = (ours.host or "").lower() == host, ours.port == port
        except ValueError:
            return
        if same_host and not same_port and ours.explicit_port is None:
            self._log(asker, _PORT, port)
        if asker.proxy is None:
            return
        if same_host and scheme == "https" and not asker.secure and not has_proto:
            self._log(asker, _PROTO)
        if not same_host and _is_address_or_local(ours):
            self._log(asker, _HOST)

    def _log(self, asker: Asker, line: str, *values: object) -> None:
        key = line, asker.proxy
        if key not in self._logged and len(self._logged) < _MAX_LINES:
            self._logged.add(key)
            logger.warning(line, *values)


def _is_address_or_local(url: URL) -> bool:
    """Whether a proxy seems to have put the relay's own address in place of the page's name. Others may be other sites'."""
    host = url.host or ""
    return host == "localhost" or "." not in host or host.replace(".", "").isdigit() or ":" in host
