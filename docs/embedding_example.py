"""The relay below /calls/ in an aiohttp server of your own, with media over TCP and TURN on a port beside it."""

from aiohttp import web

from relay.app import create_app
from relay.serving import media_beside
from relay.settings.all import Settings


async def home(_request: web.Request) -> web.Response:
    return web.Response(text='<a href="calls/">Calls</a>', content_type="text/html")


def my_app(settings: Settings) -> web.Application:
    app, relay = web.Application(), create_app(settings)
    app.router.add_get("/", home)
    app.add_subapp("/calls/", relay)
    app.cleanup_ctx.append(media_beside(relay))
    return app


if __name__ == "__main__":
    web.run_app(my_app(Settings(dev=True, port=8001)), port=8000)
