"""Pages and WebSockets."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from relay.settings.base import Group, Seconds, parsing_problem
from relay.settings.notation import check_page_url, parse_origin


@dataclass(frozen=True, kw_only=True)
class HttpSettings(Group):
    allowed_origins: tuple[str, ...] = ()
    """Origins whose pages may use the relay besides its own, comma-separated: `https://app.example`."""
    frame_ancestors: tuple[str, ...] = ()
    """Origins whose pages may show the relay's pages in a frame, and give them a token, comma-separated."""
    sign_in_url: str = ""
    """Where the platform signs its users in: an https URL, or a path on the relay's own host; empty: there is no such page."""
    ping_interval: Seconds = 20.0
    """Seconds between two pings on a WebSocket; a client that does not answer within half of it is gone."""
    max_devices: Annotated[int, Meta(ge=1, le=1000)] = 16
    """Devices that a profile may have connected at a time."""

    def _problems(self) -> Iterator[str]:
        yield from parsing_problem("allowed_origins", lambda: [parse_origin(one) for one in self.allowed_origins])
        yield from parsing_problem("frame_ancestors", lambda: [parse_origin(one) for one in self.frame_ancestors])
        yield from parsing_problem("sign_in_url", lambda: check_page_url(self.sign_in_url))
