"""Data between the clients and the peers of the TURN server, without a network."""

import pytest
from aioice import stun
from aioice.stun import Class, Method

from relay.turn.allocations import CHANNEL_LIFETIME, PERMISSION_LIFETIME
from relay.turn.messages import build, channel_data
from relay.turn.outputs import SendToClient, ToPeer
from relay.turn.server import MAX_DATA
from tests.kit.turn import (
    MEDIA,
    MEDIA_IPV6,
    OTHER_WORKER,
    Desk,
    code_of,
    data_of,
    ready,
)


@pytest.mark.parametrize("payload", [b"", b"x", bytes(1900)])
def test_data_crosses_in_indications(payload: bytes) -> None:
    desk = Desk()
    client, allocation_id = ready(desk)
    assert client.indicate(MEDIA, payload, **{"DONT-FRAGMENT": None}) == [ToPeer(allocation_id, MEDIA, payload)]
    indication = data_of(desk.server.from_peer(allocation_id, MEDIA, payload, desk.now))
    assert (indication.attributes["DATA"], indication.peers) == (payload, (MEDIA,))
    assert desk.counters["bytes_to_media"] == desk.counters["bytes_to_clients"] == len(payload)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 1900])
def test_data_crosses_on_a_channel_padded_where_it_must_be(length: int, stream: bool) -> None:
    desk = Desk()
    client, allocation_id = ready(desk, stream=stream)
    answer = client.bind(0x4ABC, MEDIA)
    assert code_of(answer) is None
    assert answer.is_signed_with(client.key)
    payload = b"x" * length
    assert client.send_on(0x4ABC, payload) == [ToPeer(allocation_id, MEDIA, payload)]
    expected = channel_data(0x4ABC, payload, padded=stream)
    assert desk.server.from_peer(allocation_id, MEDIA, payload, desk.now) == [SendToClient(client.name, expected)]
    assert not stream or len(expected) % 4 == 0


def test_what_cannot_be_sent_is_dropped_and_counted() -> None:
    desk = Desk()
    client = desk.client()
    assert client.indicate(MEDIA, b"no allocation") == []
    assert client.send_on(0x4000, b"no allocation") == []
    allocation_id = client.allocate()
    assert client.indicate(MEDIA, b"no permission") == []
    assert client.send_on(0x4000, b"no channel") == []
    assert desk.counters["dropped_unbound"] == 4
    assert desk.server.from_peer(allocation_id, MEDIA, b"no permission", desk.now) == []
    assert desk.server.from_peer(99, MEDIA, b"no allocation", desk.now) == []
    assert desk.counters["dropped_uninvited"] == 2
    client.permit(MEDIA)
    assert client.send(build(Method.SEND, Class.INDICATION, bytes(12), {"DATA": b"without a peer"})) == []
    assert client.send(build(Method.SEND, Class.INDICATION, bytes(12), {"XOR-PEER-ADDRESS": MEDIA})) == []
    assert client.send(channel_data(0x4000, b"cut short", padded=False)[:-1]) == []
    assert desk.counters["malformed"] == 3


def test_data_with_what_must_be_understood_and_is_not_is_dropped() -> None:
    client, _ = ready(Desk())
    data = build(Method.SEND, Class.INDICATION, bytes(12), {"XOR-PEER-ADDRESS": MEDIA, "DATA": b"x"}) + bytes.fromhex("77770000")
    assert client.send(stun.set_body_length(data, len(data) - 20)) == []
    assert client.desk.counters["unknown_attributes"] == 1


def test_a_datagram_that_is_too_long_for_a_message_is_dropped() -> None:
    desk = Desk(relayed=("2001:db8::1", 3478))
    client = desk.client()
    allocation_id = client.allocate()
    client.permit(MEDIA_IPV6)
    longest = data_of(desk.server.from_peer(allocation_id, MEDIA_IPV6, bytes(MAX_DATA), desk.now))
    assert len(longest.attributes["DATA"]) == MAX_DATA
    assert desk.server.from_peer(allocation_id, MEDIA_IPV6, bytes(MAX_DATA + 1), desk.now) == []
    assert desk.counters["dropped_too_long"] == 1


def test_a_permission_ends_after_five_minutes_and_data_does_not_prolong_it() -> None:
    desk = Desk()
    client, allocation_id = ready(desk)
    desk.now += PERMISSION_LIFETIME - 1
    assert client.indicate(MEDIA, b"x")
    assert desk.server.from_peer(allocation_id, MEDIA, b"x", desk.now)
    desk.now += 1
    assert client.indicate(MEDIA, b"x") == []
    assert desk.server.from_peer(allocation_id, MEDIA, b"x", desk.now) == []


def test_a_channel_carries_both_ways_for_ten_minutes_by_itself() -> None:
    desk = Desk()
    client = desk.client()
    allocation_id = client.allocate(LIFETIME=3600)
    client.bind(0x4000, MEDIA)
    desk.now += CHANNEL_LIFETIME - 1
    assert client.send_on(0x4000, b"x")
    assert desk.server.from_peer(allocation_id, MEDIA, b"x", desk.now)
    assert client.indicate(MEDIA, b"x") == [], "an indication needs a permission"
    desk.now += 1
    assert client.send_on(0x4000, b"x") == []
    assert desk.server.from_peer(allocation_id, MEDIA, b"x", desk.now) == []


def test_a_channel_bound_otherwise_is_a_bad_request() -> None:
    client, _ = ready(Desk())
    assert code_of(client.bind(0x4000, MEDIA)) is None
    assert code_of(client.bind(0x4000, MEDIA)) is None
    assert code_of(client.bind(0x4000, OTHER_WORKER)) == 400
    assert code_of(client.bind(0x4001, MEDIA)) == 400
    assert code_of(client.bind(0x3FFF, OTHER_WORKER)) == 400
    assert code_of(client.bind(0x8000, OTHER_WORKER)) == 400


def test_channels_and_permissions_belong_to_one_client() -> None:
    desk = Desk()
    first, _ = ready(desk)
    first.bind(0x4000, MEDIA)
    second = desk.client("student_2")
    second.allocate()
    assert second.send_on(0x4000, b"x") == []
    assert second.indicate(MEDIA, b"x") == []
