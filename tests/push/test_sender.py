"""One attempt, at a real push service."""

import asyncio
import socket
from datetime import UTC, datetime, timedelta

import pytest
from py_vapid import Vapid02

from relay.push.endpoints import is_public
from relay.push.message import PushMessage
from relay.push.sender import Outcome, Sender
from relay.records.calls import PushSubscription
from tests.kit.wait import PATIENCE
from tests.push.service import HOST, PUBLIC_KEY, Browser, LocalPushService

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
MESSAGE = PushMessage(b'{"type": "call"}', "0123456789abcdef0123456789abcdef", "high", T0 + timedelta(seconds=45))


async def sent(sender: Sender, subscription: PushSubscription) -> Outcome:
    return await sender.send(MESSAGE, subscription, T0)


async def test_only_the_browser_can_read_what_the_push_service_gets(local: LocalPushService) -> None:
    browser = local.browser()
    async with local.sender() as sender:
        assert await sent(sender, browser.subscription) is Outcome.ACCEPTED
    [got] = local.received
    assert b"call" not in got.body
    assert browser.read(got.body) == {"type": "call"}
    assert {name: got.headers[name] for name in ("TTL", "Urgency", "Topic", "Content-Encoding")} == {
        "TTL": "45",
        "Urgency": "high",
        "Topic": MESSAGE.topic,
        "Content-Encoding": "aes128gcm",
    }
    assert Vapid02.verify(got.headers["Authorization"])
    assert PUBLIC_KEY in got.headers["Authorization"]


async def test_an_endpoint_is_asked_for_as_it_is_spelled(local: LocalPushService) -> None:
    async with local.sender() as sender:
        assert await sent(sender, local.browser("a%3Ab~c:d%2e?q=%41+b").subscription) is Outcome.ACCEPTED
    assert local.received[0].path == "/to/a%3Ab~c:d%2e?q=%41+b"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *((status, Outcome.ACCEPTED) for status in (200, 201, 202, 204)),
        *((status, Outcome.GONE) for status in (404, 410)),
        *((status, Outcome.FAILED) for status in (400, 401, 403, 413, 429, 500, 503)),
    ],
)
async def test_the_outcome_follows_the_status_of_the_push_service(local: LocalPushService, status: int, outcome: Outcome) -> None:
    local.status = status
    async with local.sender() as sender:
        assert await sent(sender, local.browser().subscription) is outcome


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(local: LocalPushService, status: int) -> None:
    local.status, local.location = status, local.url("elsewhere")
    async with local.sender() as sender:
        assert await sent(sender, local.browser().subscription) is Outcome.FAILED
    assert [one.path for one in local.received] == ["/to/one"]


async def test_a_name_that_leads_to_this_machine_is_not_connected_to(local: LocalPushService) -> None:
    async with local.sender(allowed=is_public) as sender:
        assert await sent(sender, local.browser().subscription) is Outcome.GONE
    assert not local.received


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1", "127.1", "2130706433", "127.0.0.1."])
async def test_no_address_is_connected_to_in_whatever_spelling(local: LocalPushService, host: str) -> None:
    """Not even one that would be allowed: it would not be looked up."""
    async with local.sender() as sender:
        assert await sent(sender, Browser(f"https://{host}:{local.port}/to/one").subscription) is Outcome.GONE
    assert not local.received


@pytest.mark.parametrize("endpoint", ["http://localhost/", "nowhere", ""])
async def test_a_subscription_with_an_invalid_endpoint_is_gone(local: LocalPushService, endpoint: str) -> None:
    async with local.sender() as sender:
        assert await sent(sender, Browser(endpoint).subscription) is Outcome.GONE


async def test_a_push_service_with_an_untrusted_certificate_gets_no_message(local: LocalPushService) -> None:
    async with local.sender(tls=None) as sender:
        assert await sent(sender, local.browser().subscription) is Outcome.FAILED
    assert not local.received


async def test_a_push_service_that_is_not_there_is_a_failure(local: LocalPushService) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        browser = Browser(f"https://{HOST}:{port}/to/one")
        async with local.sender(ports={port}) as sender:
            assert await sent(sender, browser.subscription) is Outcome.FAILED


async def test_a_name_that_does_not_exist_is_a_failure(local: LocalPushService, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    async with local.sender() as sender:
        assert await sent(sender, local.browser().subscription) is Outcome.FAILED


async def test_a_push_service_that_never_answers_is_a_failure(local: LocalPushService) -> None:
    left = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        left.set()

    silent = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        browser = Browser(f"https://{HOST}:{port}/to/one")
        async with local.sender(ports={port}, timeout=0.1) as sender:
            assert await sent(sender, browser.subscription) is Outcome.FAILED
        await asyncio.wait_for(left.wait(), PATIENCE)
