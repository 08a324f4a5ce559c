"""The edge: the one TCP port, media over TCP, and TURN."""

from relay.composition.media import MediaPlane
from relay.edge.edge import Edge
from relay.edge.limits import EdgeLimits
from relay.settings.edge import EdgeSettings
from relay.settings.turn import TurnSettings


def edge_plane(edge: EdgeSettings, turn: TurnSettings, media: MediaPlane, limits: EdgeLimits) -> Edge:
    """The edge, which does not listen yet."""
    ports, local = lambda: media.engine.ports, media.address_watch()
    return Edge(edge, turn, media.reachable, ports, media.addresses, local, limits=limits)
