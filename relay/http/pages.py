"""The browser client, served as it lies in `web/`."""

from pathlib import Path
from typing import Final

from aiohttp import web

WEB: Final = Path(__file__).resolve().parents[2] / "web"
"""`web/` lies beside `relay/`, in a checkout as in an installed package."""


async def index(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(WEB / "index.html")


async def icon(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(WEB / "icon.svg")


ROUTES: Final = [
    web.get("/", index),
    web.get("/icon.svg", icon),
    web.static("/css", WEB / "css"),
    web.static("/js", WEB / "js"),
]
