"""Who may call whom. Pure: everything that counts comes in as a `Standing`."""

from typing import Final

from relay.signaling.calls.call import EndReason
from relay.signaling.ports import Privacy, Standing

NEVER_CAME: Final = frozenset({EndReason.BLOCKED, EndReason.REJECTED})
"""Refusals of calls that are not for the callee at all: it does not see them, or anybody could write into its history."""


def ends(standing: Standing, *, answered: bool) -> EndReason | None:
    """Why a call that goes on may not go on, or None if it may. Settings count at its beginning only."""
    if standing.members and not standing.blocked:
        return None
    if not answered:
        return EndReason.REJECTED
    # So that whoever is blocked cannot tell it from a hang-up.
    return EndReason.HANGUP if standing.blocked else EndReason.TERMINATED


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
