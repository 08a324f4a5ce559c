"""The kernel drops what given sources send to a socket, and the relay knows how much that was."""

import contextlib
import logging
import socket
from collections.abc import Iterator

import pytest

from relay.media.net.exclusion import MAX_SOURCES, Source, program
from relay.media.net.source_filter import KernelDrops, SourceFilter

SO_LOCK_FILTER = 44


def bound(host: str) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(5)
    made.bind((host, 0))
    return made


def source_of(peer: socket.socket) -> Source:
    return socket.inet_pton(peer.family, peer.getsockname()[0]), peer.getsockname()[1]


@pytest.fixture(params=["127.0.0.1", "::1"])
def own(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    with bound(request.param) as made:
        yield made


def received(own: socket.socket, *senders: socket.socket) -> list[bytes]:
    """What arrives when each sends its number, in that order, before another one that is never dropped."""
    for n, sender in enumerate(senders):
        sender.sendto(b"%d" % n, own.getsockname())
    own.sendto(b"end", own.getsockname())
    arrived = []
    while (datagram := own.recv(100)) != b"end":
        arrived.append(datagram)
    return arrived


def test_only_the_sources_named_are_dropped_and_those_only_until_it_is_lifted(own: socket.socket) -> None:
    host = own.getsockname()[0]
    with bound(host) as first, bound(host) as second, bound(host) as third:
        one = SourceFilter(own)
        assert received(own, first, second, third) == [b"0", b"1", b"2"]
        one.drop([source_of(first)])
        assert received(own, first, second, third) == [b"1", b"2"]
        one.drop([source_of(first), source_of(third)])
        assert received(own, first, second, third) == [b"1"]
        one.drop([])
        assert received(own, first, second, third) == [b"0", b"1", b"2"]
        assert one.drops() == KernelDrops(overflowed=0, filtered=3)


@pytest.mark.parametrize("other", ["127.0.0.2", "127.64.0.1"])
def test_another_address_with_the_same_port_is_not_dropped(other: str) -> None:
    with bound("127.0.0.1") as own, bound("127.0.0.1") as first, socket.socket(type=socket.SOCK_DGRAM) as second:
        second.bind((other, first.getsockname()[1]))
        one = SourceFilter(own)
        one.drop([source_of(first)])
        assert received(own, first, second) == [b"1"]
        one.drop([source_of(second)])
        assert received(own, first, second) == [b"0"]


def test_what_overflows_before_and_after_is_told_apart_from_what_is_dropped_on_purpose() -> None:
    with bound("127.0.0.1") as own, bound("127.0.0.1") as first:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        one = SourceFilter(own)

        def overflow() -> int:
            for _ in range(50):
                first.sendto(bytes(1000), own.getsockname())
            own.setblocking(False)
            arrived = 0
            with contextlib.suppress(BlockingIOError):
                while own.recv(2000):
                    arrived += 1
            return 50 - arrived

        before = overflow()
        one.drop([source_of(first)])
        for _ in range(7):
            first.sendto(b"dropped", own.getsockname())
        assert before > 0
        assert one.drops() == KernelDrops(before, 7)
        one.drop([])
        assert one.drops() == KernelDrops(before, 7)
        after = overflow()
        assert one.drops() == KernelDrops(before + after, 7)


def test_of_more_sources_than_a_filter_may_have_the_first_are_dropped(own: socket.socket) -> None:
    host = own.getsockname()[0]
    with bound(host) as first, bound(host) as second:
        packed, _ = source_of(first)
        others = [(packed, 1 + n) for n in range(MAX_SOURCES - 1)]
        SourceFilter(own).drop([*others, source_of(first), source_of(second)])
        assert received(own, first, second) == [b"1"]
    assert len(program(others)) < 4096, "the kernel takes no longer ones"


def test_where_the_system_refuses_a_filter_everything_is_received_and_the_log_says_so_once(
    own: socket.socket, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SourceFilter, "_warned", False)
    own.setsockopt(socket.SOL_SOCKET, SO_LOCK_FILTER, 1)
    with bound(own.getsockname()[0]) as first, caplog.at_level(logging.WARNING):
        for _ in range(2):
            one = SourceFilter(own)
            one.drop([source_of(first)])
            one.drop([])
            one.drop([source_of(first)])
            assert received(own, first) == [b"0"]
            assert one.drops() == KernelDrops(0, 0)
    assert len(caplog.records) == 1
