"""Who may open a WebSocket, and with which credentials."""

import aiohttp
import pytest

from tests.kit.server import RunningRelay


async def token_of(http: aiohttp.ClientSession) -> str:
    """Log in as student_456."""
    async with http.post("/api/dev/login", json={"profile_type": "student", "profile_id": 456}) as response:
        response.raise_for_status()
        return str((await response.json())["token"])


async def status_of_upgrade(http: aiohttp.ClientSession, path: str, protocols: tuple[str, ...] = ()) -> int:
    """101, or why not; a socket that opens must say welcome."""
    try:
        async with http.ws_connect(path, protocols=protocols) as socket:
            assert (await socket.receive_json(timeout=20))["type"] == "welcome"
            return 101
    except aiohttp.WSServerHandshakeError as error:
        return error.status


@pytest.mark.parametrize("way", ["cookie", "query", "subprotocol"])
async def test_a_credential_opens_the_socket_of_its_profile_and_no_other(relay: RunningRelay, way: str) -> None:
    jar = aiohttp.CookieJar(unsafe=True) if way == "cookie" else aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(relay.url, cookie_jar=jar) as http:
        token = await token_of(http)
        query = f"?token={token}" if way == "query" else ""
        protocols = ("bearer", token) if way == "subprotocol" else ()
        statuses = {
            path: await status_of_upgrade(http, f"{path}{query}", protocols)
            for path in ("/ws/456/student", "/ws/789/tutor", "/ws/456/tutor", "/ws/457/student")
        }
    assert statuses == {"/ws/456/student": 101, "/ws/789/tutor": 403, "/ws/456/tutor": 403, "/ws/457/student": 403}


async def test_a_connection_without_a_credential_is_refused(relay: RunningRelay) -> None:
    async with aiohttp.ClientSession(relay.url) as http:
        assert await status_of_upgrade(http, "/ws/456/student") == 401


async def test_a_credential_signed_with_another_key_is_refused(relay: RunningRelay) -> None:
    async with aiohttp.ClientSession(relay.url, cookie_jar=aiohttp.DummyCookieJar()) as http:
        header, payload, signature = (await token_of(http)).split(".")
        forged = f"{header}.{payload}.{signature[::-1]}"
        assert await status_of_upgrade(http, f"/ws/456/student?token={forged}") == 401
        assert await status_of_upgrade(http, "/ws/456/student?token=nonsense") == 401
