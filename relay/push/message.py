"""Push messages: pure functions from a call to the encrypted bytes for a browser."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from relay.push.endpoints import check_keys
from relay.records.calls import PushSubscription
from relay.signaling.ports import MissedCallRecord

MISSED_FOR: Final = timedelta(days=1)
"""The time that the push service keeps the message of a missed call for a browser that is off. The history has older calls."""

MAX_NAME: Final = 200
"""Characters: with all else, a message stays below the 3,993 bytes of RFC 8291 section 4, whatever script the name is in."""


class _Notification(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """The payload for the service worker. Its fields are named as in the messages of the WebSocket."""

    call_id: str
    from_name: str
    from_profile_type: str
    from_profile_id: int
    call_type: str
    conversation_id: int | UnsetType = UNSET
    whiteboard_session_id: int | UnsetType = UNSET


class RingingNotification(_Notification, frozen=True, kw_only=True, tag="call"):
    """A call rings."""


class MissedNotification(_Notification, frozen=True, kw_only=True, tag="missed_call"):
    """A call was missed."""


@dataclass(frozen=True, slots=True)
class PushMessage:
    """One notification, for any number of browsers."""

    payload: bytes
    topic: str
    """RFC 8030 section 5.4: a later message of the same topic takes the place of one that has not been delivered."""
    urgency: str
    """RFC 8030 section 5.3: `high` wakes a telephone that saves its battery."""
    expires_at: datetime
    """The time when the message expires."""

    def ttl(self, now: datetime) -> int:
        """Whole seconds that the push service may take (RFC 8030 section 5.2); 0 or less: it is too late."""
        return math.ceil((self.expires_at - now).total_seconds())


def ringing(call: MissedCallRecord, rings_for: timedelta) -> PushMessage:
    """The message that a call rings; it expires when the ringing ends.

    Args:
        call: which one.
        rings_for: from `started_at` on.
    """
    notification = RingingNotification(**_about(call))
    return PushMessage(msgspec.json.encode(notification), call.call_id, "high", call.started_at + rings_for)


def missed(call: MissedCallRecord, now: datetime) -> PushMessage:
    """The message that a call was missed. It replaces the one that the call rings."""
    return PushMessage(msgspec.json.encode(MissedNotification(**_about(call))), call.call_id, "normal", now + MISSED_FOR)


def encrypt(message: PushMessage, subscription: PushSubscription) -> bytes:
    """The body of a message for one browser (RFC 8291).

    Raises:
        ValueError: the browser's keys are none.
    """
    from pywebpush import WebPusher  # noqa: PLC0415 - loads an HTTP client of its own, which a relay without push never needs

    check_keys(subscription.p256dh, subscription.auth)
    keys = {"p256dh": subscription.p256dh, "auth": subscription.auth}
    pusher = WebPusher({"endpoint": subscription.endpoint, "keys": keys})
    body: bytes = pusher.encode(message.payload, "aes128gcm")["body"]
    return body


def _about(call: MissedCallRecord) -> dict[str, Any]:
    return {
        "call_id": call.call_id,
        "from_name": call.caller.name[:MAX_NAME],
        "from_profile_type": call.caller.profile.profile_type,
        "from_profile_id": call.caller.profile.profile_id,
        "call_type": call.call_type,
        call.scope.kind.id_field: call.scope.scope_id,
    }
