"""The listening port: how many may come, and what happens when it is too many."""

import asyncio
import contextlib
import errno
import socket

import pytest

from relay.edge.tcp.listener import bind
from relay.errors import ConfigurationError
from relay.settings.edge import LOCALHOST
from tests.edge.kit import HERE, REQUEST, RunningEdge, limited


def close(sockets: list[socket.socket]) -> None:
    for one in sockets:
        one.close()


def test_every_address_has_the_same_free_port() -> None:
    sockets = bind("", 0)
    assert len({one.getsockname()[1] for one in sockets}) == 1
    assert {one.getsockname()[0] for one in sockets} <= {"0.0.0.0", "::"}
    close(sockets)


def test_a_free_port_is_free_on_both_loopbacks_also_where_other_programs_have_many_on_one() -> None:
    with contextlib.ExitStack() as held:
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            for _ in range(300):
                one = held.enter_context(socket.socket(family))
                one.bind((host, 0))
        for _ in range(600):  # one port in fifty to a hundred is taken on one of the two
            close(bind(LOCALHOST, 0))


@pytest.mark.parametrize("host", [HERE, ""])
def test_a_port_that_is_taken_is_a_configuration_error_that_names_it(host: str) -> None:
    with socket.create_server((host, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"^cannot listen on {f'{host} port'.lstrip()} {port}: Address already"):
            bind(host, port)


def test_a_host_that_is_none_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="cannot listen on no such host port 0: "):
        bind("no such host", 0)


@limited(accept_pause=0.05)
async def test_without_file_descriptors_it_waits_and_goes_on_later(edge: RunningEdge, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket.accept

    def accept(self: socket.socket) -> tuple[socket.socket, tuple[str, int]]:
        if not edge.counters["accept_failed"]:
            raise OSError(errno.EMFILE, "Too many open files")
        return real(self)

    monkeypatch.setattr(socket.socket, "accept", accept)
    async with edge.connected() as one:
        one.send(REQUEST)
        assert (await one.rest()).startswith(b"HTTP/1.1 200 ")
    assert edge.counters["accept_failed"] == 1


async def test_a_crowd_is_served(edge: RunningEdge) -> None:
    async def ask() -> bytes:
        async with edge.connected() as one:
            one.send(REQUEST)
            return await one.rest()

    assert all(one.startswith(b"HTTP/1.1 200 ") for one in await asyncio.gather(*(ask() for _ in range(200))))


async def test_closing_hangs_up_on_those_that_have_said_nothing(edge: RunningEdge) -> None:
    async with edge.connected() as one:
        await edge.counted("connections")
        edge.edge.stop_listening()
        assert await one.rest() == b""
