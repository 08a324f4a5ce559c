"""`/api/admin/nodes`: the servers that are nodes of this one's cluster."""

from typing import Annotated, Final, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from relay.cluster.api import Cluster, NodeCard
from relay.http.access.service_token import guarded
from relay.http.api import Operation, get
from relay.http.responses import answer


class NodeView(msgspec.Struct, frozen=True, kw_only=True):
    """A node, as it said of itself in the last seconds."""

    name: Annotated[str, Meta(description="`RELAY_NODE`.")]
    incarnation: Annotated[int, Meta(description="Of this process: a restart has a higher one.")]
    region: Annotated[str, Meta(description="`RELAY_REGION`.")]
    url: Annotated[str, Meta(description="`RELAY_NODE_URL`.")]
    version: str
    state: Literal["serving", "draining"]
    load: Annotated[float, Meta(description="The processor share of its busiest process, 0 to 1; calls that begin count more.")]
    calls: Annotated[int, Meta(description="Calls whose media it forwards.")]
    devices: Annotated[int, Meta(description="Devices that are connected to it, or may come back to it.")]

    @classmethod
    def of(cls, card: NodeCard) -> "NodeView":
        return cls(
            name=card.ref.name,
            incarnation=card.ref.incarnation,
            region=card.region,
            url=card.url,
            version=card.version,
            state=card.state,
            load=round(card.load, 3),
            calls=card.calls,
            devices=card.devices,
        )


class NodesView(msgspec.Struct, frozen=True):
    """The nodes that live."""

    holds_lease: Annotated[bool, Meta(description="Whether the node that answers may begin calls: Redis answers it.")]
    nodes: Annotated[list[NodeView], Meta(description="That which answers first; none: the server is alone.")]


async def list_nodes(_request: web.Request, *, cluster: Cluster) -> web.Response:
    return answer(NodesView(cluster.may_act(), [NodeView.of(one) for one in cluster.nodes()]))


ROUTES: Final = guarded(
    [get("/api/admin/nodes", list_nodes, Operation("The servers of the cluster that live, with their loads.", NodesView))]
)
