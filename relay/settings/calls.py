"""How long each stage of a call may take."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from relay.settings.base import Group, Seconds


@dataclass(frozen=True, kw_only=True)
class CallSettings(Group):
    ring_timeout: Seconds = 45.0
    """Seconds until an unanswered call ends with `no_answer`."""
    connect_timeout: Seconds = 15.0
    """Seconds from the answer until media must flow both ways, else the call ends with `ice_failed`."""
    media_grace: Seconds = 30.0
    """Seconds that a call outlives the media of one party, before it ends with `ice_timeout`."""
    signaling_grace: Seconds = 30.0
    """Seconds that a call outlives the WebSocket of one party whose media still flows, before it ends with `signaling_lost`."""
    vanished_grace: Seconds = 5.0
    """Seconds that a call outlives a party without both: its page was closed, or is being loaded again."""
    drain_seconds: Annotated[float, Meta(ge=0, le=86400, extra={"unit": "s"})] = 0.0
    """Seconds that calls have to end by themselves once SIGTERM has asked the server to stop, which takes no new ones meanwhile.
    Those that are left then go on at other nodes, or end."""
    max_call_minutes: Annotated[float, Meta(ge=0, le=10_080, extra={"unit": "m"})] = 0.0
    """Minutes that a call may last from its answer on, then it ends with `time_limit`; 0: any time."""
