"""The messages of one call: each says which call it is about."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypedDict

from relay.client.connection import ServerMessage, SignalingSocket, Wanted
from relay.client.errors import CallOver
from relay.ids import Profile, Scope

ANSWER_TIMEOUT: Final = 15.0
"""Seconds for the relay to answer a message."""


class MediaStateFields(TypedDict, total=False):
    """What a party says of its own media."""

    muted: bool
    camera_off: bool
    sharing: bool
    no_microphone: bool
    no_camera: bool


class CallMessages:
    """
    Args:
        check_going: raises `CallOver` once the call has ended.

    Attributes:
        call_id: the relay's; empty until it is known.
    """

    def __init__(self, signaling: SignalingSocket, scope: Scope, other: Profile, check_going: Callable[[], None]) -> None:
        self.call_id = ""
        self._signaling = signaling
        self._scope = scope
        self._other = other
        self._check_going = check_going

    async def tell(self, kind: str, **fields: Any) -> None:
        """Send a message that is not answered.

        Raises:
            CallOver: the call has ended.
            Disconnected: there is no connection.
        """
        self._check_going()
        await self._signaling.send({"type": kind, **self._about, **fields})

    async def ask(self, message: Mapping[str, Any], wanted: Wanted, within: float = ANSWER_TIMEOUT) -> ServerMessage:
        """Send a message, and wait for the one about this call that is wanted, or for the end of the call.

        Raises:
            Refused: an error came for it, or nothing within so many seconds.
            CallOver: the call ended.
            Disconnected: the connection is lost for good.
        """
        self._check_going()
        field, number = self._scope.kind.id_field, self._scope.scope_id

        def of_this_call(one: ServerMessage) -> bool:
            known = not self.call_id or one.get("call_id") == self.call_id
            ends = one.get("type") in {"call_ended", "call_declined"}
            return one.get(field) == number and known and (ends or wanted(one))

        found = await self._signaling.ask({**self._about, **message}, of_this_call, within)
        if found.get("type") == "call_ended":
            raise CallOver(str(found.get("reason")))
        return found

    @property
    def _about(self) -> dict[str, Any]:
        named = {"call_id": self.call_id} if self.call_id else {}
        return {**about(self._scope, self._other), **named}


def about(scope: Scope, other: Profile) -> dict[str, Any]:
    """The fields by which each message says which call it belongs to."""
    return {scope.kind.id_field: scope.scope_id, "to_profile_id": other.profile_id, "to_profile_type": other.profile_type}


def invitation(kind: str, offer: Mapping[str, str], **abilities: bool) -> dict[str, Any]:
    """A `call_invitation`.

    Args:
        kind: `voice` or `video`.
        abilities: of this client: `can_show_recording`.
    """
    return {"type": "call_invitation", "call_type": kind, "offer": dict(offer), **abilities}


def answer(description: Mapping[str, str], **abilities: bool) -> dict[str, Any]:
    """A `call_answer`."""
    return {"type": "call_answer", "answer": dict(description), **abilities}
