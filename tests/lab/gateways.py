"""What stands between a client and the internet, as nftables rules. Text only; `tests.lab.network` applies it.

A gateway's interface towards the internet is `wan`; those towards its clients begin with `lan`.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

KNOWN_AS_TLS: Final = 1
"""Mark of a connection whose first bytes were looked at."""


class Access(Enum):
    """How a client reaches the internet."""

    OPEN = "open"
    """An address of its own: nothing is translated, nothing refused."""
    FULL_CONE = "full cone"
    """One outer port per inner port; anybody may send to it."""
    SYMMETRIC = "symmetric"
    """Another, random outer port for every destination; only who was sent to may answer."""
    UDP_BLOCKED = "UDP blocked"
    ONLY_TCP_443 = "only TCP 443"
    ONLY_TLS_443 = "only TLS 443"
    """Only TCP to port 443, and only if the client's first two bytes are those of a TLS handshake."""


_TRANSLATED: Final = """
    iifname "wan" ct state established,related accept
"""

_OUTGOING: Final[dict[Access, str]] = {
    Access.OPEN: 'iifname "wan" accept \n iifname "lan*" accept',
    Access.FULL_CONE: f'{_TRANSLATED} iifname "wan" ct status dnat accept \n iifname "lan*" accept',
    Access.SYMMETRIC: f'{_TRANSLATED} iifname "lan*" accept',
    Access.UDP_BLOCKED: f'meta l4proto udp drop \n {_TRANSLATED} iifname "lan*" accept',
    Access.ONLY_TCP_443: f'{_TRANSLATED} iifname "lan*" tcp dport 443 accept',
    # `@ih` is what TCP carries: a segment without any (or with a single byte) matches neither comparison.
    Access.ONLY_TLS_443: f"""{_TRANSLATED}
    iifname "lan*" tcp dport 443 ct mark {KNOWN_AS_TLS} accept
    iifname "lan*" tcp dport 443 @ih,0,16 0x1603 ct mark set {KNOWN_AS_TLS} accept
    iifname "lan*" tcp dport 443 @ih,0,16 != 0x1603 drop
    iifname "lan*" tcp dport 443 accept
    """,
}
"""Which packets are passed on; all others are dropped without a word, as firewalls do."""


def rules(access: Access, client: str) -> str:
    """The chains of a gateway's table.

    Args:
        client: address of the client behind it.
    """
    source, destination = "", ""
    if access is not Access.OPEN:
        source = f'oifname "wan" masquerade {"random,fully-random" if access is Access.SYMMETRIC else ""}'
    if access is Access.FULL_CONE:
        # Ports are kept where they are free, and with a single client they are: an outer port is the inner one.
        destination = f'iifname "wan" meta l4proto udp dnat ip to {client}'
    return f"""
  chain forward {{
    type filter hook forward priority filter; policy drop;
    {_OUTGOING[access]}
  }}
  chain inwards {{
    type nat hook prerouting priority dstnat;
    {destination}
  }}
  chain outwards {{
    type nat hook postrouting priority srcnat;
    {source}
  }}"""


def resets(ports: list[int]) -> str:
    """The chains of a table that resets the TCP connections which run from these ports of the client, at both ends."""
    some = ", ".join(map(str, ports))
    return f"""
  chain forward {{
    type filter hook forward priority filter - 1;
    iifname "lan*" tcp sport {{ {some} }} reject with tcp reset
    iifname "wan" tcp dport {{ {some} }} reject with tcp reset
  }}"""


def one_to_one(public: str, private: str) -> str:
    """The chains of a table that gives a server with a private address a public one, as clouds do."""
    return f"""
  chain inwards {{
    type nat hook prerouting priority dstnat;
    ip daddr {public} dnat ip to {private}
  }}
  chain outwards {{
    type nat hook postrouting priority srcnat;
    ip saddr {private} snat ip to {public}
  }}"""


def cut(interface: str, port: int | None) -> str:
    """The chains of a table that drops what passes an interface of the router.

    Args:
        port: only what comes in for this TCP port, and what goes out from it; None: everything.
    """
    to, of = ("", "") if port is None else (f"tcp dport {port}", f"tcp sport {port}")
    return f"""
  chain forward {{
    type filter hook forward priority filter - 1;
    iifname "{interface}" {to} drop
    oifname "{interface}" {of} drop
  }}"""


def balancer(address: str, port: int, leads: Mapping[str, str]) -> str:
    """The chains of a table that leads new TCP connections elsewhere, as balancers of packets do: it says nothing itself.

    Args:
        leads: from addresses of clients to those of servers.
    """
    table = ", ".join(f"{client} : {server}" for client, server in leads.items())
    return f"""
  chain inwards {{
    type nat hook prerouting priority dstnat;
    ip daddr {address} tcp dport {port} dnat ip to ip saddr map {{ {table} }}
  }}"""


COUNTER: Final = """
  set pairs {
    type ipv4_addr . ipv4_addr
    flags dynamic
    counter
  }
  chain forward {
    type filter hook forward priority filter + 1;
    meta l4proto udp update @pairs { ip saddr . ip daddr counter }
  }"""
"""What counts UDP packets by the addresses that they come from and go to, after those that are dropped."""
