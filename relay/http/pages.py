"""Serves the files of the browser client in `web/`."""

from pathlib import Path
from typing import Final

from aiohttp import web

_PACKAGE: Final = Path(__file__).resolve().parents[1]
WEB: Final = _PACKAGE / "web" if (_PACKAGE / "web").is_dir() else _PACKAGE.parent / "web"
"""Inside the package where it is installed from a wheel, beside it in a checkout (setup.py)."""


async def index(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(WEB / "index.html")


async def connectivity(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(WEB / "connectivity.html")


async def recordings(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(WEB / "recordings.html")


async def icon(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(WEB / "icon.svg")


async def service_worker(_request: web.Request) -> web.FileResponse:
    """At the root, since the scope of a service worker is its own directory and those below."""
    return web.FileResponse(WEB / "sw.js")


async def part(request: web.Request) -> web.FileResponse:
    """A stylesheet or a module."""
    folder = WEB / request.match_info["folder"]
    # Not aiohttp's static route: its 404 is plain text that no middleware can turn into JSON.
    try:
        file = (folder / request.match_info["path"]).resolve()
        found = file.is_relative_to(folder) and file.is_file()
    except (OSError, ValueError):  # a name that is too long, or has a NUL
        found = False
    if not found:
        raise web.HTTPNotFound
    return web.FileResponse(file)


ROUTES: Final = [
    web.get("/", index),
    web.get("/connectivity", connectivity),
    web.get("/recordings", recordings),
    web.get("/icon.svg", icon),
    web.get("/sw.js", service_worker),
    web.get("/{folder:css|js}/{path:.+}", part),
]
