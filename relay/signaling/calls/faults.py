"""What goes wrong in code of an embedder: counted each time, and in the log once until it works again."""

import logging
from collections import Counter
from typing import Final

logger = logging.getLogger(__name__)

NAMES: Final = {
    "policy_failed": "calls that could not be judged, because the policy of the embedding program failed or took too long",
    "identity_failed": "requests of which the embedding program could not say whose they are",
    "hook_failed": "events of calls that the embedding program failed to take, or took too long for",
    "hook_dropped": "events of calls that were not told, because too many were waiting for the embedding program",
}
"""What `Faults.counters` counts."""


class Faults:
    """Shared by all extension points of a relay."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self._known: set[str] = set()

    def failed(self, part: str, error: BaseException, which: str = "") -> None:
        """Note a failure.

        Args:
            part: `policy`, `identity` or `hook`.
            which: one of several that fail independently of each other.
        """
        self.counters[f"{part}_failed"] += 1
        if part + which not in self._known:
            self._known.add(part + which)
            what = "took too long" if isinstance(error, TimeoutError) else "failed"
            # With the way there: the mistake is in the embedder's code.
            logger.error("%s %s of the embedding program %s; more of this is only counted", part, which, what, exc_info=error)

    def succeeded(self, part: str, which: str = "") -> None:
        """It works (again)."""
        self._known.discard(part + which)

    def dropped(self) -> None:
        """An event was not told."""
        self.counters["hook_dropped"] += 1
