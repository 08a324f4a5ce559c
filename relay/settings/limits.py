"""How often a profile or an address may do something. Each limit is `NUMBER/UNIT`, several with semicolons between, or `off`."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from relay.settings.base import Group, names_of, parsing_problem
from relay.settings.notation import parse_limit


@dataclass(frozen=True, kw_only=True)
class LimitSettings(Group):
    limit_messages: str = "100/second;1200/minute"
    """WebSocket messages of a profile."""
    limit_messages_per_address: str = "12000/minute"
    """WebSocket messages from an address."""
    limit_invitations: str = "30/minute;300/hour"
    """Calls that a profile may begin."""
    limit_invitations_per_address: str = "300/minute"
    """Calls that may be begun from an address."""
    limit_connections: str = "300/minute"
    """WebSocket connections from an address."""
    limit_connections_per_profile: str = "60/minute"
    """WebSocket connections of a profile whose address is beyond the limit: others there may be the reason."""
    limit_requests: str = "3000/minute"
    """HTTP requests from an address, the files of the page among them."""
    limit_requests_per_profile: str = "600/minute"
    """HTTP requests of a profile whose address is beyond the limit."""
    limit_failed_logins: str = "30/minute"
    """Credentials from an address that were not good; those that have expired do not count."""

    def _problems(self) -> Iterator[str]:
        for name in names_of(LimitSettings):
            yield from parsing_problem(name, partial(parse_limit, getattr(self, name)))
