"""A platform that signs its users in to a relay elsewhere: by a redirect with a token, and in a frame of its own page."""

import os
import time
from urllib.parse import urldefrag, urlsplit

import jwt
from aiohttp import web

RELAY = web.AppKey("relay", str)
SECRET = web.AppKey("secret", str)
LIFETIME = 3600

FRAME = """<!doctype html>
<title>My platform</title>
<iframe src="{relay}/" width="800" height="800" title="Calls"
  allow="camera; microphone; display-capture; autoplay; fullscreen; screen-wake-lock"></iframe>
<script>
  addEventListener("message", async ({{ data, origin, source }}) => {{
    if (origin !== "{relay}" || data?.type !== "call_relay_token_needed") return;
    const token = await (await fetch("/token", {{ method: "POST" }})).text();
    source.postMessage({{ type: "call_relay_token", token }}, origin);
  }});
</script>
"""


def profile_of(request: web.Request) -> str:
    """The user of this platform's own session, as the relay names it. Yours knows its users by a password and a session."""
    return request.cookies.get("user") or request.query.get("user") or "student_456"


def token_for(app: web.Application, profile: str) -> str:
    now = time.time()
    return jwt.encode({"sub": profile, "iat": now, "exp": now + LIFETIME}, app[SECRET], algorithm="HS256")


async def sign_in(request: web.Request) -> web.Response:
    """`RELAY_SIGN_IN_URL`: back to where the user came from, with a token."""
    back, link = urldefrag(request.query.get("return_to") or f"{request.app[RELAY]}/")
    # What is not the relay must get no token.
    if urlsplit(back)[:2] != urlsplit(request.app[RELAY])[:2]:
        raise web.HTTPBadRequest(text="return_to: not the relay")
    token = token_for(request.app, profile_of(request))
    raise web.HTTPSeeOther(f"{back}#{'&'.join(filter(None, (link, f'token={token}')))}", headers={"Cache-Control": "no-store"})


async def token(request: web.Request) -> web.Response:
    """For the frame, by the user's session."""
    return web.Response(text=token_for(request.app, profile_of(request)), headers={"Cache-Control": "no-store"})


async def frame(request: web.Request) -> web.Response:
    return web.Response(text=FRAME.format(relay=request.app[RELAY]), content_type="text/html")


def platform(relay: str, secret: str) -> web.Application:
    """
    Args:
        relay: its origin, such as `https://calls.example.org`.
        secret: its `RELAY_JWT_SECRET`.
    """
    app = web.Application()
    app[RELAY], app[SECRET] = relay, secret
    app.add_routes([web.get("/sign-in", sign_in), web.post("/token", token), web.get("/calls", frame)])
    return app


if __name__ == "__main__":
    web.run_app(platform(os.environ["RELAY_ORIGIN"], os.environ["RELAY_JWT_SECRET"]), port=8080)
