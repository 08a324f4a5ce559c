"""The edge: the one TCP port, media over TCP, and TURN."""

from collections.abc import Callable

from relay.composition.media import MediaPlane
from relay.edge.edge import Edge
from relay.edge.limits import EdgeLimits
from relay.settings.edge import EdgeSettings
from relay.settings.turn import TurnSettings


def edge_plane(
    edge: EdgeSettings, turn: TurnSettings, media: MediaPlane, limits: EdgeLimits, on_open: Callable[[], None]
) -> Edge:
    """The edge, which does not listen yet; `on_open` as of `Edge`."""
    ports, local = lambda: media.engine.ports, media.address_watch()
    return Edge(edge, turn, media.reachable, ports, media.addresses, local, limits=limits, on_open=on_open)
