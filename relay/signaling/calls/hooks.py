"""Notifies an embedder of calls, beside the calls' own path: a hook that fails or hangs disturbs no call."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from relay.signaling.calls.call import Call
from relay.signaling.calls.extensions import CallFacts, CallHooks
from relay.signaling.calls.faults import Faults

PATIENCE: Final = 10.0
"""Seconds until a hook is given up."""

MAX_WAITING: Final = 1000
"""Events that may wait for hooks. More are dropped: hooks that hang must not fill the memory."""

FAREWELL: Final = 5.0
"""Seconds that hooks get to finish when the relay stops."""

_Hook = Callable[[CallFacts], Awaitable[None]]


class HookRunner:
    """Runs the hooks of each call one after the other, those of different calls at the same time."""

    def __init__(
        self,
        hooks: CallHooks | None = None,
        faults: Faults | None = None,
        patience: float = PATIENCE,
        *,
        max_waiting: int = MAX_WAITING,
        farewell: float = FAREWELL,
    ) -> None:
        """
        Args:
            hooks: None: there are none.
            patience: seconds until a hook counts as failed.
        """
        self._hooks = hooks
        self._faults = faults or Faults()
        self._patience = patience
        self._max_waiting, self._farewell = max_waiting, farewell
        self._calls: dict[str, CallFacts] = {}
        self._latest: dict[str, asyncio.Task[None]] = {}
        self._waiting: set[asyncio.Task[None]] = set()

    def started(self, call: Call, at: datetime) -> None:
        """A call may be made, and is about to ring."""
        if self._hooks is not None:
            facts = CallFacts(call.call_id, call.scope, call.call_type, call.caller.profile, call.callee.profile, at)
            self._tell(self._hooks.call_started, facts)

    def succeeded(self, call: Call, at: datetime, answered_at: datetime | None) -> None:
        """A call goes on here whose node is lost: that one has told what has happened to it, and this one tells what follows."""
        if self._hooks is not None:
            parties = call.caller.profile, call.callee.profile
            self._calls[call.call_id] = CallFacts(call.call_id, call.scope, call.call_type, *parties, at, answered_at)

    def dropped(self, call: Call) -> None:
        """A call goes on at another node, which tells what follows."""
        self._calls.pop(call.call_id, None)

    def answered(self, call: Call, at: datetime) -> None:
        if self._hooks is not None and (facts := self._calls.get(call.call_id)) is not None:
            self._tell(self._hooks.call_answered, replace(facts, answered_at=at))

    def ended(self, call: Call, at: datetime, duration: int | None) -> None:
        """A call has ended; nothing is told if it was refused before it started."""
        if self._hooks is not None and (facts := self._calls.get(call.call_id)) is not None:
            reason = None if call.end_reason is None else call.end_reason.value
            over = replace(facts, call_type=call.call_type, ended_at=at, duration_seconds=duration, reason=reason)
            self._tell(self._hooks.call_ended, over)
            del self._calls[call.call_id]

    async def close(self) -> None:
        """Let the hooks that are under way finish, for a while. No call is left."""
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=self._farewell)
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)

    def _tell(self, hook: _Hook, facts: CallFacts) -> None:
        self._calls[facts.call_id] = facts
        if len(self._waiting) >= self._max_waiting:
            self._faults.dropped()
            return
        before = self._latest.get(facts.call_id)
        task = asyncio.get_running_loop().create_task(self._run(hook, facts, before))
        self._latest[facts.call_id] = task
        self._waiting.add(task)
        task.add_done_callback(lambda done: self._done(facts.call_id, done))

    async def _run(self, hook: _Hook, facts: CallFacts, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        name = getattr(hook, "__name__", "")
        try:
            async with asyncio.timeout(self._patience):
                await hook(facts)
        except Exception as error:
            self._faults.failed("hook", error, name)
        else:
            self._faults.succeeded("hook", name)

    def _done(self, call_id: str, task: asyncio.Task[None]) -> None:
        self._waiting.discard(task)
        if self._latest.get(call_id) is task:
            del self._latest[call_id]
