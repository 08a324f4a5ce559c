"""The TURN servers that a browser gets."""

import base64
import hashlib
import hmac

from relay.edge.ice_servers import IceServers
from relay.ice_servers import IceServer
from relay.turn.credentials import TurnCredentials

SECRET = "a secret that is long enough"
CREDENTIALS = TurnCredentials(SECRET, 3600)


def told(host: str = "calls.example.org", **servers: object) -> list[IceServer]:
    return IceServers(CREDENTIALS, **servers).for_profile("student_456", host, 1_000_000.0)  # type: ignore[arg-type]


def test_each_way_has_a_url() -> None:
    [server] = told(udp_port=3478, tcp_port=443, tls=True)
    assert server.urls == (
        "turn:calls.example.org:3478?transport=udp",
        "turn:calls.example.org:443?transport=tcp",
        "turns:calls.example.org:443?transport=tcp",
    )


def test_without_a_certificate_there_is_no_tls() -> None:
    [server] = told(udp_port=3478, tcp_port=8000)
    assert server.urls == (
        "turn:calls.example.org:3478?transport=udp",
        "turn:calls.example.org:8000?transport=tcp",
    )


def test_an_ipv6_address_has_brackets() -> None:
    for host in ("2001:db8::1", "[2001:db8::1]"):
        [server] = told(host, udp_port=3478)
        assert server.urls == ("turn:[2001:db8::1]:3478?transport=udp",)


def test_without_turn_there_is_nothing_to_tell() -> None:
    assert told() == []


def test_an_external_server_takes_the_place_of_the_built_in_one() -> None:
    [server] = told(urls=("turns:turn.example.org:443?transport=tcp",), udp_port=3478, tcp_port=443)
    assert server.urls == ("turns:turn.example.org:443?transport=tcp",)


def test_the_credentials_name_their_expiry_and_profile_and_are_signed_as_coturn_expects() -> None:
    [server] = told(udp_port=3478)
    assert server.username == "1003600:student_456"
    expected = hmac.new(SECRET.encode(), b"1003600:student_456", hashlib.sha1).digest()
    assert server.credential == base64.b64encode(expected).decode()


def test_servers_of_other_relays_follow_the_own_one_unless_an_external_one_takes_their_place() -> None:
    others = ("turn:south.example.org:3478?transport=udp",)
    for external in ((), ("turns:turn.example.org:443?transport=tcp",)):
        servers = IceServers(CREDENTIALS, urls=external, udp_port=3478)
        [server] = servers.for_profile("student_456", "north.example.org", 1_000_000.0, others)
        assert server.urls == (external or ("turn:north.example.org:3478?transport=udp", *others))
