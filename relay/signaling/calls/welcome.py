"""The first message on every connection."""

from datetime import datetime

from msgspec import UNSET

from relay.cluster.values import Claim
from relay.records.profiles import ProfileCard
from relay.records.recordings import RecordingPolicy
from relay.settings.calls import CallSettings
from relay.signaling.calls import notices
from relay.signaling.messages import incoming, outgoing
from relay.signaling.presence.device import Device


def welcome(
    card: ProfileCard,
    device: Device,
    now: datetime,
    *,
    resumed: bool,
    resume_seconds: float,
    timers: CallSettings,
    recording: RecordingPolicy,
    elsewhere: Claim | None,
) -> outgoing.Welcome:
    """
    Args:
        resume_seconds: how long a device that can come back may be away.
        recording: the policy of the server.
        elsewhere: the call of another server that the profile is in.
    """
    return outgoing.Welcome(
        profile_id=card.profile.profile_id,
        profile_type=card.profile.profile_type,
        name=card.name,
        avatar=card.avatar,
        device_id=device.device_id,
        resume=device.resume_token,
        resumed=resumed,
        resume_seconds=resume_seconds if device.resumable else 0.0,
        server_time=notices.milliseconds(now),
        version=device.version,
        features=incoming.FEATURES,
        limits=notices.limits(timers),
        recording=recording.value,
        call_id=UNSET if elsewhere is None else elsewhere.call_id,
    )
