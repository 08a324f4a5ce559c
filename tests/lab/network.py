"""The internet of the tests: a server, and clients behind gateways.

    client 192.0.2.2  ── gateway 198.51.100.2  ──┐
                                                 internet ── server 203.0.113.10 (or 10.0.0.10 behind 1:1 NAT)
    client 192.0.2.18 ── gateway 198.51.100.10 ──┘
                                                 └── further servers 203.0.113.18, 203.0.113.34 …

Addresses are those for documentation (RFC 5737). Each box is a network namespace.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self

from tests.lab.gateways import COUNTER, Access, balancer, cut, one_to_one, resets, rules
from tests.lab.namespaces import Namespace, connect, fresh_prefix, remove_leftovers, requirements

SERVER: Final = "203.0.113.10"
"""The server's public address."""

SERVER_NAME: Final = "relay.test"
"""The same in the hosts files of the clients. Names under .test are for this (RFC 6761)."""

PRIVATE_SERVER: Final = "10.0.0.10"
"""The server's own address behind 1:1 NAT."""


class Site:
    """A client and its gateway. `Internet.site` makes it."""

    def __init__(self, number: int, gateway: Namespace, client: Namespace) -> None:
        self.client = client
        self._gateway = gateway
        self._number = number
        self._access = Access.OPEN
        self._interfaces = 0
        self.has_moved = False
        """Whether the client or its gateway has had another address."""

    @property
    def public_address(self) -> str:
        """The one that servers see, unless it has moved."""
        return self.address if self._access is Access.OPEN else self._public(2)

    @property
    def address(self) -> str:
        """The client's own."""
        return f"192.0.2.{16 * self._number + 8 * (self._interfaces - 1) + 2}"

    @property
    def _router(self) -> str:
        """The gateway's address, as the client knows it."""
        return f"192.0.2.{16 * self._number + 8 * (self._interfaces - 1) + 1}"

    def renew(self, access: Access) -> None:
        """Be what a new site with that access is. What ran through the gateway before may break.

        Raises:
            AssertionError: it has moved.
        """
        assert not self.has_moved, "its addresses are not those of a new one"
        self._gateway.firewall("resets", "")
        self.set_access(access)

    def set_access(self, access: Access) -> None:
        """Put this gateway between the client and the internet. What ran through the one before may break."""
        self._access = access
        self._gateway.firewall("gateway", rules(access, self.address))

    def new_interface(self) -> None:
        """The client's only interface goes away, and another comes, with another address, as from Wi-Fi to a cable; once."""
        old = self._interfaces
        self._interfaces += 1
        new, lan = f"eth{self._interfaces}", f"lan{self._interfaces}"
        connect(self.client, new, self._gateway, lan)
        self._gateway.ip(f"addr add {self._router}/29 dev {lan}")
        self.client.ip(f"addr add {self.address}/29 dev {new}", f"route replace default via {self._router}")
        if old:
            self.has_moved = True
            self.client.ip(f"link delete eth{old}")
        self.set_access(self._access)

    def new_mapping(self) -> None:
        """Give the gateway another public address and drop its NAT mappings; once."""
        assert self._access is not Access.OPEN, "there is no mapping"
        self.has_moved = True
        self._gateway.ip(
            # Masquerading forgets its connections when their address goes away.
            f"addr delete {self._public(2)}/29 dev wan",
            f"addr add {self._public(3)}/29 dev wan",
            f"route replace default via {self._public(1)}",
        )

    def reset_connections(self, port: int) -> int:
        """Reset the TCP connections that run to that port of the server, at their next packet; new ones live. How many."""
        ports = self.client.tcp_ports(port)
        if ports:
            self._gateway.firewall("resets", resets(ports))
        return len(ports)

    def attach(self, internet: Namespace) -> None:
        towards = f"site{self._number}"
        connect(internet, towards, self._gateway, "wan")
        self._gateway.forward()
        self._gateway.ip(f"addr add {self._public(2)}/29 dev wan", f"route add default via {self._public(1)}")
        internet.ip(
            f"addr add {self._public(1)}/29 dev {towards}",
            f"route add 192.0.2.{16 * self._number}/28 via {self._public(2)}",
        )
        self.client.names({SERVER_NAME: SERVER})
        self.new_interface()

    def _public(self, host: int) -> str:
        return f"198.51.100.{8 * self._number + host}"


class Internet:
    """A server and as many sites as one asks for.

    Attributes:
        server: where the relay is to run.
    """

    def __init__(self, prefix: str, router: Namespace, server: Namespace, stack: contextlib.ExitStack) -> None:
        self.server = server
        self._prefix = prefix
        self._router = router
        self._stack = stack
        self._sites = 0
        self._hosts = 0

    @classmethod
    @contextlib.contextmanager
    def built(cls, *, server_behind_nat: bool = False) -> Iterator[Self]:
        """Build it, and take it down at the end; whatever still runs in it is killed.

        Args:
            server_behind_nat: the server has a private address, and its public one is translated 1:1.

        Raises:
            LabError: it cannot be built here.
        """
        requirements()
        remove_leftovers()
        prefix = fresh_prefix()
        with contextlib.ExitStack() as stack:
            router = stack.enter_context(Namespace.created(f"{prefix}-internet"))
            server = stack.enter_context(Namespace.created(f"{prefix}-server"))
            router.forward()
            connect(router, "server", server, "eth0")
            own, gateway = (PRIVATE_SERVER, "10.0.0.1") if server_behind_nat else (SERVER, "203.0.113.1")
            router.ip(f"addr add {gateway}/28 dev server")
            server.ip(f"addr add {own}/28 dev eth0", f"route add default via {gateway}")
            if server_behind_nat:
                router.firewall("cloud", one_to_one(SERVER, PRIVATE_SERVER))
            yield cls(prefix, router, server, stack)

    def site(self, access: Access) -> Site:
        """Another client, behind a gateway of that kind."""
        number = self._sites
        self._sites += 1
        gateway = self._stack.enter_context(Namespace.created(f"{self._prefix}-gateway{number}"))
        client = self._stack.enter_context(Namespace.created(f"{self._prefix}-client{number}"))
        site = Site(number, gateway, client)
        site.attach(self._router)
        site.set_access(access)
        return site

    def host(self) -> "Host":
        """A further server, with a public address of its own."""
        self._hosts += 1
        number = self._hosts
        machine = self._stack.enter_context(Namespace.created(f"{self._prefix}-host{number}"))
        one = Host(machine, f"203.0.113.{16 * number + 2}", f"host{number}")
        gateway = f"203.0.113.{16 * number + 1}"
        connect(self._router, one.interface, machine, "eth0")
        self._router.ip(f"addr add {gateway}/28 dev {one.interface}")
        machine.ip(f"addr add {one.address}/28 dev eth0", f"route add default via {gateway}")
        return one

    @contextlib.contextmanager
    def cut(self, host: "Host", port: int | None = None) -> Iterator[None]:
        """Drop, without a word, what a further server and the rest of the internet send each other.

        Args:
            port: only what goes to this TCP port of others, and its answers; None: everything.
        """
        self._router.firewall("cut", cut(host.interface, port))
        try:
            yield
        finally:
            self._router.firewall("cut", "")

    def balance(self, address: str, port: int, leads: Mapping[str, str]) -> None:
        """Lead new TCP connections to an address that no machine has, each as its client's address says.

        Args:
            leads: from public addresses of clients to those of servers.
        """
        self._router.firewall("balancer", balancer(address, port, leads))

    @contextlib.contextmanager
    def counting(self) -> Iterator["Flows"]:
        """Count UDP packets from now on."""
        self._router.firewall("flows", COUNTER)
        try:
            yield Flows(self._router)
        finally:
            self._router.firewall("flows", "")


@dataclass(frozen=True)
class Host:
    """A further server."""

    machine: Namespace
    address: str
    interface: str
    """Of the router, towards it."""


class Flows:
    """UDP packets that have crossed the internet since their count began."""

    def __init__(self, router: Namespace) -> None:
        self._router = router

    def packets(self) -> Mapping[tuple[str, str], int]:
        """How many, by the public addresses that they came from and went to."""
        elements = self._router.elements("flows", "pairs")
        return {tuple(one["val"]["concat"]): one["counter"]["packets"] for one in elements}
