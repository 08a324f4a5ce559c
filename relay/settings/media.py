"""The media plane: where it listens, what a peer may send. Worker processes load this module: no library but msgspec."""

import ipaddress
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from msgspec import Meta

from relay.settings.base import MAX_PORT, PREFIX, Group, Port, variable

_HOST_PORT: Final = re.compile(r"(?:[^\s:\[\]]+|\[[0-9A-Fa-f:.]+\]):[1-9][0-9]{0,4}")


@dataclass(frozen=True, kw_only=True)
class MediaLimits(Group):
    media_max_mbit: Annotated[float, Meta(ge=0, le=100_000)] = 40.0
    """Mbit/s that a device may send in media, and in data; 0: any amount."""
    media_max_packets: Annotated[float, Meta(ge=0, le=10_000_000)] = 6000.0
    """Packets of media a second that a device may send; 0: any number."""


UNLIMITED: Final = MediaLimits(media_max_mbit=0, media_max_packets=0)


@dataclass(frozen=True, kw_only=True)
class MediaSettings(MediaLimits):
    media_host: str = ""
    """Address that media listens on; empty, `0.0.0.0` or `::`: every address of this machine, as they come and go."""
    media_port: Port = 40000
    """UDP port of all media, of the first worker's if there are several, the next ones following; 0: any free one."""
    workers: Annotated[int, Meta(ge=0, le=256)] | Literal["auto"] = "auto"
    """Processes that forward media; `auto`: one per core; 0: this process does it."""
    public_address: tuple[str, ...] = ()
    """Addresses to advertise for media, comma-separated, each PUBLIC or PUBLIC=PRIVATE; empty: the local ones."""
    stun_server: str = ""
    """HOST:PORT of a STUN server that is asked at start for the public address, unless one is set."""

    def _problems(self) -> Iterator[str]:
        public = [part for one in self.public_address for part in one.split("=", 1)]
        given = [("media_host", self.media_host)] if self.media_host else []
        for name, value in [*given, *(("public_address", one) for one in public)]:
            try:
                ipaddress.ip_address(value)
            except ValueError:
                yield f"{variable(name)}: {value!r} is not an IPv4 or IPv6 address"
        if self.last_media_port > MAX_PORT:
            yield f"{PREFIX}MEDIA_PORT: {self.worker_count} workers from {self.media_port} on need ports above {MAX_PORT}"
        if self.stun_server and not _HOST_PORT.fullmatch(self.stun_server):
            yield f"{PREFIX}STUN_SERVER: {self.stun_server!r} is not HOST:PORT"

    @property
    def advertised_addresses(self) -> tuple[str, ...]:
        """The public addresses, then the private ones that stand for the same, to clients on that side of the NAT."""
        pairs = [one.split("=", 1) for one in self.public_address]
        return tuple(dict.fromkeys([one[0] for one in pairs] + [one[-1] for one in pairs]))

    @property
    def media_hosts(self) -> tuple[str, ...]:
        """The address that media listens on, alone; none: every one."""
        return () if not self.media_host or ipaddress.ip_address(self.media_host).is_unspecified else (self.media_host,)

    @property
    def worker_count(self) -> int:
        """How many worker processes there are; 0: this process forwards media."""
        return available_cores() if self.workers == "auto" else self.workers

    @property
    def last_media_port(self) -> int:
        """The UDP port of the last worker; where any free port is taken, this says nothing."""
        return self.media_port + max(0, self.worker_count - 1)


def available_cores() -> int:
    """Cores that this process may use."""
    # Not on macOS.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
