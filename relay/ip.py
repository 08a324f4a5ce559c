"""IP addresses: the family of an address, and the host that it belongs to."""

from ipaddress import IPv4Address, ip_address
from typing import Literal


def family_of(host: str) -> Literal["ipv4", "ipv6"]:
    """The family of an address. To a socket for both, IPv4 addresses look like `::ffff:192.0.2.1`."""
    return "ipv4" if _ipv4(host) is not None else "ipv6"


def network_of(host: str) -> bytes:
    """The host of an address: an IPv4 address, or the /64 of one subscriber's IPv6 addresses (RFC 6177).

    Raises:
        ValueError: it is no address.
    """
    address = _ipv4(host)
    return ip_address(host).packed[:8] if address is None else address.packed


def _ipv4(host: str) -> IPv4Address | None:
    address = ip_address(host)
    return address if isinstance(address, IPv4Address) else address.ipv4_mapped
