"""ICE-TCP and TURN connections: those that have shown that they carry media, and those that have not."""

from collections.abc import Iterator
from typing import Protocol

from relay.edge.tcp.admission import Admission
from relay.edge.tcp.peers import Peer


class MediaConnection(Protocol):
    """One of either kind."""

    @property
    def peer(self) -> Peer: ...

    def sweep(self, now: float) -> None:
        """Called each second."""
        ...

    def close(self) -> None: ...

    def evict(self) -> None:
        """Close it at once."""
        ...


class StreamOwner(Protocol):
    """What such a connection says about itself."""

    def established(self, connection: MediaConnection) -> None:
        """It carries media: a worker has answered its check, or it has an allocation."""
        ...

    def undecided(self, connection: MediaConnection) -> None:
        """It carries no media any more, and may begin again."""
        ...

    def active(self, connection: MediaConnection) -> None:
        """Something has come from it within the last second."""
        ...

    def lost(self, connection: MediaConnection) -> None:
        """It is over."""
        ...


class Streams:
    """All of them. One that carries media never goes for one that does not."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._all: dict[MediaConnection, None] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[MediaConnection]:
        return iter(list(self._all))

    def add(self, connection: MediaConnection) -> None:
        """A new one."""
        self._all[connection] = None
        self._admission.enter(self._admission.undecided, connection, connection.peer.host)

    # -- StreamOwner --------------------------------------------------------------------------------------------------

    def established(self, connection: MediaConnection) -> None:
        admission = self._admission
        if connection in self._all and connection not in admission.streams:
            admission.undecided.remove(connection)
            admission.enter(admission.streams, connection, connection.peer.host)

    def undecided(self, connection: MediaConnection) -> None:
        admission = self._admission
        if connection in self._all and connection in admission.streams:
            admission.streams.remove(connection)
            admission.enter(admission.undecided, connection, connection.peer.host)

    def active(self, connection: MediaConnection) -> None:
        self._admission.active(self._admission.streams, connection)

    def lost(self, connection: MediaConnection) -> None:
        self._all.pop(connection, None)
        self._admission.undecided.remove(connection)
        self._admission.streams.remove(connection)
