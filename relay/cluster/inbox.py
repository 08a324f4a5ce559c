"""What has arrived from other nodes: duplicates and gaps, by the numbers that senders give their messages."""

from enum import Enum

from relay.cluster.values import NodeRef


class SeqCheck(Enum):
    """What the number of a message says about it."""

    NEXT = "next"
    DUPLICATE = "duplicate"
    """It was here before: its sender could not know that the engine had taken it, and sent it again."""
    AFTER_GAP = "after_gap"
    """Messages before it are lost. It counts."""


class Inbox:
    """The number of the latest message from each sender: 1, 2, 3, … for each pair of incarnations."""

    def __init__(self) -> None:
        self._latest: dict[NodeRef, int] = {}

    def take(self, sender: NodeRef, seq: int) -> SeqCheck:
        """A message has arrived.

        Args:
            seq: positive.
        """
        latest = self._latest.get(sender, 0)
        if seq <= latest:
            return SeqCheck.DUPLICATE
        self._latest[sender] = seq
        return SeqCheck.NEXT if seq == latest + 1 else SeqCheck.AFTER_GAP

    def forget(self, sender: NodeRef) -> None:
        """That node is lost. If it comes back and goes on, a gap is seen, which there may be."""
        self._latest.pop(sender, None)

    def senders(self) -> tuple[NodeRef, ...]:
        """Those that messages have arrived from."""
        return tuple(self._latest)
