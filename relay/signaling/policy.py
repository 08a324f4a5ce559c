"""Who may call whom. Pure: everything that counts comes in as a `Standing`."""

from typing import Final

from relay.signaling.call import EndReason
from relay.signaling.ports import Privacy, Standing

NEVER_CAME: Final = frozenset({EndReason.BLOCKED, EndReason.REJECTED})
"""Refusals of calls that are not for the callee at all: it does not see them, or anybody could write into its history."""


def refusal(standing: Standing) -> EndReason | None:
    """Why a call may not be, or None if it may.

    `BLOCKED` and `REJECTED` look the same to the caller; `BUSY` is how a wish not to be disturbed looks.
    """
    if standing.blocked:
        return EndReason.BLOCKED
    if not standing.members:
        return EndReason.REJECTED
    if standing.privacy is Privacy.NOBODY or (standing.privacy is Privacy.CONNECTIONS and not standing.connected):
        return EndReason.REJECTED
    return EndReason.BUSY if standing.do_not_disturb else None
