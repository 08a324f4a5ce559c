"""The times by which the pool judges its workers: one value, so that tests can have others."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTiming:
    """Seconds."""

    start_timeout: float = 30.0
    """Until a new worker must listen. Generous: all of them start at once, on a machine that may be busy."""
    poll_interval: float = 1.0
    """Between looks at a worker's counters: what it counted after the last one is lost when it dies."""
    answer_fresh: float = 2.0
    """After its last answer that a worker still gets new calls."""
    answer_timeout: float = 10.0
    """That a worker may take to answer a look; then it hangs, and is killed."""
    close_grace: float = 0.7
    """That a worker gets to end by itself; then it is killed."""
    open_patience: float = 3.0
    """That a new call waits while no worker answers: a restart takes about one."""
    open_timeout: float = 2.0
    """That a worker may take to open the first transport of a call; then another one gets the call, if one answers."""
    scrape_timeout: float = 1.0
    """That `counters` waits for a worker; then its last known figures count."""
    restart_first: float = 0.05
    """From the death of a worker to its restart. Doubled each time, up to `restart_last`."""
    restart_last: float = 10.0
    """Between restarts, at most. A worker that lived longer begins with `restart_first` again."""
    capture_grace: float = 0.5
    """That `close` waits for the last writes of captures."""


USUAL: Final = WorkerTiming()
