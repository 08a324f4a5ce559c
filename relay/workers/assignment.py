"""What a worker process is told when it starts. Not in `worker`: the process that starts workers loads no media engine."""

import msgspec

from relay import logs
from relay.settings.media import UNLIMITED, MediaLimits


class Assignment(msgspec.Struct, frozen=True):
    """What a worker is to do: its only argument, as JSON."""

    number: int
    """From 0; for the log."""
    parent: int
    """The process that started it."""
    descriptor: int
    """The inherited file descriptor of its end of the channel."""
    hosts: tuple[str, ...]
    """Addresses to listen on; none: every address of this machine."""
    port: int
    """UDP port; 0: any free one."""
    log_level: int
    log_style: str = logs.TEXT
    limits: MediaLimits = UNLIMITED
    """What each peer may send."""
