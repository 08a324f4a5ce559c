"""The addresses that an operator says media is reachable at, and what cannot be right about them."""

import ipaddress
from collections.abc import Iterable, Iterator


def doubts(advertised: Iterable[str], local: Iterable[str]) -> Iterator[str]:
    """What is likely wrong with the advertised addresses, a sentence each.

    Args:
        advertised: what browsers are told.
        local: the addresses of this machine.
    """
    told = [ipaddress.ip_address(one) for one in advertised]
    own = {ipaddress.ip_address(one) for one in local}
    for one in told:
        what = f"the advertised media address {one}"
        if one.is_unspecified:
            yield f"{what} is no address, but a placeholder for all of them: name the one that browsers can reach"
        elif one.is_multicast or (one.version == 4 and str(one) == "255.255.255.255"):
            yield f"{what} is a group's: no browser can connect to it"
        elif one.is_loopback:
            yield f"{what} is only reached from this machine"
        elif one.is_link_local:
            yield f"{what} is only reached on one network segment, and browsers do not use such addresses"
        elif one.is_private and one not in own:
            yield f"{what} is private, and not this machine's: behind NAT, name the public address (or PUBLIC=PRIVATE)"
        elif not one.is_private and not one.is_global:
            yield f"{what} is reserved, and reached from nowhere"
    if told and all(one.is_private or one.is_loopback for one in told) and any(one.is_global for one in own):
        yield "only private media addresses are advertised, though this machine has a public one: others cannot reach them"
