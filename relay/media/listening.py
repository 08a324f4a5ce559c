"""On which addresses media listens: a socket for each, which comes and goes with its address and disturbs no call."""

import errno
import ipaddress
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Final

from relay.errors import ConfigurationError
from relay.media.api import Candidate
from relay.media.net.exclusion import Source
from relay.media.net.mmsg import ReceiveRing
from relay.media.net.source_filter import KernelDrops
from relay.media.net.udp import UdpSocket

logger = logging.getLogger(__name__)

LOOPBACK: Final = "127.0.0.1"
"""Media listens here in any case: what does not come by UDP is carried here (`relay.edge`)."""

PORT_ATTEMPTS: Final = 10
"""Free ports to try when any one will do."""


class Listening:
    """The sockets of one engine, all with the same port.

    Args:
        hosts: addresses to listen on; none, or one that stands for all: every address of this machine, as they come and go.
        port: UDP port; 0: any one that is free on all of them.
        make: opens a socket on an address and a port, to receive into a ring; `OSError` if it cannot.
        announces: log what changes later. Of several engines on one machine, one says enough.
    """

    def __init__(
        self, hosts: Iterable[str], port: int, make: Callable[[str, int, ReceiveRing], UdpSocket], *, announces: bool
    ) -> None:
        given = tuple(hosts)
        self.follows = not given or any(ipaddress.ip_address(one).is_unspecified for one in given)
        """Whether the addresses of the machine count, not those that were given."""
        self.port = port
        self._given = () if self.follows else given
        self._make = make
        self._announces = announces
        self._rings: defaultdict[bool, ReceiveRing] = defaultdict(ReceiveRing)
        self._sockets: dict[str, UdpSocket] = {}
        self._told: tuple[str, ...] = ()
        self._missing: dict[str, bool] = {}
        """Addresses that could not be bound, and whether that is in the log."""
        self._dropped = KernelDrops(0, 0)
        """By the kernel, for sockets that are closed."""
        self._retired: dict[str, set[str]] = {}
        """Sockets of addresses that are gone → transports that may still use them."""

    @property
    def sockets(self) -> tuple[UdpSocket, ...]:
        return tuple(self._sockets.values())

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The host candidates that peers get."""
        return tuple(Candidate(one, self.port) for one in self._told)

    def kernel_drops(self) -> KernelDrops:
        """Of all sockets, since the start."""
        dropped = self._dropped
        for one in self._sockets.values():
            dropped = dropped.plus(one.filter.drops())
        return dropped

    def drop(self, sources: Collection[tuple[UdpSocket, Source]]) -> None:
        """Have the kernel drop what these send to the socket named with each, and only these, from now on."""
        for own in self._sockets.values():
            own.filter.drop([source for socket, source in sources if socket is own])

    def open(self, addresses: Collection[str]) -> None:
        """Open the sockets.

        Args:
            addresses: of this machine.

        Raises:
            ConfigurationError: the port is taken, or an address is not this machine's.
        """
        attempts = PORT_ATTEMPTS if self.port == 0 else 1
        for attempt in range(attempts):
            try:
                self._open_all(self.port, addresses)
            except ConfigurationError:
                # The free port of the first address may be taken on the next: another one will be free on all.
                if attempt == attempts - 1:
                    raise
            else:
                break
        for one in self._sockets.values():
            one.start()

    def update(self, addresses: Collection[str], transports: Collection[str]) -> None:
        """Follow the machine's addresses.

        Args:
            addresses: that it has now.
            transports: those that are open: a socket that one of them may use stays, though its address is gone.
        """
        if not self.follows:
            return
        before = self._told
        for host in addresses:
            self._retired.pop(host, None)
            if host not in self._sockets:
                self._open_later(host)
        self._missing = {host: logged for host, logged in self._missing.items() if host in addresses}
        for host in self._sockets:
            if host not in addresses and host not in self._retired and host != LOOPBACK:
                self._retired[host] = set(transports)
        self._told = tuple(host for host in addresses if host in self._sockets)
        self._announce(set(self._told) - set(before), set(before) - set(self._told))

    def tick(self, addresses: Collection[str], transports: Collection[str]) -> None:
        """Called each second: try again what could not be bound, and close what no transport can use any more."""
        if self._missing:
            self.update(addresses, transports)
        for host, users in list(self._retired.items()):
            if users.isdisjoint(transports) and not self._sockets[host].routes:
                del self._retired[host]
                gone = self._sockets.pop(host)
                self._dropped = self._dropped.plus(gone.filter.drops())
                gone.close()

    def close(self) -> None:
        for one in self._sockets.values():
            one.close()
        self._sockets.clear()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _open_all(self, port: int, addresses: Collection[str]) -> None:
        hosts = self._given or tuple(addresses)
        for host in dict.fromkeys([*hosts, LOOPBACK]):
            try:
                opened = self._make(host, port, self._rings[":" in host])
            except OSError as error:
                if ":" in host and self.follows:
                    self._missing[host] = False  # an IPv6 address that is still tentative, say: it will do later
                    continue
                self.close()
                raise ConfigurationError(f"media cannot listen on UDP {host} port {port}: {error.strerror}") from None
            self._sockets[host] = opened
            port = opened.port
        self.port = port
        self._told = tuple(host for host in hosts if host in self._sockets)

    def _open_later(self, host: str) -> None:
        try:
            opened = self._make(host, self.port, self._rings[":" in host])
        except OSError as error:
            # EADDRNOTAVAIL: tentative (RFC 4862 section 5.4), or gone again.
            if error.errno != errno.EADDRNOTAVAIL and not self._missing.get(host):
                logger.warning("media cannot listen on UDP %s port %d: %s", host, self.port, error.strerror)
                self._missing[host] = True
            else:
                self._missing.setdefault(host, False)
            return
        self._missing.pop(host, None)
        self._sockets[host] = opened
        opened.start()

    def _announce(self, more: set[str], fewer: set[str]) -> None:
        if (more or fewer) and self._announces:
            logger.info(
                "the addresses of this machine have changed: media listens on %d more (%s) and %d fewer (%s), and new calls are "
                "told the %d that it has now",
                *(len(more), " ".join(sorted(more)) or "none", len(fewer), " ".join(sorted(fewer)) or "none", len(self._told)),
            )
