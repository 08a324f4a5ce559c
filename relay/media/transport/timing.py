"""The times by which a transport judges its peer and the peer's streams: one value, so that tests can have shorter ones."""

from dataclasses import dataclass
from typing import Final

from relay.media.quality.statistics import SNAPSHOT_INTERVAL
from relay.media.transport.policing import FIRST_EXCLUSION
from relay.rtp.rollover import MAX_RATE

CONSENT_SILENCE: Final = 5.0
"""Seconds without anything valid from the selected address until the path counts as down, where the peer sent media."""

QUIET_SILENCE: Final = 12.0
"""Seconds until then where it sent nothing but checks. Browsers check every 4 to 6 s (RFC 7675), so that one of theirs may be
lost, and so may several of the relay's."""

SILENT_AFTER: Final = 10.0
"""Seconds without a packet of a stream, after which its next one is looked at closely: its sender may have sent on unheard, up to
2^15 packets within that time at any rate that there is."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, but for `packet_rate`."""

    silence: float = CONSENT_SILENCE
    quiet_silence: float = QUIET_SILENCE
    stream_silence: float = SILENT_AFTER
    report_interval: float = SNAPSHOT_INTERVAL
    """Between two reports of a path."""
    first_exclusion: float = FIRST_EXCLUSION
    """For which a peer that floods is excluded, the first time."""
    packet_rate: int = MAX_RATE
    """Packets a second that a sender may have sent at most while it was not heard."""


USUAL: Final = Timing()
