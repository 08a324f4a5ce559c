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
    """The relay answers HTTP, and the credential is accepted."""
    WEBSOCKET = "websocket"
    UDP = "udp"
    """Media to the relay without TURN."""
    TCP = "tcp"
    """Media over TCP (RFC 6544)."""
    TURN_UDP = "turn_udp"
    TURN_TCP = "turn_tcp"
    TURN_TLS = "turn_tls"
    CALL = "call"
    """A call of some seconds, over the best path that works."""


PATHS: Final = (Hop.UDP, Hop.TCP, Hop.TURN_UDP, Hop.TURN_TCP, Hop.TURN_TLS)
"""The hops that carry media, in the order in which browsers prefer them."""


class ProbeState(StrEnum):
    OK = "ok"
    FAILED = "failed"
    OFF = "off"
    """The relay does not offer it."""
    SKIPPED = "skipped"
    """An earlier hop failed."""


class Target(msgspec.Struct, frozen=True):
    """An address that was tried."""

    host: str
    """Name or IP address."""
    port: Annotated[int, Meta(ge=0, le=65535)]


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of a hop."""

    state: ProbeState
    targets: tuple[Target, ...] = ()
    reason: str = ""
    """Of the page: `name`, `refused`, `silent`, `certificate`, `not_relay`, `unauthorized` or `broken`; of the WebSocket:
    `upgrade`, `silent`, `busy` or `lost`; of a path: `unavailable` (the relay refused the call); empty for the others."""
    detail: str = ""
    """More about it, to be shown to people."""
    seconds: float | None = None
    """Duration of the hop."""


class LoopbackFigures(msgspec.Struct, frozen=True):
    """Measurements of the loop-back call, whose media went to the relay and came back."""

    way: Hop
    host: str
    """Of the relay, or of the TURN server."""
    port: int
    family: str
    """`IPv4` or `IPv6`."""
    round_trip_ms: float | None
    """From here to the relay and back."""
    loss_percent: float
    jitter_ms: float | None
    """Of the audio (RFC 3550 section 6.4.1)."""
    kbps: float
    """Audio and video that came back, in kbit/s."""
    frames_per_second: float


class Report(msgspec.Struct, frozen=True):
    """The results of all hops. Encoded with `msgspec.json`."""

    url: str
    hops: Mapping[Hop, Result]
    figures: LoopbackFigures | None = None

    def result(self, hop: Hop) -> Result:
        return self.hops.get(hop, Result(ProbeState.SKIPPED))
