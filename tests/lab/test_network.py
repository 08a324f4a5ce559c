"""The lab itself: gateways let through what they say, and nothing else."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.kit.wait import eventually
from tests.lab.gateways import Access
from tests.lab.namespaces import FILES, NAMESPACES, PREFIX, LabError, Namespace, requirements
from tests.lab.network import PRIVATE_SERVER, SERVER, Internet, Site

MEDIA, OTHER = 40000, 40001
"""Ports of the server."""

Address = tuple[str, int]


@contextlib.contextmanager
def udp(machine: Namespace, *bound: Address) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(machine.socket(socket.SOCK_DGRAM, one)) for one in bound]


async def sender(receiver: socket.socket) -> Address | None:
    """The sender of the next datagram. None if none came within a time that is enough for any datagram on its way."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            _, (host, port) = await loop.sock_recvfrom(receiver, 100)
            return host, port
    return None


async def mapping(client: socket.socket, server: socket.socket) -> Address | None:
    """The client's address, as the server sees it."""
    client.sendto(b"hello", (SERVER, server.getsockname()[1]))
    return await sender(server)


@contextlib.contextmanager
def clients(internet: Internet, site: Site) -> Iterator[tuple[socket.socket, socket.socket, socket.socket]]:
    """A socket of the client, and two of the server."""
    with (
        udp(site.client, (site.address, 5000)) as [client],
        udp(internet.server, (SERVER, MEDIA), (SERVER, OTHER)) as [media, other],
    ):
        yield client, media, other


async def test_an_open_client_shows_its_own_address_and_takes_anybodys_datagrams(internet: Internet) -> None:
    site = internet.site(Access.OPEN)
    with clients(internet, site) as (client, media, other):
        assert await mapping(client, media) == (site.address, 5000)
        other.sendto(b"unasked", (site.address, 5000))
        assert await sender(client) == (SERVER, OTHER)


async def test_a_full_cone_has_one_outer_port_which_anybody_may_send_to(internet: Internet) -> None:
    site = internet.site(Access.FULL_CONE)
    with clients(internet, site) as (client, media, other):
        outer = await mapping(client, media)
        assert outer == ("198.51.100.2", 5000)
        other.sendto(b"unasked", outer)
        assert await sender(client) == (SERVER, OTHER)
        assert await mapping(client, other) == outer


async def test_a_symmetric_nat_has_an_outer_port_per_destination_and_accepts_packets_from_it_alone(internet: Internet) -> None:
    site = internet.site(Access.SYMMETRIC)
    with clients(internet, site) as (client, media, other):
        outer = await mapping(client, media)
        assert outer is not None
        assert (outer[0], outer[1] != 5000) == ("198.51.100.2", True)
        other.sendto(b"unasked", outer)
        assert await sender(client) is None
        media.sendto(b"answer", outer)
        assert await sender(client) == (SERVER, MEDIA)
        assert await mapping(client, other) != outer


@pytest.mark.parametrize("access", [Access.UDP_BLOCKED, Access.ONLY_TCP_443, Access.ONLY_TLS_443])
async def test_no_udp_gets_through(internet: Internet, access: Access) -> None:
    site = internet.site(access)
    with clients(internet, site) as (client, media, _):
        assert await mapping(client, media) is None


async def test_a_host_that_is_cut_off_neither_hears_nor_is_heard_and_what_it_was_sent_is_counted(internet: Internet) -> None:
    site, host = internet.site(Access.OPEN), internet.host()
    pairs = [(site.address, host.address), (host.address, site.address)]
    with udp(site.client, (site.address, 5000)) as [client], udp(host.machine, (host.address, MEDIA)) as [server]:
        with internet.counting() as flows:
            for one, to in ((client, (host.address, MEDIA)), (server, (site.address, 5000))):
                one.sendto(b"hello", to)
            assert (await sender(server), await sender(client)) == ((site.address, 5000), (host.address, MEDIA))
            with internet.cut(host):
                client.sendto(b"hello", (host.address, MEDIA))
                server.sendto(b"hello", (site.address, 5000))
                assert (await sender(server), await sender(client)) == (None, None)
            assert flows.packets() == dict.fromkeys(pairs, 1)
        client.sendto(b"hello", (host.address, MEDIA))
        assert await sender(server) == (site.address, 5000)


async def test_a_nat_that_forgets_shows_another_address(internet: Internet) -> None:
    site = internet.site(Access.SYMMETRIC)
    with clients(internet, site) as (client, media, _):
        before = await mapping(client, media)
        assert before is not None
        assert before[0] == "198.51.100.2"
        site.new_mapping()

        async def elsewhere() -> Address | None:
            found = await mapping(client, media)
            return found if found and found[0] != before[0] else None

        after = await eventually(elsewhere, "the kernel has forgotten, which it does in the background")
        assert after[0] == "198.51.100.3"
        media.sendto(b"late", before)
        assert await sender(client) is None
        media.sendto(b"answer", after)
        assert await sender(client) == (SERVER, MEDIA)


async def test_a_client_with_a_new_interface_has_a_new_address(internet: Internet) -> None:
    site = internet.site(Access.OPEN)
    before = site.address
    site.new_interface()
    assert site.address != before
    with clients(internet, site) as (client, media, _):
        assert await mapping(client, media) == (site.address, 5000)
    with pytest.raises(OSError, match="Cannot assign"):
        site.client.socket(socket.SOCK_DGRAM, (before, 5000))


# -- TCP --------------------------------------------------------------------------------------------------------------

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def echo(machine: Namespace, port: int) -> AsyncIterator[None]:
    """A server that sends back what it gets."""

    writers = []

    async def back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(100):
                writer.write(data)

    async with await asyncio.start_server(back, sock=machine.socket(socket.SOCK_STREAM, ("0.0.0.0", port))):
        yield
        for writer in writers:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def connected(site: Site, port: int) -> AsyncIterator[Stream]:
    """A connection from the client to the server.

    Raises:
        TimeoutError: there is no way.
    """
    with site.client.socket(socket.SOCK_STREAM) as client:
        async with asyncio.timeout(0.5):
            await asyncio.get_running_loop().sock_connect(client, (SERVER, port))
        reader, writer = await asyncio.open_connection(sock=client)
        yield reader, writer
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def echoed(stream: Stream, data: bytes) -> bytes | None:
    """What comes back; None: nothing."""
    reader, writer = stream
    writer.write(data)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            return await reader.read(100)
    return None


async def test_a_firewall_lets_only_port_443_through(internet: Internet) -> None:
    site = internet.site(Access.ONLY_TCP_443)
    async with echo(internet.server, 443), echo(internet.server, 80):
        async with connected(site, 443) as stream:
            assert await echoed(stream, b"GET / HTTP/1.1") == b"GET / HTTP/1.1"
        with pytest.raises(TimeoutError):
            async with connected(site, 80):
                pass


async def test_a_firewall_lets_only_tls_through(internet: Internet) -> None:
    site = internet.site(Access.ONLY_TLS_443)
    async with echo(internet.server, 443):
        async with connected(site, 443) as stream:
            assert await echoed(stream, b"\x16\x03\x01 hello") == b"\x16\x03\x01 hello"
            assert await echoed(stream, b"anything") == b"anything"
        async with connected(site, 443) as stream:
            assert await echoed(stream, b"GET / HTTP/1.1") is None


async def test_a_reset_ends_the_connections_that_run_and_no_later_ones(internet: Internet) -> None:
    site = internet.site(Access.SYMMETRIC)
    async with echo(internet.server, 443):
        async with connected(site, 443) as stream:
            assert await echoed(stream, b"before") == b"before"
            assert site.reset_connections(443) == 1
            with pytest.raises(ConnectionResetError):
                await echoed(stream, b"after")
        async with connected(site, 443) as stream:
            assert await echoed(stream, b"again") == b"again"


async def test_a_server_behind_nat_is_reached_at_its_public_address() -> None:
    with Internet.built(server_behind_nat=True) as internet:
        site = internet.site(Access.OPEN)
        with (
            udp(site.client, (site.address, 5000)) as [client],
            udp(internet.server, (PRIVATE_SERVER, MEDIA)) as [server],
        ):
            assert await mapping(client, server) == (site.address, 5000)
            server.sendto(b"answer", (site.address, 5000))
            assert await sender(client) == (SERVER, MEDIA)
        async with echo(internet.server, 443), connected(site, 443) as stream:
            assert await echoed(stream, b"hello") == b"hello"


# -- the end ----------------------------------------------------------------------------------------------------------


def namespaces_of(process: int) -> list[str]:
    return [path.name for folder in (NAMESPACES, FILES) for path in folder.glob(f"{PREFIX}-{process}-*")]


def test_a_lab_that_fails_leaves_no_namespaces_or_processes() -> None:
    others = namespaces_of(os.getpid())
    with pytest.raises(ZeroDivisionError), Internet.built() as internet:
        site = internet.site(Access.OPEN)
        resident = subprocess.Popen(site.client.command("sh", "-c", "echo; exec sleep 600"), stdout=subprocess.PIPE)
        assert resident.stdout is not None
        resident.stdout.readline()  # it has entered
        assert namespaces_of(os.getpid()) != others
        raise ZeroDivisionError
    with resident:
        assert resident.wait() == -signal.SIGKILL
    assert namespaces_of(os.getpid()) == others


def test_the_next_lab_removes_what_a_killed_run_left() -> None:
    program = """if True:
        from tests.lab.network import Access, Internet
        with Internet.built() as internet:
            internet.site(Access.OPEN)
            print(flush=True)
            input()"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        killed.stdout.readline()
        with Internet.built():
            assert len(namespaces_of(killed.pid)) == 5, "it is alive: its lab stays"
        killed.kill()
    assert len(namespaces_of(killed.pid)) == 5
    with Internet.built():
        assert namespaces_of(killed.pid) == []


def test_a_missing_requirement_is_reported_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LabError, match=r"needs `ip` \(package iproute2\) and `nft` \(package nftables\)"):
        requirements()
