"""The addresses that an operator says media is reachable at, and what cannot be right about them.

The sentences go to the log, where no address may stand: they say which of the setting's it is.
"""

import ipaddress
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

SETTING: Final = "RELAY_PUBLIC_ADDRESS"

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NETWORKS: Final = tuple(
    (ipaddress.ip_network(network), words)
    for networks, words in (
        ("255.255.255.255/32 224.0.0.0/4 ff00::/8", "is a group's: no browser can connect to it"),
        ("127.0.0.0/8 ::1/128", "is a loopback address: it is only reached from this machine"),
        ("169.254.0.0/16 fe80::/10", "is only reached on one network segment, and browsers do not use such addresses"),
        ("::ffff:0:0/96", "is an IPv4 address in IPv6 form: write it as IPv4"),
    )
    for network in networks.split()
)
"""Addresses that are never right."""

_ELSEWHERE: Final = tuple(
    (ipaddress.ip_network(network), words)
    for networks, words in (
        # RFC 5737, RFC 3849, RFC 9637
        ("192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20", "is an example, out of a document"),
        # RFC 6598
        ("100.64.0.0/10", "is shared address space, behind an ISP's NAT or in a VPN: browsers elsewhere do not reach it"),
        # RFC 1918, RFC 4193
        (
            "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7",
            "is private, and not this machine's: behind NAT, name the public address (or PUBLIC=PRIVATE)",
        ),
        # RFC 6890
        ("0.0.0.0/8 192.0.0.0/24 198.18.0.0/15 240.0.0.0/4 100::/64", "is reserved, and reached from nowhere"),
    )
    for network in networks.split()
)
"""What is right only if it is this machine's own."""


def warnings(told: Sequence[str], listening: Iterable[str], *, is_public: bool) -> Iterator[str]:
    """What is likely wrong with the addresses, a sentence each.

    Args:
        told: each PUBLIC or PUBLIC=PRIVATE; empty: browsers are told the address that they reach the relay at.
        listening: where media listens.
        is_public: the relay is for browsers on other networks.
    """
    own = {ipaddress.ip_address(one) for one in listening}
    pairs = [tuple(map(ipaddress.ip_address, one.split("=", 1))) for one in told]
    for number, pair in enumerate(pairs, 1):
        which = f"{SETTING} number {number}" if len(pairs) > 1 else SETTING
        problem = _of_public(pair[0], own)
        if problem:
            yield f"{which} {problem}"
        if len(pair) > 1 and pair[1] not in own:
            yield f"{which}: what is behind the = is not an address of this machine, on which media listens"
    yield from _of_all([pair[0] for pair in pairs], own, is_public=is_public)


def _of_public(address: _Address, own: Collection[_Address]) -> str | None:
    if address.is_unspecified:
        return "is no address, but a placeholder for all of them: name the one that browsers can reach"
    for network, words in _NETWORKS if address in own else _NETWORKS + _ELSEWHERE:
        if address in network:
            return words
    if address.version not in {one.version for one in own}:
        return f"is IPv{address.version}, but media listens on no IPv{address.version} address"
    return None


def _of_all(told: Collection[_Address], own: Collection[_Address], *, is_public: bool) -> Iterator[str]:
    has_public = any(one.is_global for one in own)
    if told and not any(one.is_loopback for one in told) and all(one.is_loopback for one in own):
        yield f"{SETTING} is of no use: media listens on the loopback only (RELAY_MEDIA_HOST)"
    elif told and has_public and not any(one.is_global for one in told):
        yield f"{SETTING} has only private addresses, though this machine has a public one: others cannot reach them"
    elif not told and is_public and not has_public and not all(one.is_loopback for one in own):
        yield (
            f"{SETTING} is not set, and this machine has no public address: only browsers on its own network can reach media "
            "(RELAY_STUN_SERVER finds the address)"
        )
