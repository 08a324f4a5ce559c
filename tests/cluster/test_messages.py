"""What nodes of different versions make of each other's messages (docs/scaling.md, *Roll out a new version*)."""

import msgspec
import pytest

from relay.cluster.api import NodeCard
from relay.cluster.messages import (
    MAX_BYTES,
    VERSION,
    Came,
    ForeignMessage,
    FromDevice,
    Resumed,
    decode,
    encode,
)
from relay.cluster.redis.keys import Envelope, card_of, device_of, envelope_of, pack
from relay.cluster.values import DeviceCard, NodeRef
from relay.ids import Profile

CARD = DeviceCard(Profile("student", 1), "device", NodeRef("a", 7), 2, connected=True, remote_address="192.0.2.1")


def changed(message: Came | Resumed | FromDevice, *, fields: int | None = None, more: tuple[object, ...] = ()) -> bytes:
    """A message as another version encodes it: with its tag and its first fields only, or with more."""
    version, body = msgspec.msgpack.decode(encode(message))
    return msgspec.msgpack.encode((version, [*body[: None if fields is None else 1 + fields], *more]))


def test_what_a_later_version_says_besides_is_not_heard() -> None:
    assert decode(changed(Came(CARD, repeated=True), more=("news", 3))) == Came(CARD, repeated=True)


def test_what_an_earlier_version_does_not_say_is_as_if_it_did_not_know() -> None:
    assert decode(changed(Came(CARD, repeated=True), fields=1)) == Came(CARD)
    given = Resumed(CARD, 3, (b"{}",), told_by=(NodeRef("b", 8),))
    assert decode(changed(given, fields=3)) == Resumed(CARD, 3, (b"{}",))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (msgspec.msgpack.encode((VERSION + 1, ["Came", CARD])), f"version {VERSION + 1}"),
        (msgspec.msgpack.encode((VERSION - 1, ["Came", CARD])), f"version {VERSION - 1}"),
        (msgspec.msgpack.encode((VERSION, ["Departed", CARD])), "Departed"),
        (changed(FromDevice(CARD, b"{}"), fields=1), "length"),
        (msgspec.msgpack.encode((VERSION, ["Came", "device"])), "Expected"),
        (bytes(MAX_BYTES + 1), f"{MAX_BYTES + 1} bytes"),
    ],
    ids=["a later version", "an earlier version", "an unknown type", "a field is missing", "a field is another", "too long"],
)
def test_what_cannot_be_understood_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(ForeignMessage, match=why):
        decode(data)


def test_cards_and_envelopes_of_another_version_are_read_as_far_as_they_are_known() -> None:
    """They stand in Redis, where nodes of both versions read them."""
    node = NodeCard(NodeRef("a", 7), "west", "https://a.example", "2.0", "serving", 0.5, 3, 40, ("turn:a.example",), 9)
    envelope = Envelope("a", 7, 1, "message", 0, b"body")
    for value, read in ((node, card_of), (CARD, device_of), (envelope, envelope_of)):
        fields = msgspec.msgpack.decode(pack(value))
        more = {**fields, "news": 1} if isinstance(fields, dict) else [*fields, 1]
        assert read(msgspec.msgpack.encode(more)) == value
