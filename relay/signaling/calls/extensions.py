"""Where a program that embeds the relay has its say about calls: who may call whom, and what happens when.

`relay.extensions` is what it imports. Everything here is awaited on the relay's own event loop: it must not block.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from relay.ids import Profile, Scope
from relay.signaling.ports import Eligibility


class Verdict(StrEnum):
    """Whether a call may be, and if not, how that looks."""

    ALLOWED = "allowed"
    REJECTED = "rejected"
    """As if the callee had declined. The callee learns nothing of it."""
    BLOCKED = "blocked"
    """The caller sees `rejected`; the row in `call_logs` says `blocked`. The callee learns nothing of it."""
    BUSY = "busy"
    """The callee finds the call among those that it missed."""


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A call that a profile wants to make."""

    scope: Scope
    """The conversation or whiteboard session."""
    call_type: str
    """`voice` or `video`."""
    standing: Eligibility
    """Caller and callee, and what the relay knows of the two."""
    built_in: Verdict
    """What the relay's own rules say: membership, blocks, privacy, do-not-disturb."""


class CallPolicy(Protocol):
    """Who may call whom, beside the built-in rules."""

    async def judge(self, request: CallRequest) -> Verdict:
        """Whether a call may be made; the caller waits meanwhile.

        Return `request.built_in` to leave it at that, something else to restrict it, or to allow what the rules refuse.
        """
        ...


@dataclass(frozen=True, slots=True)
class CallFacts:
    """A call as it is at that moment. Times are timezone-aware, in UTC."""

    call_id: str
    scope: Scope
    call_type: str
    """`voice` or `video`, as it is now."""
    caller: Profile
    callee: Profile
    started_at: datetime
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    duration_seconds: int | None = None
    """From answered to ended; None if it was not answered."""
    reason: str | None = None
    """Why it ended: `call_ended.reason` of docs/protocol.md."""


class CallHooks(Protocol):
    """Notifications of calls: those of one call in order, each when the one before has returned.

    Calls that were refused before they rang cause none.
    """

    async def call_started(self, call: CallFacts) -> None:
        """It may be made, and is about to ring."""
        ...

    async def call_answered(self, call: CallFacts) -> None: ...

    async def call_ended(self, call: CallFacts) -> None: ...
