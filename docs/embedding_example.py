"""The relay below /calls/ in an aiohttp server of your own."""

from aiohttp import web

from relay.app import create_app
from relay.config import Settings


async def home(_request: web.Request) -> web.Response:
    return web.Response(text='<a href="calls/">Calls</a>', content_type="text/html")


def my_app(settings: Settings) -> web.Application:
    app = web.Application()
    app.router.add_get("/", home)
    app.add_subapp("/calls/", create_app(settings))
    return app


if __name__ == "__main__":
    web.run_app(my_app(Settings(dev=True)), port=8000)
