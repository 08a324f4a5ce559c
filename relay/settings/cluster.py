"""Several servers as the nodes of one cluster."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import Meta

from relay.settings.base import PREFIX, Group, parsing_problem
from relay.settings.redis_url import parse, shown

_NODE_URL: Final = re.compile(r"https?://(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::[1-9][0-9]{0,4})?/?")


@dataclass(frozen=True, kw_only=True)
class ClusterSettings(Group):
    redis_url: Annotated[str, Meta(extra={"shown": shown})] = ""
    """URL of the Redis that the nodes of a cluster share: `redis://`, `rediss://` or `redis+sentinel://`; empty: this server is
    alone."""
    cluster_namespace: Annotated[str, Meta(pattern="^[A-Za-z0-9_.-]{1,64}$")] = "default"
    """Part of the names of all keys in Redis: clusters with different ones can share a Redis."""
    region: Annotated[str, Meta(pattern="^[A-Za-z0-9_.-]{0,64}$")] = ""
    """Where this node is, such as `eu-west`: a call goes to a node of the regions of its parties' nodes; clients are told TURN
    servers of theirs first."""
    node_url: str = ""
    """URL by which clients reach this node and no other one; empty: only by the one of all nodes."""

    def _problems(self) -> Iterator[str]:
        if self.redis_url:
            yield from parsing_problem("redis_url", lambda: parse(self.redis_url))
        if self.node_url and not _NODE_URL.fullmatch(self.node_url):
            yield f"{PREFIX}NODE_URL: {self.node_url!r} is not a URL such as https://node-1.relay.example"
