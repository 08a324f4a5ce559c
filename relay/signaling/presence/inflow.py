"""What the owner of a call sends to a device of another node, put in order there.

Messages of one node arrive in order, but when a device moves, its former home sends on what it still gets: that may come later
than what the owner sends to the new home at once.
"""

from dataclasses import dataclass, field

from relay.cluster.messages import ToDevice


@dataclass(slots=True)
class Inflow:
    """The messages of one node to one device. Sans-IO."""

    stream: int = 0
    taken: int = 0
    """The number of the latest message that was taken, in order."""
    held: dict[int, ToDevice] = field(default_factory=dict)
    """Those that came too early, by number."""
    stale: int = -1
    """Messages of this stream, and of earlier ones, are not taken any more."""

    def take(self, message: ToDevice) -> list[ToDevice]:
        """A message has arrived; those whose turn it is by that, in order."""
        if message.stream <= self.stale:
            return []
        if message.stream < self.stream:  # of an earlier call
            return [message]
        ready = []
        if message.stream > self.stream:
            ready = self.rest()
            self.stream, self.taken = message.stream, 0
        self.held[message.order] = message
        while (due := self.held.pop(self.taken + 1, None)) is not None:
            self.taken += 1
            ready.append(due)
        return ready

    def close(self) -> None:
        """Another node speaks for the call by now: what this one still says of it is not taken."""
        self.stale = self.stream
        self.held.clear()

    def rest(self) -> list[ToDevice]:
        """Those that wait, in order, which are forgotten by that."""
        rest = [self.held[number] for number in sorted(self.held)]
        self.held.clear()
        return rest
