"""What stands around the page outside development mode: a relay over TLS, and the platform at which its users sign in."""

import contextlib
import importlib.util
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import jwt
from aiohttp import web
from playwright.async_api import Page, Request, expect

from tests.browser.pages import PATIENCE, STUDENT, RelayPage
from tests.edge.kit import trusting, write_certificate
from tests.kit.server import RunningRelay, running_relay

EXAMPLE = Path(__file__).parents[2] / "docs" / "sign_in_example.py"
SECRET = "the secret that the platform shares with the relay"
SERVICE_TOKEN = "the platform's own token, which is long"
CONVERSATION = 7

SYNC = {
    "profiles": [
        {"profile_type": "student", "profile_id": 456, "name": "Maya Lindgren"},
        {"profile_type": "tutor", "profile_id": 789, "name": "Daniel Okafor"},
    ],
    "conversations": [
        {
            "conversation_id": CONVERSATION,
            "members": [{"profile_type": "student", "profile_id": 456}, {"profile_type": "tutor", "profile_id": 789}],
        }
    ],
}


class ProductionPage(RelayPage):
    any_certificate: ClassVar = True

    async def shows_gate(self, text: str) -> None:
        """Wait until the page asks to sign in, and says that."""
        await expect(self.page.get_by_role("heading", name="Sign in at your platform")).to_be_visible(timeout=PATIENCE)
        await expect(self.hook("gate-problem")).to_have_text(text, timeout=PATIENCE)

    async def is_home_of(self, name: str) -> None:
        await expect(self.hook("me")).to_have_text(name, timeout=PATIENCE)


@dataclass(frozen=True)
class Production:
    relay: RunningRelay
    platform: str
    """The origin of the platform."""

    def link(self, token: str, more: str = "") -> str:
        return f"{self.relay.url}/#{more}token={token}"


def token(key: str = STUDENT, lifetime: float = 3600.0, **claims: Any) -> str:
    now = time.time()
    return jwt.encode({"sub": key, "iat": now, "exp": now + lifetime, **claims}, SECRET, algorithm="HS256")


@contextlib.asynccontextmanager
async def running_production(folder: Path) -> AsyncIterator[Production]:
    certificate, key = write_certificate(folder, "relay.example")
    spec = importlib.util.spec_from_file_location("sign_in_example", EXAMPLE)
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # Another site than that of the relay, which is at 127.0.0.1.
        origin = f"http://localhost:{listening.getsockname()[1]}"
        settings = {
            "dev": False,
            "tls_cert": certificate,
            "tls_key": key,
            "jwt_secret": SECRET,
            "jwt_leeway": 0.0,
            "service_token": SERVICE_TOKEN,
            "sign_in_url": f"{origin}/sign-in",
            "frame_ancestors": (origin,),
        }
        async with running_relay(folder, **settings) as relay:
            runner = web.AppRunner(example.platform(relay.url, SECRET))
            await runner.setup()
            try:
                await web.SockSite(runner, listening).start()
                async with (
                    aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting())) as http,
                    http.post(
                        f"{relay.url}/api/admin/sync", json=SYNC, headers={"Authorization": f"Bearer {SERVICE_TOKEN}"}
                    ) as response,
                ):
                    assert response.status == 200, await response.text()
                yield Production(relay, origin)
            finally:
                await runner.cleanup()


def requests_of(page: Page) -> list[Request]:
    """What it asks for from now on."""
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))  # noqa: PLW0108 - Playwright marks the function
    return asked
