"""How long data is kept. 0: for ever."""

from dataclasses import dataclass

from relay.settings.base import Days, Group


@dataclass(frozen=True, kw_only=True)
class RetentionSettings(Group):
    retain_calls_days: Days = 0
    """Days that calls in conversations are kept, with their chat messages; not those with `keep`, and none that is open."""
    retain_whiteboard_calls_days: Days = 0
    """Days that whiteboard calls are kept, likewise."""
    retain_identities_days: Days = 0
    """Days that calls say the parties' names, avatars and user ids; the rows stay."""
    retain_chat_days: Days = 0
    """Days that chat messages of calls are kept."""
    retain_push_subscriptions_days: Days = 0
    """Days that a push subscription is kept after its last use."""


@dataclass(frozen=True, kw_only=True)
class RecordingRetentionSettings(Group):
    retain_recordings_days: Days = 30
    """Days that recordings are kept after they ended; not those under legal hold."""
    retain_recording_accesses_days: Days = 365
    """Days that the log of accesses to recordings is kept, and consents to recordings that are gone."""
