"""STUN and ChannelData on the wire: beside aioice's own parser, and in the shapes that it does not know."""

import struct
from typing import Any

import pytest
from aioice import stun
from aioice.stun import Class, Method
from hypothesis import given
from hypothesis import strategies as st

from relay.turn.messages import (
    MAX_LENGTH,
    StunMessage,
    build,
    channel_data,
    is_channel_data,
    parse,
    parse_channel_data,
)

ID = bytes(range(12))
KEY = b"a key of sixteen"


def parsed(data: bytes) -> StunMessage:
    message = parse(data)
    assert message is not None
    return message


def raw(*attributes: tuple[int, bytes], kind: int = 0x0003, cookie: int = stun.COOKIE) -> bytes:
    """A message with any attributes."""
    body = b"".join(struct.pack("!HH", number, len(value)) + value + bytes(-len(value) % 4) for number, value in attributes)
    return struct.pack("!HHI12s", kind, len(body), cookie, ID) + body


# -- reading ------------------------------------------------------------------------------------------------------------


def test_a_message_of_aioice_is_read_as_it_was_meant() -> None:
    attributes: dict[str, Any] = {
        "USERNAME": "1:student_1",
        "REALM": "relay",
        "NONCE": b"nonce",
        "LIFETIME": 777,
        "REQUESTED-TRANSPORT": 17 << 24,
        "CHANNEL-NUMBER": 0x4001,
        "XOR-PEER-ADDRESS": ("192.0.2.1", 40000),
        "DATA": b"\0\1\2",
    }
    sent = stun.Message(Method.ALLOCATE, Class.REQUEST, ID, dict(attributes))
    sent.add_message_integrity(KEY)
    message = parsed(bytes(sent))
    assert (message.method, message.message_class, message.transaction_id) == (Method.ALLOCATE, Class.REQUEST, ID)
    assert message.attributes == attributes
    assert message.peers == (("192.0.2.1", 40000),)
    assert message.has_fingerprint
    assert message.is_signed_with(KEY)
    assert not message.is_signed_with(b"another key")


def test_every_peer_of_a_message_is_read() -> None:
    peers = [("192.0.2.1", 1), ("2001:db8::1", 65535), ("192.0.2.1", 1)]
    message = parsed(build(Method.CREATE_PERMISSION, Class.REQUEST, ID, {"XOR-PEER-ADDRESS": peers}))
    assert message.peers == tuple(peers)
    assert message.attributes["XOR-PEER-ADDRESS"] == peers[0]


def test_of_an_attribute_that_comes_twice_the_first_counts() -> None:
    assert parsed(raw((0x000D, bytes(4)), (0x000D, b"\0\0\0\1"))).attributes == {"LIFETIME": 0}


def test_attributes_that_must_be_understood_and_are_not_are_listed_once() -> None:
    message = parsed(raw((0x7777, b"x"), (0x0002, b""), (0x7777, b""), (0x8777, b"may be ignored")))
    assert message.unknown == (0x7777, 0x0002)


def test_what_follows_the_signature_is_not_read() -> None:
    data = build(Method.REFRESH, Class.REQUEST, ID, {"LIFETIME": 600}, key=KEY)
    more = raw((0x000C, b"\x40\0\0\0"), (0x7777, b""))[20:]
    message = parsed(stun.set_body_length(data + more, len(data + more) - 20))
    assert message.attributes == {"LIFETIME": 600}
    assert message.unknown == ()
    assert message.is_signed_with(KEY)


def test_a_message_without_a_signature_is_signed_with_nothing() -> None:
    assert not parsed(raw()).is_signed_with(KEY)
    assert not parsed(raw()).is_signed_with(b"")


@pytest.mark.parametrize("length", [0, 1, 19, 21, 40])
def test_a_signature_of_another_length_is_not_believed(length: int) -> None:
    assert not parsed(raw((0x0008, bytes(length)))).is_signed_with(KEY)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        raw()[:19],
        raw() + b"\0",
        raw(cookie=0x12345678),
        raw(kind=0x4003),
        raw(kind=0x0005),
        raw(kind=0x3EEF),
        raw((0x8028, bytes(4))),
        stun.set_body_length(raw(), 4),
        raw((0x0013, bytes(MAX_LENGTH))),
    ],
    ids=[
        "nothing",
        "half a header",
        "a byte too many",
        "no cookie",
        "not STUN",
        "no such method",
        "no such method either",
        "wrong fingerprint",
        "length",
        "too long",
    ],
)
def test_other_data_is_no_message(data: bytes) -> None:
    assert parse(data) is None


def test_a_fingerprint_that_is_not_the_last_attribute_is_none_of_stun() -> None:
    data = build(Method.BINDING, Class.REQUEST, ID, {}, fingerprint=True)
    more = raw((0x8022, b"more"))[20:]
    assert parse(stun.set_body_length(data + more, len(data + more) - 20)) is None


@pytest.mark.parametrize(
    "attribute",
    [
        (0x000D, b"\0"),
        (0x000C, b"\x40"),
        (0x0012, b"\0\3" + bytes(6)),
        (0x0012, b"\0\1" + bytes(18)),
        (0x0017, b"\1"),
        (0x0018, b""),
        (0x0022, bytes(7)),
        (0x0006, b"\xff"),
        (0x8001, b""),
        (0x000A, b"\0"),
    ],
)
def test_a_request_with_an_attribute_that_cannot_be_read_can_still_be_answered(attribute: tuple[int, bytes]) -> None:
    message = parsed(raw(attribute))
    assert message.malformed
    assert message.transaction_id == ID
    assert parse(raw(attribute, kind=0x0016)) is None, "an indication cannot be answered"


def test_an_attribute_that_goes_beyond_its_message_makes_it_malformed() -> None:
    data = raw((0x8022, b"name"))
    assert parsed(data[:22] + b"\0\5" + data[24:]).malformed


def test_what_a_client_calls_itself_may_be_any_bytes() -> None:
    assert not parsed(raw((0x8022, b"\xff\xfe"))).malformed


# -- writing ------------------------------------------------------------------------------------------------------------


def test_aioice_reads_what_is_built() -> None:
    attributes: dict[str, Any] = {
        "XOR-RELAYED-ADDRESS": ("2001:db8::1", 3478),
        "XOR-MAPPED-ADDRESS": ("198.51.100.7", 50000),
        "LIFETIME": 600,
        "ERROR-CODE": (486, "Allocation Quota Reached"),
        "SOFTWARE": "call-relay",
    }
    data = build(Method.ALLOCATE, Class.RESPONSE, ID, attributes, key=KEY, fingerprint=True)
    message = stun.parse_message(data)
    assert message.check_message_integrity(KEY)
    assert message.attributes.pop("FINGERPRINT")
    assert message.attributes.pop("MESSAGE-INTEGRITY")
    assert message.attributes == attributes


def test_signature_and_fingerprint_are_only_there_when_asked_for() -> None:
    assert set(stun.parse_message(build(Method.BINDING, Class.RESPONSE, ID, {"LIFETIME": 1})).attributes) == {"LIFETIME"}
    only = stun.parse_message(build(Method.BINDING, Class.RESPONSE, ID, {}, fingerprint=True))
    assert set(only.attributes) == {"FINGERPRINT"}


@pytest.mark.parametrize(
    ("attributes", "wire"),
    [
        ({"UNKNOWN-ATTRIBUTES": (0x7777, 0x0002, 0x001C)}, "000a0006 77770002001c0000"),
        ({"REQUESTED-ADDRESS-FAMILY": 2}, "00170004 02000000"),
        ({"ADDITIONAL-ADDRESS-FAMILY": 2}, "80000004 02000000"),
        ({"EVEN-PORT": True}, "00180001 80000000"),
        ({"EVEN-PORT": False}, "00180001 00000000"),
        ({"DONT-FRAGMENT": None}, "001a0000"),
        ({"RESERVATION-TOKEN": b"12345678"}, "00220008 3132333435363738"),
        ({"ADDRESS-ERROR-CODE": (2, 440, "No")}, "80010006 02000428 4e6f0000"),
    ],
)
def test_the_attributes_of_rfc_8656_are_laid_out_as_it_says(attributes: dict[str, Any], wire: str) -> None:
    data = build(Method.ALLOCATE, Class.REQUEST, ID, attributes)
    assert data[20:] == bytes.fromhex(wire)
    assert parsed(data).attributes == attributes


# -- ChannelData --------------------------------------------------------------------------------------------------------


@given(st.integers(0x4000, 0x7FFF), st.binary(max_size=2000), st.booleans())
def test_channel_data_comes_out_as_it_went_in(number: int, payload: bytes, padded: bool) -> None:
    data = channel_data(number, payload, padded=padded)
    assert is_channel_data(data)
    assert parse_channel_data(data) == (number, payload)
    assert len(data) - 4 - len(payload) == (-len(payload) % 4 if padded else 0)


@pytest.mark.parametrize("data", ["", "40", "400000", "40000001", "40000004000000", "8000000000", "3fff000000"])
def test_channel_data_that_is_cut_short_or_none_at_all_is_none(data: str) -> None:
    assert parse_channel_data(bytes.fromhex(data)) is None


def test_channel_data_that_is_too_long_is_none() -> None:
    assert parse_channel_data(channel_data(0x4000, bytes(MAX_LENGTH - 4), padded=False))
    assert parse_channel_data(channel_data(0x4000, bytes(MAX_LENGTH - 3), padded=False)) is None


@given(st.binary(max_size=100))
def test_stun_and_channel_data_are_never_taken_for_each_other(data: bytes) -> None:
    if is_channel_data(data):
        assert parse(data) is None
    else:
        assert parse_channel_data(data) is None
