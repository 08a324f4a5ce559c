"""The listening port: how many may come, and what happens when it is too many."""

import asyncio
import contextlib
import errno
import ipaddress
import socket

import pytest

from relay.errors import ConfigurationError
from relay.front.io import listener
from relay.front.io.listener import bind
from tests.front.kit import HERE, REQUEST, RunningFront
from tests.kit.wait import eventually


def close(sockets: list[socket.socket]) -> None:
    for one in sockets:
        one.close()


def test_every_address_has_the_same_free_port() -> None:
    sockets = bind("", 0)
    assert len({one.getsockname()[1] for one in sockets}) == 1
    assert {one.getsockname()[0] for one in sockets} <= {"0.0.0.0", "::"}
    close(sockets)


@pytest.mark.parametrize("host", [HERE, ""])
def test_a_port_that_is_taken_is_a_configuration_error_that_names_it(host: str) -> None:
    with socket.create_server((host, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"^cannot listen on {f'{host} port'.lstrip()} {port}: Address already"):
            bind(host, port)


def test_a_host_that_is_none_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="cannot listen on no such host port 0: "):
        bind("no such host", 0)


async def test_one_address_has_only_so_many_undecided_connections(front: RunningFront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MAX_UNDECIDED_PER_ADDRESS", 3)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(front.connected())
        await front.counted("connections", 3)
        one = await stack.enter_async_context(front.connected())
        assert await one.rest() == b""
        assert front.counters["refused_address"] == 1
    await front.counted("refused_silent", 3)
    async with front.connected() as one:
        one.send(REQUEST)
        assert (await one.rest()).startswith(b"HTTP/1.1 200 ")


async def test_there_are_only_so_many_undecided_connections_in_all(front: RunningFront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MAX_UNDECIDED", 1)
    async with front.connected():
        await front.counted("connections")
        async with front.connected() as one:
            assert await one.rest() == b""
    assert front.counters["refused_full"] == 1


async def test_those_that_are_served_do_not_count_as_undecided(front: RunningFront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MAX_UNDECIDED", 1)
    for number in range(1, 6):
        async with front.connected() as one:
            one.send(REQUEST)
            assert (await one.rest()).startswith(b"HTTP/1.1 200 ")
        assert front.counters["connections_http"] == number


async def test_there_are_only_so_many_http_connections(front: RunningFront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MAX_HTTP", 1)
    async with front.connected() as one, front.connected() as other:
        one.send(REQUEST.replace(b"close", b"keep-alive"))
        assert (await asyncio.wait_for(one.reader.readline(), 20)).startswith(b"HTTP/1.1 200 ")
        other.send(REQUEST)
        assert await other.rest() == b""
    assert front.counters["refused_full"] == 1


@pytest.mark.parametrize("is_proxy", [False, True])
async def test_one_address_has_only_so_many_http_connections_unless_it_is_a_proxy(
    front: RunningFront, monkeypatch: pytest.MonkeyPatch, is_proxy: bool
) -> None:
    monkeypatch.setattr(listener, "MAX_HTTP_PER_ADDRESS", 1)
    # This machine is always taken for a proxy.
    monkeypatch.setattr(listener.Listener, "_is_proxy", lambda _self, _address: is_proxy)
    async with front.connected() as one:
        one.send(REQUEST.replace(b"close", b"keep-alive"))
        assert (await asyncio.wait_for(one.reader.readline(), 20)).startswith(b"HTTP/1.1 200 ")
        async with front.connected() as other:
            other.send(REQUEST)
            assert (await other.rest() == b"") != is_proxy
    assert front.counters["refused_address"] == (not is_proxy)
    [running] = front.front._listeners
    await eventually(lambda: not running._http, "those that are over do not count")
    async with front.connected() as one:
        one.send(REQUEST)
        assert (await one.rest()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", True), ("::1", True), ("10.1.2.3", True), ("192.0.2.1", False), ("2001:db8::1", False)],
)
async def test_a_proxy_is_this_machine_or_one_of_those_that_are_named(address: str, expected: bool) -> None:
    async with RunningFront.started(proxies=(ipaddress.ip_network("10.0.0.0/8"),)) as front:
        assert front.front._listeners[0]._is_proxy(address) == expected


async def test_without_file_descriptors_it_waits_and_goes_on_later(front: RunningFront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "ACCEPT_PAUSE", 0.05)
    real = socket.socket.accept

    def accept(self: socket.socket) -> tuple[socket.socket, tuple[str, int]]:
        if not front.counters["accept_failed"]:
            raise OSError(errno.EMFILE, "Too many open files")
        return real(self)

    monkeypatch.setattr(socket.socket, "accept", accept)
    async with front.connected() as one:
        one.send(REQUEST)
        assert (await one.rest()).startswith(b"HTTP/1.1 200 ")
    assert front.counters["accept_failed"] == 1


async def test_a_crowd_is_served(front: RunningFront) -> None:
    async def ask() -> bytes:
        async with front.connected() as one:
            one.send(REQUEST)
            return await one.rest()

    assert all(one.startswith(b"HTTP/1.1 200 ") for one in await asyncio.gather(*(ask() for _ in range(200))))


async def test_closing_hangs_up_on_those_that_have_said_nothing(front: RunningFront) -> None:
    async with front.connected() as one:
        await front.counted("connections")
        front.front.stop_listening()
        assert await one.rest() == b""
