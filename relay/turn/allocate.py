"""What a client may ask of an allocation: the checks of RFC 8656 section 7.2, in its order."""

from collections.abc import Mapping
from typing import Any, Final

from relay.ip import family_of
from relay.turn.messages import Address
from relay.turn.refusal import REASONS, Refusal

IPV4: Final = 1
IPV6: Final = 2
"""Address families (RFC 8656 section 18.6)."""

_UDP: Final = 17
"""IANA's protocol number, the first byte of REQUESTED-TRANSPORT."""


def family_number(address: Address) -> int:
    """The family of an address, as attributes name it."""
    return {"ipv4": IPV4, "ipv6": IPV6}[family_of(address[0])]


def check(attributes: Mapping[str, Any], relayed: Address) -> dict[str, Any]:
    """What the answer has to add, by name.

    Ports are not handed out here: media is reached in memory, so there is no other port than that of `relayed`, and no next one
    to reserve. A request without a family gets the one that there is, even where that is IPv6.

    Args:
        relayed: the address that the allocation would have.

    Raises:
        Refusal: 400, 440, 442 or 508.
    """
    if "REQUESTED-TRANSPORT" not in attributes:
        raise Refusal(400, "bad_requests")
    if attributes["REQUESTED-TRANSPORT"] >> 24 != _UDP:
        raise Refusal(442, "unsupported")
    requested, additional = attributes.get("REQUESTED-ADDRESS-FAMILY"), attributes.get("ADDITIONAL-ADDRESS-FAMILY")
    if "RESERVATION-TOKEN" in attributes:
        if "EVEN-PORT" in attributes or requested is not None or additional is not None:
            raise Refusal(400, "bad_requests")
        raise Refusal(508, "unsupported")
    # An additional address is IPv6 (it comes to the IPv4 one), and not one of a pair of ports.
    if additional is not None and (requested is not None or additional != IPV6 or attributes.get("EVEN-PORT")):
        raise Refusal(400, "bad_requests")
    family = family_number(relayed)
    if requested is not None and requested != family:
        raise Refusal(440, "unsupported")
    if "EVEN-PORT" in attributes and (attributes["EVEN-PORT"] or relayed[1] % 2):
        raise Refusal(508, "unsupported")
    if additional is None:
        return {}
    # Of the two families that it wants it gets one, and is told so.
    missing = IPV6 if family == IPV4 else IPV4
    return {"ADDRESS-ERROR-CODE": (missing, 440, REASONS[440])}
