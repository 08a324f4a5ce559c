"""What the signed-in profile may see, `GET /api/profiles` and `GET /api/conversations`; and how it reaches the relay,
`GET /api/ice-servers`."""

import ipaddress
import re
from collections.abc import Callable, Sequence
from typing import Final, Self

import msgspec
from aiohttp import web

from relay.errors import RelayError
from relay.http.access.auth import HttpAuthenticator
from relay.http.api import Operation, get
from relay.http.parameters import ProfileView, view
from relay.http.proxies import asker_of
from relay.http.responses import answer
from relay.ice_servers import IceServer
from relay.ids import Profile
from relay.signaling.ports import ConversationCard, Directory

IceServers = Callable[[Profile, str], Sequence[IceServer]]
"""The servers that a profile may use, with credentials of its own; for a browser that calls the relay by that name or address."""


class IceServerList(msgspec.Struct, frozen=True):
    """For `RTCPeerConnection`."""

    ice_servers: Sequence[IceServer]


class Profiles(msgspec.Struct, frozen=True):
    profiles: list[ProfileView]


class ConversationView(msgspec.Struct, frozen=True):
    """A conversation and its members."""

    conversation_id: int
    members: list[ProfileView]

    @classmethod
    def of(cls, card: ConversationCard) -> Self:
        return cls(card.conversation_id, [view(member) for member in card.members])


class Conversations(msgspec.Struct, frozen=True):
    conversations: list[ConversationView]


_AUTHORITY: Final = re.compile(r"(?:([A-Za-z0-9_][A-Za-z0-9_.-]{0,252})|\[([0-9A-Fa-f:.]{2,45})\])(?::[0-9]{1,5})?")
"""RFC 3986 section 3.2, without what no browser sends: a name or an IPv4 address, or an IPv6 one; perhaps a port."""


def host_of(request: web.Request) -> str:
    """The name or address by which the browser reaches the relay, without the port; IPv6 without brackets.

    Raises:
        RelayError: its `Host` is not one.
    """
    match = _AUTHORITY.fullmatch(asker_of(request).host)
    if match is None or (match[2] and not _is_ipv6(match[2])):
        raise RelayError("Host: not a name or an address")
    return str(match[1] or match[2])


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


async def profiles(request: web.Request, *, who: HttpAuthenticator, directory: Directory) -> web.Response:
    cards = await directory.visible_profiles((await who.signed_in(request)).profile)
    return answer(Profiles([view(card) for card in cards]))


async def conversations(request: web.Request, *, who: HttpAuthenticator, directory: Directory) -> web.Response:
    cards = await directory.conversations((await who.signed_in(request)).profile)
    return answer(Conversations([ConversationView.of(card) for card in cards]), compressed=True)


async def ice_servers(request: web.Request, *, who: HttpAuthenticator, servers: IceServers) -> web.Response:
    return answer(IceServerList(servers((await who.signed_in(request)).profile, host_of(request))))


ROUTES: Final = [
    get("/api/profiles", profiles, Operation("The profile itself and all that it shares a conversation with.", Profiles)),
    get(
        "/api/conversations", conversations, Operation("The conversations of the profile, each with its members.", Conversations)
    ),
    get(
        "/api/ice-servers",
        ice_servers,
        Operation(
            "TURN servers, named as the browser names the relay, with credentials for this profile that expire. .",
            IceServerList,
            errors={400: "`Host` is neither a name nor an address."},
        ),
    ),
]
