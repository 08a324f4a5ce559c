"""The people in these tests, and what they send."""

from typing import Any, Final

import msgspec

from relay.ids import Profile, new_id
from relay.signaling.call import Timers
from tests.signaling.descriptions import VOICE_ANSWER, VOICE_OFFER

STUDENT: Final = Profile("student", 456)
TUTOR: Final = Profile("tutor", 789)
PARENT: Final = Profile("parent", 321)
STRANGER: Final = Profile("advertiser", 654)

TIMERS: Final = Timers(ring=45.0, connect=15.0, media_grace=30.0, signaling_grace=30.0)
"""Seconds: the defaults of `relay.config.Settings`."""


class FakeDevice:
    """A `relay.signaling.ports.Device` without a network: it keeps what it is sent."""

    def __init__(self, profile: Profile, reached_address: str | None = None) -> None:
        self.device_id = new_id()
        self.profile = profile
        self.reached_address = reached_address
        self.received: list[dict[str, Any]] = []

    def send(self, frame: bytes) -> None:
        self.received.append(msgspec.json.decode(frame))

    def types(self) -> list[str]:
        """What it was sent; a `call_state` and a final message with what they say."""
        detail = {"call_state": "state", "call_ended": "reason", "call_declined": "reason", "error": "code"}
        return [" ".join([one["type"], str(one.get(detail.get(one["type"], ""), ""))]).rstrip() for one in self.received]

    def last(self, kind: str) -> dict[str, Any]:
        """The latest message of that type."""
        found = [message for message in self.received if message["type"] == kind]
        assert found, f"{self.profile.key} never got {kind}, but {self.types()}"
        return found[-1]


def frame(kind: str, conversation_id: int = 123, **fields: Any) -> str:
    return msgspec.json.encode({"type": kind, "conversation_id": conversation_id, **fields}).decode()


def invitation(to: Profile = TUTOR, conversation_id: int = 123, sdp: str = VOICE_OFFER, **fields: Any) -> str:
    return frame(
        "call_invitation",
        conversation_id,
        **{
            "call_type": "voice",
            "to_profile_id": to.profile_id,
            "to_profile_type": to.profile_type,
            "offer": {"type": "offer", "sdp": sdp},
            **fields,
        },
    )


def answer(conversation_id: int = 123, sdp: str = VOICE_ANSWER) -> str:
    return frame("call_answer", conversation_id, answer={"type": "answer", "sdp": sdp})
