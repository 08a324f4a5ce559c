"""The people in these tests, their clients, and what they send."""

from typing import Any, Final

import msgspec

from relay.ids import Profile, Scope, ScopeKind
from relay.settings.calls import CallSettings
from relay.signaling.presence.device import Device
from tests.sdp.descriptions import VOICE_ANSWER, VOICE_OFFER

STUDENT: Final = Profile("student", 456)
TUTOR: Final = Profile("tutor", 789)
PARENT: Final = Profile("parent", 321)
STRANGER: Final = Profile("advertiser", 654)

LESSON: Final = Scope(ScopeKind.CONVERSATION, 123)
"""The student and the tutor."""
PARENTS_EVENING: Final = Scope(ScopeKind.CONVERSATION, 124)
"""The parent and the tutor."""
FAMILY: Final = Scope(ScopeKind.CONVERSATION, 125)
"""The student and the parent."""
WHITEBOARD: Final = Scope(ScopeKind.WHITEBOARD_SESSION, 7)
"""The student and the tutor."""

TIMERS: Final = CallSettings()
"""The defaults."""

DETAILS: Final = {
    "call_state": "state",
    "call_recording": "state",
    "call_ended": "reason",
    "call_declined": "reason",
    "error": "code",
}


class FakeConnection:
    """A `relay.signaling.ports.Connection` without a network: it keeps what it is sent."""

    def __init__(self, local_address: str | None = None, remote_address: str | None = "203.0.113.7") -> None:
        self.local_address = local_address
        self.remote_address = remote_address
        self.received: list[dict[str, Any]] = []
        self.closed: int | None = None
        """The close code, once it is dropped."""

    def send(self, frame: bytes) -> None:
        assert self.closed is None, "nothing is sent on a connection that is being closed"
        self.received.append(msgspec.json.decode(frame))

    def drop(self, code: int, reason: str) -> None:
        assert len(reason.encode()) <= 123, "the limit of a close frame (RFC 6455 section 5.5)"
        self.closed = code


class Client:
    """What a page is to the relay: one connection after another, and what came on them.

    Attributes:
        device: the relay's view of it.
        takes: message types that it asks for beyond those of its version.
        welcome: the first message of the latest connection.
        received: everything else to its present device, oldest first; nothing twice, and nothing missing.
    """

    def __init__(self, profile: Profile, version: int) -> None:
        self.profile = profile
        self.version = version
        self.takes: tuple[str, ...] = ()
        self.connection: FakeConnection | None = None
        self._earlier: list[dict[str, Any]] = []
        self.token = ""
        """By which it comes back."""

    device: Device

    @property
    def welcome(self) -> dict[str, Any]:
        assert self.connection is not None, "it is connected"
        first = self.connection.received[0]
        assert first["type"] == "welcome", "the first message on every connection"
        return first

    @property
    def received(self) -> list[dict[str, Any]]:
        heard = self._earlier
        if self.connection is not None and self.connection.received:
            heard = (heard if self.welcome["resumed"] else []) + self.connection.received[1:]
        numbers = [one["seq"] for one in heard if "seq" in one]
        assert numbers == list(range(1, len(numbers) + 1)), f"numbers rise one by one, but: {numbers}"
        return heard

    @property
    def last_seq(self) -> int:
        return max((one["seq"] for one in self.received if "seq" in one), default=0)

    def lost(self) -> FakeConnection:
        """The connection is over; it is returned."""
        assert self.connection is not None, "it was connected"
        self.token = self.welcome["resume"]
        connection, self._earlier, self.connection = self.connection, self.received, None
        return connection

    def types(self) -> list[str]:
        """What it was sent; with what a message says, where that is short."""
        return [described(one) for one in self.received]

    def said(self, kind: str) -> list[dict[str, Any]]:
        """The messages of that type."""
        return [one for one in self.received if one["type"] == kind]

    def last(self, kind: str) -> dict[str, Any]:
        """The latest message of that type."""
        found = self.said(kind)
        assert found, f"{self.profile.key} never got {kind}, but {self.types()}"
        return found[-1]


def described(message: dict[str, Any]) -> str:
    kind = message["type"]
    match kind:
        case "call_update":
            return f"{kind} {next(part for part in ('offer', 'answer', 'rejected', 'expired') if part in message)}"
        case "call_missed":
            return f"{kind} {message['call']['reason']}"
        case "call_transfer_answer":
            return f"{kind} {'accepted' if message['accepted'] else 'refused'}"
        case _:
            return f"{kind} {message[DETAILS[kind]]}" if kind in DETAILS else str(kind)


def error(client: Client) -> str:
    """The code of the error that is the latest thing the client heard."""
    assert client.received[-1]["type"] == "error", client.types()
    return str(client.received[-1]["code"])


def finals(client: Client) -> list[str]:
    """The last messages that a client got of its calls."""
    return [
        f"{one['type']} {one['reason']}"
        for one in client.received
        if one["type"] in ("call_ended", "call_declined") or (one["type"] == "call_state" and one["state"] == "ended")
    ]


def frame(kind: str, scope: Scope = LESSON, **fields: Any) -> str:
    where = "conversation_id" if scope.kind is ScopeKind.CONVERSATION else "whiteboard_session_id"
    return msgspec.json.encode({"type": kind, where: scope.scope_id, **fields}).decode()


def invitation(to: Profile = TUTOR, scope: Scope = LESSON, sdp: str = VOICE_OFFER, **fields: Any) -> str:
    return frame(
        "call_invitation",
        scope,
        **{
            "call_type": "voice",
            "to_profile_id": to.profile_id,
            "to_profile_type": to.profile_type,
            "offer": {"type": "offer", "sdp": sdp},
            **fields,
        },
    )


def answer(scope: Scope = LESSON, sdp: str = VOICE_ANSWER, **fields: Any) -> str:
    return frame("call_answer", scope, answer={"type": "answer", "sdp": sdp}, **fields)


def offered(sdp: str = VOICE_OFFER, scope: Scope = LESSON, **fields: Any) -> str:
    """A `call_update` with an offer."""
    return frame("call_update", scope, offer={"type": "offer", "sdp": sdp}, **fields)


def answered(sdp: str = VOICE_ANSWER, scope: Scope = LESSON, **fields: Any) -> str:
    """A `call_update` with an answer."""
    return frame("call_update", scope, answer={"type": "answer", "sdp": sdp}, **fields)


HANG_UP: Final = frame("call_ended")
DECLINE: Final = frame("call_declined", reason="rejected")
TO_PARENT = frame("call_transfer", target_profile_id=321, target_profile_type="parent")
AGREE = frame("call_transfer_answer", accepted=True)
REFUSE = frame("call_transfer_answer", accepted=False)
