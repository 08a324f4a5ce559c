"""What a connectivity test found, hop by hop: the format of `python -m relay check --json`, and of what the page sends to
`POST /api/connectivity/verdict`."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta


class Hop(StrEnum):
    """The steps of a test, in their order."""

    PAGE = "page"
    """The relay's HTTP, and that it lets us in."""
    WEBSOCKET = "websocket"
    UDP = "udp"
    """Media straight to the relay."""
    TCP = "tcp"
    """Media over TCP (RFC 6544)."""
    TURN_UDP = "turn_udp"
    TURN_TCP = "turn_tcp"
    TURN_TLS = "turn_tls"
    CALL = "call"
    """A call of some seconds, by the best way there is."""


WAYS: Final = (Hop.UDP, Hop.TCP, Hop.TURN_UDP, Hop.TURN_TCP, Hop.TURN_TLS)
"""Those that carry media, in the order in which browsers prefer them."""


class State(StrEnum):
    OK = "ok"
    FAILED = "failed"
    OFF = "off"
    """The relay does not offer it."""
    SKIPPED = "skipped"
    """A hop before it failed."""


class Target(msgspec.Struct, frozen=True):
    """Where something was sent."""

    host: str
    """Name or literal."""
    port: Annotated[int, Meta(ge=0, le=65535)]


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a hop."""

    state: State
    targets: tuple[Target, ...] = ()
    reason: str = ""
    """Of the page: `name`, `refused`, `silent`, `certificate`, `not_relay`, `unauthorized` or `broken`; of the WebSocket:
    `upgrade`, `silent`, `busy` or `lost`; of a way: `unavailable` (the relay could not take the call); empty for the others."""
    detail: str = ""
    """More of it, for people."""
    seconds: float | None = None
    """How long it took."""


class Figures(msgspec.Struct, frozen=True):
    """Of the loop-back call: media went to the relay and came back."""

    way: Hop
    host: str
    """Of the relay's end, or of the TURN server."""
    port: int
    family: str
    """`IPv4` or `IPv6`."""
    round_trip_ms: float | None
    """Here → relay → here."""
    loss_percent: float
    jitter_ms: float | None
    """Of the sound (RFC 3550 section 6.4.1)."""
    kbps: float
    """Sound and pictures that came back, in kbit/s."""
    frames_per_second: float


class Report(msgspec.Struct, frozen=True):
    """Everything. `msgspec.json` writes and reads it."""

    url: str
    hops: Mapping[Hop, Result]
    figures: Figures | None = None

    def result(self, hop: Hop) -> Result:
        return self.hops.get(hop, Result(State.SKIPPED))
