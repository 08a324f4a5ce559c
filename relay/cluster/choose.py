"""Which node takes a call: near its parties, then the less loaded of two."""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Final

from relay.cluster.api import NodeCard
from relay.cluster.values import NodeRef

FULL: Final = 0.9
"""Load from which on a node takes no further calls, as long as another one has room."""

RAMP: Final = 0.01
"""Load that a call counts for until the node's own figure shows it (as in Jicofo, whose bridges report every few seconds)."""

RAMP_SECONDS: Final = 20.0

TIE: Final = 0.02
"""Loads that differ by no more are the same: the figure of an idle node varies by as much."""

SIMILAR: Final = 0.1
"""Nor do those that differ by that share: of nodes at which calls begin at the same rate, the numbers of 20 s vary by that, and
each call at another node than its caller's costs both some messages."""

TOLD: Final = 3
"""Other nodes whose TURN servers clients are told: a client asks all of them at once before it calls."""

Sample = Callable[[Sequence[NodeCard], int], Sequence[NodeCard]]
"""`random.sample`: so many of them, at random, each once."""


class Begun:
    """Calls that have begun at each node in the last 20 s."""

    def __init__(self) -> None:
        self._times: dict[NodeRef, deque[float]] = {}

    def add(self, node: NodeRef, now: float) -> None:
        """A call begins there.

        Args:
            now: monotonic seconds.
        """
        self._times.setdefault(node, deque()).append(now)

    def count(self, node: NodeRef, now: float) -> int:
        times = self._times.get(node)
        if times is None:
            return 0
        while times and times[0] <= now - RAMP_SECONDS:
            times.popleft()
        if not times:
            del self._times[node]
        return len(times)

    def load(self, card: NodeCard, now: float) -> float:
        """The load of a node, with the calls that its own figure may not show yet."""
        return card.load + RAMP * self.count(card.ref, now)


def told(nodes: Sequence[NodeCard]) -> Sequence[NodeCard]:
    """The other nodes whose TURN servers the clients of a node are told, in this order.

    Args:
        nodes: those that live; the node itself is the first one.
    """
    others = [one for one in nodes[1:] if one.turn_urls]
    return sorted(others, key=lambda card: (card.region != nodes[0].region, card.ref.name))[:TOLD]


def reachable(nodes: Sequence[NodeCard]) -> Sequence[NodeCard]:
    """The nodes at which calls of a node's clients may be: each TURN server relays to the media of its own node only.

    Args:
        nodes: as for `told`.
    """
    return [nodes[0], *told(nodes)] if nodes[0].turn_urls else nodes


def choose(
    nodes: Sequence[NodeCard],
    home: NodeRef,
    callees: Collection[NodeRef],
    load: Callable[[NodeCard], float],
    sample: Sample,
) -> NodeRef | None:
    """The node that is to own a new call.

    Two at random, and the less loaded of them: always taking the least loaded one would send every call of the next seconds to
    the same node, as all look at the same figures (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing").

    Args:
        nodes: those that live.
        home: of the caller's device.
        callees: the homes of the callee's devices; none: it is not connected.
        load: of a node, with what its card does not show yet.

    Returns:
        None if no node takes calls.
    """
    cards = {one.ref: one for one in nodes}
    version = cards[home].version if home in cards else None
    serving = [one for one in nodes if one.state == "serving" and version in (None, one.version)]
    # When all are full, a bad call is better than none: a processor share says little about the one call more.
    candidates = [one for one in serving if load(one) < FULL] or serving
    if not candidates:
        return None
    regions = {cards[one].region for one in callees if one in cards}
    near = {one.ref: _distance(one, cards.get(home), regions) for one in candidates}
    nearest = [one for one in candidates if near[one.ref] == min(near.values())]
    two = nearest if len(nearest) <= 2 else sample(nearest, 2)
    best = min(two, key=load)
    at_home = next((one for one in nearest if one.ref == home), None)
    # A call at its caller's home takes no hop for half of its messages.
    if at_home is not None and load(at_home) <= load(best) + max(TIE, SIMILAR * load(at_home)):
        return home
    return best.ref


def _distance(node: NodeCard, home: NodeCard | None, callees: Collection[str]) -> int:
    """How many of the two parties are in another region."""
    return int(home is not None and node.region != home.region) + int(bool(callees) and node.region not in callees)
