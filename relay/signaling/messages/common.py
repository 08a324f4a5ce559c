"""What both directions share: the parts that messages are made of."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from relay.ids import MAX_PROFILE_ID

Id = Annotated[int, Meta(ge=1, le=MAX_PROFILE_ID)]
ProfileType = Literal["tutor", "student", "parent", "advertiser"]
CallType = Literal["voice", "video"]


class Description(msgspec.Struct, frozen=True, tag_field="type"):
    """Base of `offer` and `answer`."""

    sdp: str


class Offer(Description, frozen=True, tag="offer"):
    """RTCSessionDescription of type `offer`."""


class Answer(Description, frozen=True, tag="answer"):
    """RTCSessionDescription of type `answer`."""


class IceCandidate(msgspec.Struct, frozen=True, rename="camel"):
    """RTCIceCandidateInit. An empty or null `candidate` means end of candidates.

    The section that it belongs to is checked for its type and has no further use: all sections share one transport (BUNDLE).
    """

    candidate: Annotated[str, Meta(max_length=1024)] | None = None
    sdp_mid: Annotated[str, Meta(max_length=64)] | None = None
    sdp_m_line_index: int | None = msgspec.field(default=None, name="sdpMLineIndex")


class MediaState(msgspec.Struct, frozen=True):
    """What a party says of its own media, so that the other side can show it."""

    muted: bool = False
    camera_off: bool = False
    sharing: bool = False
    """It shares its screen."""
    no_microphone: bool = False
    """It has no microphone that works: it cannot be heard, whatever its user does."""
    no_camera: bool = False
    """It would show itself, and has no camera that works."""
