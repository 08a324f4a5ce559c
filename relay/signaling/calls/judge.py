"""Asks the embedder's policy beside the built-in one."""

import asyncio
from typing import Final

from relay.errors import SignalingError
from relay.ids import Scope
from relay.signaling.calls import policy
from relay.signaling.calls.call import EndReason
from relay.signaling.calls.extensions import CallPolicy, CallRequest, Verdict
from relay.signaling.calls.faults import Faults
from relay.signaling.ports import Eligibility

PATIENCE: Final = 3.0
"""Seconds that a caller waits for a policy."""

_REASONS: Final = {
    Verdict.ALLOWED: None,
    Verdict.REJECTED: EndReason.REJECTED,
    Verdict.BLOCKED: EndReason.BLOCKED,
    Verdict.BUSY: EndReason.BUSY,
}
_VERDICTS: Final = {reason: verdict for verdict, reason in _REASONS.items()}


class Judge:
    """Says who may call whom."""

    def __init__(self, own: CallPolicy | None = None, faults: Faults | None = None, patience: float = PATIENCE) -> None:
        """
        Args:
            own: the embedder's; None: the built-in rules are all.
            patience: seconds until it counts as failed.
        """
        self._own = own
        self._faults = faults or Faults()
        self._patience = patience

    async def refusal(self, eligibility: Eligibility, scope: Scope, call_type: str) -> EndReason | None:
        """Why a call may not be, or None if it may.

        Raises:
            SignalingError: `unavailable`: the embedder's policy has failed, and what it would have said is not known.
        """
        built_in = policy.refusal(eligibility)
        if self._own is None:
            return built_in
        request = CallRequest(scope, call_type, eligibility, _VERDICTS[built_in])
        try:
            async with asyncio.timeout(self._patience):
                verdict = _REASONS[Verdict(await self._own.judge(request))]
        except Exception as error:
            self._faults.failed("policy", error)
            raise SignalingError("unavailable", "whether this call may be made cannot be found out now") from None
        self._faults.succeeded("policy")
        return verdict
