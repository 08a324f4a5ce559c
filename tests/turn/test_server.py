"""The TURN server as its clients see it, without a network."""

import struct
from typing import Any

import pytest
from aioice import stun
from aioice.stun import Class, Method

from relay.turn.allocations import DEFAULT_LIFETIME
from relay.turn.credentials import CREDENTIAL_LIFETIME, NONCE_LIFETIME, TurnCredential
from relay.turn.messages import build
from relay.turn.outputs import Allocated, Released, SendToClient, ToPeer
from relay.turn.server import SOFTWARE
from tests.kit.turn import (
    ALLOCATION,
    MEDIA,
    MEDIA_IPV6,
    OTHER_WORKER,
    RELAYED,
    Desk,
    code_of,
    ready,
)

FOREIGN = ("203.0.113.1", 40000)


# -- Binding ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["198.51.100.7", "2001:db8::7"])
def test_a_binding_request_needs_no_credentials(host: str) -> None:
    client = Desk().client(host=host)
    answer = client.ask(Method.BINDING, signed=False)
    assert (answer.method, answer.message_class) == (Method.BINDING, Class.RESPONSE)
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == client.address
    assert answer.attributes["SOFTWARE"] == SOFTWARE.encode()
    assert client.desk.counters["bindings"] == 1


@pytest.mark.parametrize("fingerprint", [False, True])
def test_an_answer_has_a_fingerprint_if_the_request_had_one(fingerprint: bool) -> None:
    client = Desk().client()
    assert client.ask(Method.BINDING, signed=False, fingerprint=fingerprint).has_fingerprint is fingerprint
    assert client.ask(Method.ALLOCATE, ALLOCATION, fingerprint=fingerprint).has_fingerprint is fingerprint
    assert client.ask(Method.ALLOCATE, ALLOCATION, fingerprint=fingerprint).has_fingerprint is fingerprint, "an error's too"


def test_what_asks_for_nothing_is_not_answered() -> None:
    client = Desk().client()
    for method, message_class in (
        (Method.BINDING, Class.INDICATION),
        (Method.BINDING, Class.RESPONSE),
        (Method.ALLOCATE, Class.ERROR),
        (Method.SHARED_SECRET, Class.REQUEST),
        (Method.SEND, Class.REQUEST),
        (Method.DATA, Class.INDICATION),
    ):
        assert client.send(build(method, message_class, bytes(12), {})) == []
    assert client.desk.counters["ignored"] == 6


# -- credentials --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [Method.ALLOCATE, Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND])
def test_without_credentials_there_is_only_a_challenge(method: Method) -> None:
    client = Desk().client()
    answer = client.ask(method, ALLOCATION, signed=False)
    assert code_of(answer) == 401
    assert answer.attributes["REALM"] == client.realm
    assert answer.attributes["NONCE"]
    assert answer.signed is None


def test_a_wrong_password_gets_nowhere() -> None:
    desk = Desk()
    client = desk.client()
    client.credential = TurnCredential(client.credential.username, "guessed", 0)
    assert code_of(client.ask(Method.ALLOCATE, ALLOCATION)) == 401
    assert desk.server.allocation_count == 0
    assert desk.counters["unauthentic"] == 1


def test_the_user_name_of_one_with_the_password_of_another_gets_nowhere() -> None:
    desk = Desk()
    mine, theirs = desk.client(), desk.client("student_2")
    mine.credential = TurnCredential(theirs.credential.username, mine.credential.password, 0)
    assert code_of(mine.ask(Method.ALLOCATE, ALLOCATION)) == 401


def test_a_longer_life_cannot_be_written_into_credentials() -> None:
    desk = Desk()
    client = desk.client()
    expires, _, profile = client.credential.username.partition(":")
    client.credential = TurnCredential(f"{int(expires) + 1}:{profile}", client.credential.password, 0)
    assert code_of(client.ask(Method.ALLOCATE, ALLOCATION)) == 401


def test_a_wrong_realm_gets_nowhere() -> None:
    client = Desk().client()
    client.realm = "another.test"
    assert code_of(client.ask(Method.ALLOCATE, ALLOCATION)) == 401


def test_expired_credentials_are_refused() -> None:
    desk = Desk()
    client = desk.client()
    desk.now += CREDENTIAL_LIFETIME
    assert code_of(client.ask(Method.ALLOCATE, ALLOCATION)) == 401
    assert desk.counters["credentials_expired"] == 1
    assert desk.server.allocation_count == 0


def test_a_call_that_outlasts_its_credentials_keeps_its_allocation_and_gets_no_new_one() -> None:
    desk = Desk()
    desk.credentials._lifetime = 900
    client, _ = ready(desk)
    desk.now += 500
    assert code_of(client.ask(Method.REFRESH)) is None
    desk.now += 500
    assert code_of(client.ask(Method.REFRESH)) is None
    assert code_of(client.permit(MEDIA)) is None
    assert code_of(client.ask(Method.REFRESH, {"LIFETIME": 0})) is None
    assert code_of(client.ask(Method.ALLOCATE, ALLOCATION)) == 401


def test_with_a_stale_nonce_comes_a_fresh_one() -> None:
    desk = Desk()
    client = desk.client()
    client.allocate(LIFETIME=3600)
    desk.now += NONCE_LIFETIME - 1
    assert code_of(client.ask(Method.REFRESH, {"LIFETIME": 3600})) is None
    desk.now += 1
    answer = client.ask(Method.REFRESH)
    assert code_of(answer) == 438
    client.nonce = answer.attributes["NONCE"]
    assert code_of(client.ask(Method.REFRESH)) is None


# -- Allocate -----------------------------------------------------------------------------------------------------------


def test_an_allocation_has_its_address_its_lifetime_and_its_clients_address() -> None:
    client = Desk().client()
    answer = client.ask(Method.ALLOCATE, ALLOCATION | {"LIFETIME": 777})
    assert (answer.method, answer.message_class) == (Method.ALLOCATE, Class.RESPONSE)
    assert answer.attributes["XOR-RELAYED-ADDRESS"] == RELAYED
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == client.address
    assert answer.attributes["LIFETIME"] == 777
    assert answer.is_signed_with(client.key)
    assert client.outputs[0] == Allocated(1, client.name), "the edge knows it before its first datagram"


def test_a_request_that_comes_twice_is_answered_twice_the_same() -> None:
    client = Desk().client()
    client.ask(Method.ALLOCATE, signed=False)
    client.allocate()
    request = client.request(Method.ALLOCATE, ALLOCATION, transaction_id=b"lost answer.")
    client.ask(Method.REFRESH, {"LIFETIME": 0})
    first, *_ = (one for one in client.send(request) if isinstance(one, SendToClient))
    assert client.send(request) == [first]
    assert client.desk.server.allocation_count == 1


def test_a_second_allocation_of_the_same_client_is_a_mismatch() -> None:
    client, _ = ready(Desk())
    answer = client.ask(Method.ALLOCATE, ALLOCATION)
    assert code_of(answer) == 437
    assert answer.is_signed_with(client.key)
    client.credential = client.desk.credentials.issue("student_2", client.desk.now)
    assert code_of(client.ask(Method.ALLOCATE, ALLOCATION)) == 437
    assert client.desk.server.allocation_count == 1


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({}, 400),
        ({"REQUESTED-TRANSPORT": 6 << 24}, 442),
        (ALLOCATION | {"REQUESTED-ADDRESS-FAMILY": 2}, 440),
        (ALLOCATION | {"EVEN-PORT": True}, 508),
        (ALLOCATION | {"RESERVATION-TOKEN": bytes(8)}, 508),
        (ALLOCATION | {"RESERVATION-TOKEN": bytes(8), "EVEN-PORT": True}, 400),
    ],
)
def test_what_an_allocation_cannot_have_is_refused_and_signed(attributes: dict[str, Any], code: int) -> None:
    client = Desk().client()
    answer = client.ask(Method.ALLOCATE, attributes)
    assert code_of(answer) == code
    assert answer.is_signed_with(client.key)
    assert client.desk.server.allocation_count == 0


def test_an_additional_family_is_answered_with_what_there_is() -> None:
    client = Desk().client()
    answer = client.ask(Method.ALLOCATE, ALLOCATION | {"ADDITIONAL-ADDRESS-FAMILY": 2, "DONT-FRAGMENT": None})
    assert code_of(answer) is None
    assert answer.attributes["ADDRESS-ERROR-CODE"][:2] == (2, 440)


def test_unknown_attributes_are_named_to_authenticated_clients_only() -> None:
    client = Desk().client()
    unknown = struct.pack("!HHI", 0x7777, 4, 0)

    def request(signed: bool) -> bytes:
        plain = client.request(Method.ALLOCATE, ALLOCATION | {"USERNAME": client.credential.username}, signed=False)
        nonce = build(Method.ALLOCATE, Class.REQUEST, bytes(12), {"REALM": client.realm, "NONCE": client.nonce})[20:]
        data = stun.set_body_length(plain + nonce + unknown, len(plain + nonce + unknown) - 20)
        if not signed:
            return data
        data += struct.pack("!HH", 0x0008, 20) + stun.message_integrity(data, client.key)
        return stun.set_body_length(data, len(data) - 20)

    challenge = client.answer_to(request(signed=False))
    assert code_of(challenge) == 401
    client.nonce = challenge.attributes["NONCE"]
    answer = client.answer_to(request(signed=True))
    assert code_of(answer) == 420
    assert answer.attributes["UNKNOWN-ATTRIBUTES"] == (0x7777,)
    assert answer.is_signed_with(client.key)


def test_a_request_that_cannot_be_read_is_a_bad_request() -> None:
    client = Desk().client()
    half_a_lifetime = struct.pack("!HHI12s", 0x0003, 8, stun.COOKIE, bytes(12)) + struct.pack("!HHHH", 0x000D, 2, 1, 0)
    assert code_of(client.answer_to(half_a_lifetime)) == 400


# -- Refresh ------------------------------------------------------------------------------------------------------------


def test_an_allocation_ends_unless_it_is_refreshed() -> None:
    desk = Desk()
    client, allocation_id = ready(desk)
    assert desk.server.deadline() == desk.now + DEFAULT_LIFETIME
    desk.now += DEFAULT_LIFETIME - 1
    assert desk.server.expire(desk.now) == []
    answer = client.ask(Method.REFRESH, {"LIFETIME": 1200})
    assert answer.attributes["LIFETIME"] == 1200
    assert answer.is_signed_with(client.key)
    desk.now += 1199
    assert desk.server.expire(desk.now) == []
    desk.now += 1
    assert desk.server.expire(desk.now) == [Released(allocation_id)]
    assert desk.server.deadline() is None
    assert code_of(client.ask(Method.REFRESH)) == 437


def test_what_has_ended_is_gone_even_where_the_edge_looks_late() -> None:
    desk = Desk()
    client, allocation_id = ready(desk)
    desk.now += DEFAULT_LIFETIME
    assert client.indicate(MEDIA, b"too late") == [Released(allocation_id)]
    client, allocation_id = ready(desk)
    desk.now += DEFAULT_LIFETIME
    assert desk.server.from_peer(allocation_id, MEDIA, b"too late", desk.now) == [Released(allocation_id)]


def test_a_lifetime_of_zero_ends_it_at_once() -> None:
    desk = Desk()
    client, allocation_id = ready(desk)
    answer = client.ask(Method.REFRESH, {"LIFETIME": 0})
    assert answer.attributes["LIFETIME"] == 0
    assert client.outputs[-1] == Released(allocation_id)
    assert desk.server.allocation_count == 0
    assert code_of(client.ask(Method.REFRESH, {"LIFETIME": 0})) == 437
    assert client.allocate() == allocation_id + 1


def test_a_refresh_names_the_family_that_the_allocation_has_or_none() -> None:
    client, _ = ready(Desk())
    assert code_of(client.ask(Method.REFRESH, {"REQUESTED-ADDRESS-FAMILY": 1})) is None
    assert code_of(client.ask(Method.REFRESH, {"REQUESTED-ADDRESS-FAMILY": 2})) == 443


@pytest.mark.parametrize(
    ("method", "attributes"),
    [
        (Method.REFRESH, {"LIFETIME": 0}),
        (Method.CREATE_PERMISSION, {"XOR-PEER-ADDRESS": MEDIA}),
        (Method.CHANNEL_BIND, {"CHANNEL-NUMBER": 0x4000, "XOR-PEER-ADDRESS": MEDIA}),
    ],
)
def test_another_users_allocation_is_not_touched(method: Method, attributes: dict[str, Any]) -> None:
    client = Desk().client()
    client.allocate()
    client.credential = client.desk.credentials.issue("student_2", client.desk.now)
    answer = client.ask(method, attributes)
    assert code_of(answer) == 441
    assert answer.is_signed_with(client.key)
    assert client.desk.server.allocation_count == 1


@pytest.mark.parametrize("method", [Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND])
def test_without_an_allocation_there_is_nothing_to_ask_for(method: Method) -> None:
    client = Desk().client()
    assert code_of(client.ask(method, {"CHANNEL-NUMBER": 0x4000, "XOR-PEER-ADDRESS": MEDIA})) == 437


def test_a_connection_that_is_closed_takes_its_allocation_with_it() -> None:
    desk = Desk()
    client, allocation_id = ready(desk, stream=True)
    other, _ = ready(desk)
    assert desk.server.disconnected(client.name) == [Released(allocation_id)]
    assert desk.server.disconnected(client.name) == []
    assert desk.server.allocation_count == 1
    assert other.indicate(MEDIA, b"still here")


# -- peers --------------------------------------------------------------------------------------------------------------


def test_a_scan_of_200_foreign_addresses_and_ports_gets_200_refusals() -> None:
    desk = Desk()
    client = desk.client()
    allocation_id = client.allocate()
    scanned = [
        *((f"203.0.113.{number}", 40000) for number in range(50)),
        *((MEDIA[0], port) for port in (0, 1, 22, 80, 443, 3478, 39999, 40002, 65535)),
        *((MEDIA_IPV6[0], port) for port in range(41)),
        *((f"127.0.0.{number}", 40000) for number in range(25)),
        *((f"10.0.0.{number}", 443) for number in range(25)),
        *((f"2001:db8::{number:x}", 40000) for number in range(2, 27)),
        *((f"::ffff:192.0.2.{number}", 40000) for number in range(1, 21)),
        ("0.0.0.0", 40000),
        ("::", 40000),
        ("::1", 40000),
        ("255.255.255.255", 40000),
        ("169.254.169.254", 80),
    ]
    assert len(scanned) == 200
    for peer in scanned:
        answer = client.permit(peer)
        assert code_of(answer) == 403
        assert answer.is_signed_with(client.key)
        assert code_of(client.bind(0x4000, peer)) == 403
        assert client.indicate(peer, b"x") == []
        assert desk.server.from_peer(allocation_id, peer, b"x", desk.now) == []
    assert desk.counters["peers_refused"] == 400
    assert desk.counters["permissions"] == desk.counters["channels"] == desk.counters["packets_to_media"] == 0


def test_of_several_peers_all_or_none_are_permitted() -> None:
    desk = Desk()
    client = desk.client()
    client.allocate()
    assert code_of(client.permit(MEDIA, FOREIGN)) == 403
    assert client.indicate(MEDIA, b"x") == []
    answer = client.permit(MEDIA, OTHER_WORKER)
    assert code_of(answer) is None
    assert answer.is_signed_with(client.key)
    assert len(client.indicate(MEDIA, b"x")) == len(client.indicate(OTHER_WORKER, b"x")) == 1


def test_a_permission_opens_no_other_port_of_the_host() -> None:
    client, _ = ready(Desk())
    assert client.indicate((MEDIA[0], 22), b"x") == []
    assert client.desk.counters["dropped_foreign"] == 1


def test_media_of_the_other_family_is_not_permitted() -> None:
    client = Desk().client()
    client.allocate()
    assert code_of(client.permit(MEDIA_IPV6)) == 443
    assert code_of(client.permit(MEDIA, MEDIA_IPV6)) == 443
    assert code_of(client.bind(0x4000, MEDIA_IPV6)) == 443
    client = Desk(relayed=("2001:db8::1", 3478)).client()
    client.allocate()
    assert code_of(client.permit(MEDIA_IPV6)) is None
    assert client.indicate(MEDIA_IPV6, b"x") == [ToPeer(1, MEDIA_IPV6, b"x")]
    assert code_of(client.permit(MEDIA)) == 443


def test_what_names_no_peer_or_channel_is_a_bad_request() -> None:
    client = Desk().client()
    client.allocate()
    assert code_of(client.permit()) == 400
    assert code_of(client.ask(Method.CHANNEL_BIND, {"CHANNEL-NUMBER": 0x4000})) == 400
    assert code_of(client.ask(Method.CHANNEL_BIND, {"XOR-PEER-ADDRESS": MEDIA})) == 400


def test_a_worker_that_is_gone_is_no_longer_reached() -> None:
    desk = Desk()
    client, allocation_id = ready(desk)
    assert code_of(client.bind(0x4000, MEDIA)) is None
    desk.media.remove(MEDIA)
    assert client.indicate(MEDIA, b"x") == []
    assert client.send_on(0x4000, b"x") == []
    assert desk.server.from_peer(allocation_id, MEDIA, b"x", desk.now) == []
    assert desk.counters["dropped_foreign"] == 2
    assert desk.counters["dropped_uninvited"] == 1
