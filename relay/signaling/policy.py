"""Who may call whom. Pure: everything that counts comes in as a `Standing`."""

from relay.signaling.call import EndReason
from relay.signaling.ports import Privacy, Standing


def refusal(standing: Standing) -> EndReason | None:
    """Why a call may not be, or None if it may.

    `BLOCKED` and `REJECTED` look the same to the caller; `BUSY` is how a wish not to be disturbed looks.
    """
    if not standing.members:
        return EndReason.REJECTED
    if standing.blocked:
        return EndReason.BLOCKED
    if standing.privacy is Privacy.NOBODY or (standing.privacy is Privacy.CONNECTIONS and not standing.connected):
        return EndReason.REJECTED
    return EndReason.BUSY if standing.do_not_disturb else None
