"""The edge: the one TCP port, media over TCP, and TURN."""

from relay.composition.media import MediaPlane
from relay.edge.edge import Edge
from relay.settings.edge import EdgeSettings
from relay.settings.turn import TurnSettings


def edge_plane(edge: EdgeSettings, turn: TurnSettings, media: MediaPlane) -> Edge:
    """The edge, which does not listen yet."""
    return Edge(edge, turn, media.reachable, lambda: media.engine.ports, media.addresses, media.address_watch())
