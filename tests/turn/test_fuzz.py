"""Whatever comes from clients: no exception, no foreign peer, and no more memory than the limits say."""

from random import Random
from typing import Any, Final

import pytest
from aioice import stun
from aioice.stun import Class, Method
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.turn.messages import CHANNELS, MAX_LENGTH, build, channel_data, parse, parse_channel_data
from relay.turn.outputs import Output, SendToClient, ToPeer
from tests.fuzz.seeds import mutated
from tests.kit.turn import ALLOCATION, MEDIA, MEDIA_IPV6, OTHER_WORKER, Client, Desk, code_of

pytestmark = pytest.mark.long

ALLOCATIONS: Final = 20
LIMITS: Final[dict[str, Any]] = {
    "turn_allocations": ALLOCATIONS,
    "turn_allocations_per_profile": 8,
    "turn_allocations_per_address": 12,
    "unauthenticated_per_second": 50,
}

MUTATIONS: Final = 5_000


def check(desk: Desk, outputs: list[Output]) -> None:
    """What holds for whatever the server wants done."""
    for output in outputs:
        match output:
            case ToPeer(_, peer, data):
                assert peer in desk.media
                assert len(data) <= MAX_LENGTH
            case SendToClient(_, data):
                assert parse(data) or parse_channel_data(data)
    assert desk.server.allocation_count <= ALLOCATIONS


def valid(client: Client) -> list[bytes]:
    """One of each message, signed with good credentials."""
    peers = [MEDIA, OTHER_WORKER]
    asked = {
        Method.BINDING: {},
        Method.ALLOCATE: ALLOCATION | {"LIFETIME": 777, "DONT-FRAGMENT": None, "ADDITIONAL-ADDRESS-FAMILY": 2},
        Method.REFRESH: {"LIFETIME": 600, "REQUESTED-ADDRESS-FAMILY": 1},
        Method.CREATE_PERMISSION: {"XOR-PEER-ADDRESS": peers},
        Method.CHANNEL_BIND: {"CHANNEL-NUMBER": 0x4000, "XOR-PEER-ADDRESS": MEDIA},
    }
    messages = [client.request(method, attributes, fingerprint=False) for method, attributes in asked.items()]
    messages += [client.request(method, attributes, signed=False, fingerprint=True) for method, attributes in asked.items()]
    indication = {"XOR-PEER-ADDRESS": MEDIA_IPV6, "DATA": b"some data"}
    messages.append(build(Method.SEND, Class.INDICATION, bytes(12), indication))
    messages.append(channel_data(0x4000, b"some data", padded=True))
    return messages


def started() -> tuple[Desk, Client]:
    desk = Desk(**LIMITS)
    client = desk.client()
    client.allocate()
    client.permit(MEDIA)
    client.bind(0x4000, MEDIA)
    return desk, client


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_survived(data: bytes, stream: bool) -> None:
    desk, client = started()
    client.stream = stream
    check(desk, client.send(data))
    check(desk, desk.client().send(data))
    check(desk, desk.server.from_peer(1, MEDIA, data, desk.now))


def test_mutations_of_valid_messages_are_survived() -> None:
    desk, client = started()
    rng = Random("turn 2026")
    others = [desk.client(f"student_{number}", f"198.51.100.{number}") for number in range(5)]
    for number in range(MUTATIONS):
        if number % 200 == 0:
            desk.now += 0.5
            originals = valid(client)
        data = mutated(rng, originals)
        for sender in (client, others[number % 5]):
            check(desk, sender.send(data))
        check(desk, client.send(signed(data, client)))
    # Everything that is deeper than a signature was reached, and the server still works.
    assert all(desk.counters[name] for name in ("bad_requests", "unknown_attributes", "mismatched", "peers_refused", "channels"))
    desk.now += 4000
    late = desk.client()
    late.allocate()
    assert code_of(late.permit(MEDIA)) is None


def signed(data: bytes, client: Client) -> bytes:
    """What a malicious but known client would send: the first attributes as they are, its credentials, and all of it signed."""
    body = data[20:] if (cut := data.find(b"\0\6")) < 20 else data[20:cut]
    body = body[: len(body) & ~3]
    credentials = client.request(Method.BINDING)
    credentials = credentials[20:-24]
    whole = data[:2].ljust(2, b"\0") + bytes(2) + stun.COOKIE.to_bytes(4) + bytes(12) + body + credentials
    whole += b"\0\x08\0\x14" + stun.message_integrity(whole, client.key)
    return stun.set_body_length(whole, len(whole) - 20)


VALUES = {
    "LIFETIME": st.integers(0, 2**32 - 1),
    "REQUESTED-TRANSPORT": st.one_of(st.just(17 << 24), st.integers(0, 2**32 - 1)),
    "REQUESTED-ADDRESS-FAMILY": st.integers(0, 255),
    "ADDITIONAL-ADDRESS-FAMILY": st.integers(0, 255),
    "EVEN-PORT": st.booleans(),
    "RESERVATION-TOKEN": st.binary(min_size=8, max_size=8),
    "DONT-FRAGMENT": st.none(),
    "CHANNEL-NUMBER": st.one_of(st.sampled_from([CHANNELS[0], CHANNELS[-1]]), st.integers(0, 0xFFFF)),
    "XOR-PEER-ADDRESS": st.lists(
        st.one_of(
            st.sampled_from([MEDIA, OTHER_WORKER, MEDIA_IPV6]),
            st.tuples(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str), st.integers(0, 0xFFFF)),
        ),
        max_size=5,
    ),
    "DATA": st.binary(max_size=100),
}

METHODS = (Method.ALLOCATE, Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND, Method.BINDING)

STEPS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from([*METHODS, Method.SEND, None]),
        st.fixed_dictionaries({}, optional=VALUES),
        st.one_of(st.just(0), st.integers(0, 700)),
    ),
    max_size=30,
)


@settings(max_examples=2 * settings().max_examples)
@given(STEPS)
def test_the_server_survives_any_sequence_of_requests_of_authenticated_clients(
    steps: list[tuple[int, Method | None, dict[str, Any], int]],
) -> None:
    desk = Desk(**LIMITS)
    clients = [desk.client(f"student_{number % 2}") for number in range(4)]
    for who, method, attributes, wait in steps:
        desk.now += wait
        client = clients[who]
        match method:
            case None:
                check(desk, client.send_on(0x4000, b"x"))
            case Method.SEND:
                check(desk, client.send(build(Method.SEND, Class.INDICATION, bytes(12), attributes)))
            case _:
                client.nonce = client.nonce or client.ask(method, signed=False).attributes.get("NONCE", b"")
                check(desk, client.send(client.request(method, attributes)))
        for number in range(1, 4):
            check(desk, desk.server.from_peer(number, MEDIA, b"x", desk.now))
        check(desk, desk.server.expire(desk.now))
        deadline = desk.server.deadline()
        assert deadline is None or deadline > desk.now


def test_a_flood_of_everything_stays_within_bounds() -> None:
    """Allocations by the thousand, from thousands of addresses, made and thrown away: counted by what the server still holds."""
    desk = Desk(**LIMITS)
    rng = Random("flood")
    for number in range(3000):
        desk.now += 0.01
        host = f"198.51.{rng.randrange(100)}.{rng.randrange(250)}"
        client = desk.client(f"student_{rng.randrange(500)}", host, stream=number % 2 == 0)
        client.ask(Method.ALLOCATE, ALLOCATION | {"LIFETIME": rng.randrange(4000)})
        client.permit(MEDIA, OTHER_WORKER)
        client.bind(rng.choice(CHANNELS), MEDIA)
        if number % 3 == 0:
            client.ask(Method.REFRESH, {"LIFETIME": 0})
        elif number % 3 == 1:
            desk.server.disconnected(client.name)
    server = desk.server
    assert 0 < server.allocation_count <= ALLOCATIONS
    assert len(server._allocations._ends) <= 2 * ALLOCATIONS + 64
    assert len(server._quotas._profiles) <= ALLOCATIONS
    assert len(server._quotas._networks) <= ALLOCATIONS
    assert len(server._rate._datagrams) + len(server._rate._streams) <= 300, "those of one second"
    desk.now += 4000
    server.expire(desk.now)
    assert server.allocation_count == len(server._quotas._profiles) == len(server._quotas._networks) == 0
