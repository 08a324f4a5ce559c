"""Browsers subscribe to calls by Web Push."""

import sqlite3
from typing import Any

import aiohttp
import pytest

from relay.app import create_app
from relay.errors import ConfigurationError
from relay.settings.all import Settings
from tests.http.conftest import bearer
from tests.kit.server import RunningRelay
from tests.kit.wait import PATIENCE, eventually
from tests.push.service import PRIVATE_KEY, PUBLIC_KEY, SUBJECT, Browser
from tests.sdp.descriptions import VOICE_OFFER

STUDENT, TUTOR = "student_456", "tutor_789"
BROWSER = Browser("https://push.example/to/one")

on = pytest.mark.settings(vapid_private_key=PRIVATE_KEY, vapid_subject=SUBJECT)


def subscription(endpoint: str = BROWSER.endpoint, **keys: Any) -> dict[str, Any]:
    """`PushSubscription.toJSON()`."""
    return {"endpoint": endpoint, "expirationTime": None, "keys": {"p256dh": BROWSER.p256dh, "auth": BROWSER.auth, **keys}}


def registered(relay: RunningRelay) -> set[tuple[str, str]]:
    """Profile and endpoint of each, read through a connection of our own."""
    with sqlite3.connect(relay.database_url.partition("///")[2]) as connection:
        query = "SELECT profile_type || '_' || profile_id, endpoint FROM push_subscriptions"
        rows = set(connection.execute(query))
    connection.close()
    return rows


async def post(http: aiohttp.ClientSession, body: Any, key: str = STUDENT) -> tuple[int, Any]:
    async with http.post("/api/push/subscriptions", json=body, headers=bearer(key)) as response:
        return response.status, (await response.json() if response.status != 204 else None)


@on
async def test_a_browser_gets_the_key_that_it_subscribes_with(http: aiohttp.ClientSession) -> None:
    async with http.get("/api/push/key", headers=bearer(STUDENT)) as response:
        assert (response.status, await response.json()) == (200, {"key": PUBLIC_KEY})


@pytest.mark.changes_nothing
@pytest.mark.parametrize("endpoint", ["https://push.example/\0", "\0", "https://push.example/\n", "https://püsh.example/"])
async def test_an_endpoint_that_is_no_url_cannot_be_removed(http: aiohttp.ClientSession, endpoint: str) -> None:
    """PostgreSQL would not even look for it."""
    async with http.delete("/api/push/subscriptions", json={"endpoint": endpoint}, headers=bearer(STUDENT)) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (400, "invalid_request")


@on
async def test_a_browser_registers_for_one_profile_and_leaves(http: aiohttp.ClientSession, relay: RunningRelay) -> None:
    for _ in range(2):
        assert await post(http, subscription()) == (204, None)
    assert registered(relay) == {(STUDENT, BROWSER.endpoint)}
    for key, left in ((TUTOR, {(STUDENT, BROWSER.endpoint)}), (STUDENT, set())):
        body = {"endpoint": BROWSER.endpoint}
        async with http.delete("/api/push/subscriptions", json=body, headers=bearer(key)) as response:
            assert response.status == 204
        assert registered(relay) == left


@pytest.mark.changes_nothing
@on
@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"endpoint": BROWSER.endpoint},
        {"endpoint": BROWSER.endpoint, "keys": {"p256dh": BROWSER.p256dh}},
        subscription("http://push.example/to/one"),
        subscription("https://127.0.0.1/to/one"),
        subscription("https://[::ffff:10.0.0.1]/to/one"),
        subscription("https://push.example/" + "a" * 3000),
        subscription(""),
        subscription(p256dh="A" * 87),
        subscription(auth="short"),
        subscription(auth="A" * 3000),
        subscription(auth=7),
    ],
)
async def test_an_invalid_subscription_is_refused(http: aiohttp.ClientSession, relay: RunningRelay, body: Any) -> None:
    status, answer = await post(http, body)
    assert (status, answer["error"]["code"]) == (400, "invalid_request")
    assert not registered(relay)


@on
async def test_a_subscription_of_an_unknown_profile_is_refused(http: aiohttp.ClientSession, relay: RunningRelay) -> None:
    status, _ = await post(http, subscription(), "student_999999")
    assert status == 400
    assert not registered(relay)


@pytest.mark.changes_nothing
@on
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/push/key"), ("POST", "/api/push/subscriptions"), ("DELETE", "/api/push/subscriptions")],
)
async def test_a_subscription_needs_a_credential(http: aiohttp.ClientSession, method: str, path: str) -> None:
    async with http.request(method, path, json=subscription()) as response:
        assert response.status == 401


async def test_without_keys_there_is_no_web_push(http: aiohttp.ClientSession, relay: RunningRelay) -> None:
    async with http.get("/api/push/key", headers=bearer(STUDENT)) as response:
        assert (response.status, await response.json()) == (200, {"key": None})
    status, _ = await post(http, subscription())
    assert status == 404
    assert not registered(relay)
    body = {"endpoint": BROWSER.endpoint}
    async with http.delete("/api/push/subscriptions", json=body, headers=bearer(STUDENT)) as response:
        assert response.status == 204


@pytest.mark.parametrize(
    ("private", "subject", "named"),
    [
        (PRIVATE_KEY, "", "RELAY_VAPID_SUBJECT"),
        (PRIVATE_KEY, "operator@relay.test", "RELAY_VAPID_SUBJECT"),
        (PRIVATE_KEY, "mailto:", "RELAY_VAPID_SUBJECT"),
        ("", SUBJECT, "RELAY_VAPID_PRIVATE_KEY"),
        ("secret", SUBJECT, "RELAY_VAPID_PRIVATE_KEY"),
        ("A" * 43, SUBJECT, "RELAY_VAPID_PRIVATE_KEY"),
    ],
    ids=["no subject", "no address", "no recipient", "no key", "no base64url", "zero"],
)
def test_invalid_vapid_keys_stop_the_start(private: str, subject: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named) as refused:
        create_app(Settings(dev=True, workers=0, vapid_private_key=private, vapid_subject=subject))
    assert not private or private not in str(refused.value)


async def heard(socket: aiohttp.ClientWebSocketResponse, expected: dict[str, str]) -> None:
    """Wait for a message that says this."""
    while not expected.items() <= (await socket.receive_json(timeout=PATIENCE)).items():
        pass


@on
async def test_a_call_to_a_profile_without_a_page_goes_to_its_browser(http: aiohttp.ClientSession, relay: RunningRelay) -> None:
    """The endpoint resolves to this machine, so it is refused at the connection; the subscription is then removed."""
    assert await post(http, subscription("https://localhost/to/one")) == (204, None)
    conversation_id = await relay.new_conversation(STUDENT, TUTOR)
    to = {"conversation_id": conversation_id, "to_profile_type": "student", "to_profile_id": 456}
    offer = {"type": "offer", "sdp": VOICE_OFFER}
    async with http.ws_connect("/ws/789/tutor?version=2", headers=bearer(TUTOR)) as socket:
        await socket.send_json({"type": "call_invitation", "call_type": "voice", "offer": offer, **to})
        await heard(socket, {"type": "call_state", "state": "invited"})
        await eventually(lambda: not registered(relay), "the subscription is removed")
        await socket.send_json({"type": "call_invitation", "call_type": "voice", "offer": offer, **to})
        await heard(socket, {"reason": "offline"})
