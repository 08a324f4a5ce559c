"""How much is measured."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes of a run. All durations in seconds."""

    repeats: int
    """Medians are taken over them; the servers take turns within each."""
    rates: tuple[int, ...]
    """Packets per second over all transports."""
    transports: tuple[int, ...]
    searched: tuple[int, ...]
    """Transports for which the highest rate is searched, in the first repeat; in the others, only for `MIDDLE`."""
    window: float
    peak_window: float
    """Of each try at a rate, in the search for the highest."""
    bisections: int
    """Of the search for the highest rate; 0: it is not searched."""
    residence_window: float
    idle_calls: int
    idle: float
    active_calls: int
    active: int
    deadline: int
    """After which the run is ended, whatever it is doing."""
    turns: int = 0
    """Windows of each server, one after the other while all of them are up, so that two servers can be compared on a machine that
    does other things, too; 0: one window of one server at a time."""
    timed_calls: bool = False
    """Time in the server is also taken of audio while many calls are active: that costs the generator some of its pace."""
    burst: int = 1
    """Packets that a transport sends in a row, where traffic is steady."""


MIDDLE: Final = 40
"""Transports at which the highest rate and the time in the server are taken each time."""

FULL: Final = Plan(
    repeats=3,
    rates=(1_000, 5_000, 20_000),
    transports=(2, MIDDLE, 400),
    searched=(MIDDLE,),
    window=2.0,
    peak_window=1.0,
    bisections=2,
    residence_window=2.0,
    idle_calls=100,
    idle=5.0,
    active_calls=20,
    active=6,
    deadline=1_500,
)

QUICK: Final = Plan(
    repeats=1,
    rates=(1_000, 20_000),
    transports=(2, MIDDLE),
    searched=(MIDDLE,),
    window=0.5,
    peak_window=0.25,
    bisections=1,
    residence_window=0.5,
    idle_calls=10,
    idle=2.5,
    active_calls=4,
    active=2,
    deadline=180,
)

RECORDING: Final = Plan(
    repeats=3,
    rates=(20_000,),
    transports=(2, MIDDLE),
    searched=(),
    window=0.7,
    peak_window=0.5,
    bisections=0,
    residence_window=1.0,
    idle_calls=10,
    idle=2.5,
    active_calls=20,
    active=4,
    deadline=450,
    turns=5,
    timed_calls=True,
)
"""What recording costs: the relay without, with, and with a disk that blocks, in turn."""
