"""All formats, by the lower-case name that `a=rtpmap` has."""

from collections.abc import Callable, Mapping
from typing import Final

from relay.recording.payloads import av1, h264, vp8, vp9
from relay.recording.payloads.frame import Depacketizer

KeySize = Callable[[bytes], tuple[int, int] | None]

VIDEO: Final[Mapping[str, KeySize]] = {
    "vp8": vp8.key_size,
    "vp9": vp9.key_size,
    "h264": h264.key_size,
    "av1": av1.key_size,
}
"""Width and height, if a key frame begins with a packet; (0, 0) if it does not say them, None if none begins. Never raises."""

_H264_FIRST: Final = frozenset({5, 7, 24, 28})

MAY_BE_KEY: Final[Mapping[str, bytes]] = {
    "vp8": bytes(octet & 0x17 == 0x10 for octet in range(256)),
    "vp9": bytes(octet & 0x48 == 0x08 for octet in range(256)),
    "h264": bytes(octet & 0x1F in _H264_FIRST for octet in range(256)),
    "av1": bytes(octet & 0x88 == 0x08 for octet in range(256)),
}
"""By a payload's first byte: 0 if no key frame begins with it. Spares a look at most packets."""

AUDIO: Final = frozenset({"opus", "pcmu", "pcma", "g722"})

REDUNDANT: Final = frozenset({"red"})
REPAIR: Final = frozenset({"ulpfec", "flexfec-03", "flexfec"})


def depacketizer(codec: str, parameters: Mapping[str, str]) -> Depacketizer:
    """For one stream of a codec of `VIDEO`."""
    if codec == "vp8":
        return vp8.Vp8Frames()
    if codec == "vp9":
        return vp9.Vp9Frames()
    if codec == "h264":
        return h264.H264Frames(parameters.get("sprop-parameter-sets", ""))
    return av1.Av1Frames()
