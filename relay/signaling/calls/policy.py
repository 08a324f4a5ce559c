"""Who may call whom. Pure: everything that counts comes in as an `Eligibility`."""

from typing import Final

from relay.records.profiles import Privacy
from relay.signaling.calls.call import EndReason
from relay.signaling.ports import Eligibility

NEVER_CAME: Final = frozenset({EndReason.BLOCKED, EndReason.REJECTED})
"""Refusals of calls that are not for the callee at all: it does not see them, or anybody could write into its history."""


def ends(eligibility: Eligibility, *, answered: bool) -> EndReason | None:
    """Why a call that goes on may not go on, or None if it may. Settings count at its beginning only."""
    if eligibility.members and not eligibility.blocked:
        return None
    if not answered:
        return EndReason.REJECTED
    # So that a blocked caller cannot tell it from a hang-up.
    return EndReason.HANGUP if eligibility.blocked else EndReason.TERMINATED


def refusal(eligibility: Eligibility) -> EndReason | None:
    """Why a call may not be, or None if it may.

    `BLOCKED` and `REJECTED` look the same to the caller; `BUSY` is how a wish not to be disturbed looks.
    """
    if eligibility.blocked:
        return EndReason.BLOCKED
    if not eligibility.members:
        return EndReason.REJECTED
    if eligibility.privacy is Privacy.NOBODY or (eligibility.privacy is Privacy.CONNECTIONS and not eligibility.connected):
        return EndReason.REJECTED
    return EndReason.BUSY if eligibility.do_not_disturb else None
