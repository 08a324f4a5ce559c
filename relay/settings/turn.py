"""TURN: the built-in server, or external ones that share its secret."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import Meta

from relay.settings.base import PREFIX, Group, Port, Quota, Secret

_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}|[0-9A-Fa-f]*:[0-9A-Fa-f:.]{1,43}")
_TURN_URL: Final = re.compile(r"turns?:[^\s,?]+(?:\?transport=(?:udp|tcp))?")


@dataclass(frozen=True, kw_only=True)
class TurnSettings(Group):
    turn: bool = True
    """The built-in TURN server, for networks that let only TLS through."""
    turn_host: str = ""
    """Name or address by which browsers reach TURN; empty: the one by which they reach the page."""
    turn_port: Port = 3478
    """UDP port of TURN; 0: any free one."""
    turn_secret: Secret = ""
    """Key of the TURN credentials, shared with external TURN servers; empty: made up at start."""
    turn_realm: Annotated[str, Meta(max_length=127)] = "relay"
    """Realm that the built-in TURN server names."""
    turn_lifetime: Annotated[int, Meta(ge=60, le=604800, extra={"unit": "s"})] = 43200
    """Seconds that TURN credentials are good for a new allocation."""
    turn_urls: tuple[str, ...] = ()
    """URLs of external TURN servers that share the secret, comma-separated; the built-in one is off then."""
    turn_allocations: Quota = 10000
    """TURN allocations at a time, in all: some 2 kB each. More are answered with 508."""
    turn_allocations_per_profile: Quota = 64
    """TURN allocations at a time, of one profile. A browser makes one per network interface, server URL and ungrouped m-line; a
    page that is loaded again leaves them behind until they expire. More are answered with 486."""
    turn_allocations_per_address: Quota = 1000
    """TURN allocations at a time, from one IPv4 address or IPv6 /64: a school behind one address. More are answered with 486."""

    def _problems(self) -> Iterator[str]:
        if self.turn_host and not _HOST.fullmatch(self.turn_host):
            yield f"{PREFIX}TURN_HOST: {self.turn_host!r} is not a name or an address"
        if self.turn_urls and not self.turn_secret:
            yield f"{PREFIX}TURN_SECRET: required with {PREFIX}TURN_URLS, the servers there must know it too"
        for one in self.turn_urls:
            if not _TURN_URL.fullmatch(one):
                yield f"{PREFIX}TURN_URLS: {one!r} is not a URL such as turn:turn.example.org:3478?transport=udp"

    @property
    def has_built_in(self) -> bool:
        """Whether the built-in server is on."""
        return self.turn and not self.turn_urls
