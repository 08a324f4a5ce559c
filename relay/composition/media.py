"""The media plane: in worker processes, or in this one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relay.edge.reach import ReachableEngine
from relay.media.api import MediaEventSink
from relay.media.net.addresses import AddressWatch
from relay.settings.media import MediaLimits, MediaSettings
from relay.workers.pool import WorkerPool
from relay.workers.usage import WorkerProcesses

if TYPE_CHECKING:
    from relay.media.engine import LocalEngine


@dataclass
class MediaPlane:
    """What the other planes have of media.

    Attributes:
        engine: forwards.
        reachable: the same engine for signaling: its transports are offered over TCP, too.
    """

    settings: MediaSettings
    engine: "LocalEngine | WorkerPool"
    reachable: ReachableEngine = field(init=False)

    def __post_init__(self) -> None:
        self.reachable = ReachableEngine(self.engine)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where media is said to be reachable."""
        return tuple(dict.fromkeys(self.settings.advertised_addresses + self.settings.media_hosts))

    def address_watch(self) -> AddressWatch | None:
        """The addresses of this machine, if media listens on all of them."""
        return None if self.settings.media_hosts else AddressWatch()

    async def is_up(self) -> bool:
        """Whether new calls find an engine that answers."""
        return not isinstance(self.engine, WorkerPool) or any(one.answering for one in self.engine.workers)

    def worker_processes(self) -> Sequence[int]:
        """The numbers of the processes that forward media, without this one."""
        pool = self.engine
        return [one.pid for one in pool.workers if one.pid is not None] if isinstance(pool, WorkerPool) else []

    def processes(self) -> Sequence[WorkerProcesses]:
        """What shows the worker processes in the metrics; nothing where there are none."""
        pool = self.engine
        if not isinstance(pool, WorkerPool):
            return []
        return [WorkerProcesses(lambda: [(one.number, one.pid) for one in pool.workers if one.pid is not None])]


def media_plane(settings: MediaSettings, on_event: MediaEventSink) -> MediaPlane:
    """The media plane, still closed.

    Args:
        on_event: takes what happens to transports.
    """
    hosts, limits = settings.media_hosts, settings.only(MediaLimits)
    if settings.worker_count == 0:
        from relay.media.engine import LocalEngine  # noqa: PLC0415 - it loads aiortc, for which a process with workers has no use

        return MediaPlane(settings, LocalEngine(on_event, hosts, settings.media_port, limits=limits))
    return MediaPlane(settings, WorkerPool(on_event, settings.worker_count, hosts, settings.media_port, limits=limits))
