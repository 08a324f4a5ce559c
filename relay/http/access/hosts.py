"""Allowed Host headers in development mode, where any client can sign in as any profile.

A page of another site can have its own name lead to 127.0.0.1 once it is loaded (DNS rebinding). To the browser the relay is then
that site, so it lets the page read what it answers; only the Host header still says whose name was used.
"""

import re
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from relay.http.responses import problem

_LOCAL: Final = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)


@web.middleware
async def only_local_names(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests for any other name, WebSockets too. Without a Host, which every browser sends, there is none to refuse."""
    host = request.headers.get("Host")
    if host is not None and not _LOCAL.fullmatch(host):
        return problem(
            403,
            "foreign_host",
            "in development mode the relay answers to localhost, 127.0.0.1 and [::1] only; to reach it by another name, set "
            "RELAY_HOST to the address that it is to listen on",
        )
    return await handler(request)
