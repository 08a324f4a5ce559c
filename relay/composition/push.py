"""Web Push."""

from relay.errors import ConfigurationError
from relay.push.vapid import VapidKey
from relay.push.waker import PushWaker, Subscriptions
from relay.settings.push import PushSettings


def push_plane(settings: PushSettings, rings_for: float, subscriptions: Subscriptions) -> PushWaker | None:
    """Web Push; None while it is off.

    Args:
        rings_for: seconds that a call rings.

    Raises:
        ConfigurationError: the key or the subject is not one.
    """
    if not settings.vapid_private_key:
        return None
    try:
        key = VapidKey.parse(settings.vapid_private_key, settings.vapid_subject)
    except ValueError as error:
        raise ConfigurationError(f"RELAY_VAPID_PRIVATE_KEY, RELAY_VAPID_SUBJECT: {error}") from None
    return PushWaker(subscriptions, key, rings_for)
