"""This machine's addresses, and the news that they have changed."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Final

import ifaddr

_GROUPS: Final = 0x10 | 0x100
"""rtnetlink(7): RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR. An IPv6 address that is no longer tentative is news too."""

SETTLE: Final = 0.1
"""Seconds from the news to a look: one change often brings several messages."""

POLL: Final = 10.0
"""Seconds between looks without news, where the kernel announces changes. Messages can be lost."""

POLL_WITHOUT_NEWS: Final = 3.0
"""The same, where it does not: not Linux, or not allowed."""


def local_addresses() -> list[str]:
    """Every address of this machine that can be a host candidate: IPv4 first, loopback last, no link-local ones."""
    found = []
    for adapter in ifaddr.get_adapters():
        for one in adapter.ips:
            address = one.ip if isinstance(one.ip, str) else one.ip[0]
            if not address.startswith(("fe80:", "169.254.")):
                found.append(address)
    return sorted(dict.fromkeys(found), key=lambda one: (one.startswith("127.") or one == "::1", ":" in one))


class AddressWatch:
    """Knows the addresses at any time. Make it, `start` it in the event loop that it shall live in, `close` it there.

    Args:
        on_change: called in the event loop when they have changed.
        find: finds them.

    Attributes:
        current: as they were found last.
    """

    def __init__(self, on_change: Callable[[], None] = lambda: None, find: Callable[[], list[str]] = local_addresses) -> None:
        self.current: tuple[str, ...] = tuple(find())
        self._find = find
        self._on_change = on_change
        self._news: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._news = _news()
        if self._news is not None:
            loop.add_reader(self._news.fileno(), self._hear)
        self._look()

    def close(self) -> None:
        """May be called when it was never started, and twice."""
        if self._timer is not None:
            self._timer.cancel()
        if self._news is not None:
            asyncio.get_running_loop().remove_reader(self._news.fileno())
            self._news.close()
            self._news = None

    def _hear(self) -> None:
        assert self._news is not None, "it is listened to"
        with contextlib.suppress(OSError):  # nothing more, or too much for the buffer: either way, it is time to look
            while self._news.recv(65536):
                pass
        self._look_in(SETTLE)

    def _look(self) -> None:
        self._look_in(POLL if self._news is not None else POLL_WITHOUT_NEWS)
        found = tuple(self._find())
        if found != self.current:
            self.current = found
            self._on_change()

    def _look_in(self, delay: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay, self._look)


def _news() -> socket.socket | None:
    """A socket that becomes readable when an address comes or goes; None: this system has none."""
    family = getattr(socket, "AF_NETLINK", None)
    if family is None:
        return None
    try:
        opened = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        opened.bind((0, _GROUPS))
    except OSError:
        return None
    return opened
