"""Which servers there are to measure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from bench.subjects.aiortc_relay import AiortcRelay
from bench.subjects.api import Subject
from bench.subjects.coturn import Coturn
from bench.subjects.janus_echo import JanusEcho, JanusEchoOneLoop
from bench.subjects.janus_videoroom import JanusVideoRoom
from bench.subjects.relay import BlockedRelay, RecordedRelay, Relay

SUBJECTS: Final[Mapping[str, type[Subject]]] = MappingProxyType(
    {
        "relay": Relay,
        "relay_recorded": RecordedRelay,
        "relay_blocked": BlockedRelay,
        "coturn": Coturn,
        "janus_echo": JanusEcho,
        "janus_videoroom": JanusVideoRoom,
        "aiortc_relay": AiortcRelay,
        "janus_echo_one_loop": JanusEchoOneLoop,
    }
)
"""By the name that `--subjects` and the results use."""

RECORDING: Final = ("relay", "relay_recorded", "relay_blocked")
"""Those that are measured to see what recording costs."""

STANDARD: Final = ("relay", "coturn", "janus_echo", "janus_videoroom", "aiortc_relay")
"""Those that are measured unless others are asked for."""
