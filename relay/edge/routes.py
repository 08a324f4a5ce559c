"""The network path of a peer (UDP, TCP, TURN), read from the address that the media plane sees."""

import ipaddress
from collections.abc import Callable
from typing import Final

from relay.ip import family_of
from relay.media.api import Address, Route

STREAMS: Final = ipaddress.ip_network("127.64.0.0/10")
"""Loopback addresses that stand for TCP connections and TURN allocations (`relay.edge.tunnel`); nothing else is there."""


def route_of(remote: Address, stream: Callable[[bytes], Route | None]) -> Route | None:
    """The route of the peer at an address.

    Args:
        remote: what the media plane sees.
        stream: the route of whatever has that loopback address (4 bytes), if it is still there.
    """
    host = ipaddress.ip_address(remote[0])
    if host in STREAMS:
        return stream(host.packed)
    return Route("udp", family_of(remote[0]))
