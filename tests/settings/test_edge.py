"""The settings of how media is reached."""

import pytest

from relay.errors import ConfigurationError
from relay.settings.all import Settings


def settings(**environment: str) -> Settings:
    return Settings.from_environment({"RELAY_DEV": "true", **{f"RELAY_{name}": value for name, value in environment.items()}})


def test_a_pair_is_advertised_on_both_sides_of_the_nat_the_public_one_first() -> None:
    given = settings(PUBLIC_ADDRESS="203.0.113.1=10.0.0.5, 198.51.100.2 ,2001:db8::1")
    assert given.advertised_addresses == ("203.0.113.1", "198.51.100.2", "2001:db8::1", "10.0.0.5")


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"PUBLIC_ADDRESS": "203.0.113.1="}, "RELAY_PUBLIC_ADDRESS: '' is not an IPv4 or IPv6 address"),
        ({"PUBLIC_ADDRESS": "relay.example.org"}, "RELAY_PUBLIC_ADDRESS: 'relay.example.org' is not"),
        ({"TLS_CERT": "a.pem"}, "RELAY_TLS_CERT, RELAY_TLS_KEY: one is of no use without the other"),
        ({"STUN_SERVER": "stun.example.org"}, "RELAY_STUN_SERVER: 'stun.example.org' is not HOST:PORT"),
        ({"MEDIA_TCP_PORT": "8000"}, "RELAY_MEDIA_TCP_PORT: leave it out"),
        ({"TURN_URLS": "turn:a.example:3478"}, "RELAY_TURN_SECRET: required with RELAY_TURN_URLS"),
        ({"TURN_URLS": "http://a.example", "TURN_SECRET": "x"}, "RELAY_TURN_URLS: 'http://a.example' is not a URL"),
        ({"TURN_LIFETIME": "1"}, "RELAY_TURN_LIFETIME: "),
        ({"TURN_HOST": "turn.example.org:443"}, "RELAY_TURN_HOST: 'turn.example.org:443' is not a name or an address"),
        ({"TURN_HOST": "a?b"}, "RELAY_TURN_HOST: 'a?b' is not"),
        ({"TURN_REALM": "r" * 128}, "RELAY_TURN_REALM: "),
        ({"PUBLIC_PORT": "65536"}, "RELAY_PUBLIC_PORT: "),
        ({"MEDIA_PORT": "3470", "WORKERS": "16"}, "RELAY_TURN_PORT: media takes the UDP ports from 3470 to 3485"),
    ],
)
def test_a_contradiction_between_settings_is_one_line(environment: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError) as problem:
        settings(**environment)
    assert str(problem.value).startswith(words)
    assert len(str(problem.value).splitlines()) == 1


@pytest.mark.parametrize("host", ["turn.example.org", "192.0.2.1", "2001:db8::1", "relay_1"])
def test_turn_has_a_name_or_an_address(host: str) -> None:
    assert settings(TURN_HOST=host).turn_host == host


def test_turn_that_is_off_takes_no_port_from_media() -> None:
    assert settings(MEDIA_PORT="3478", TURN="false").media_port == 3478


@pytest.mark.parametrize("server", ["stun.example.org:3478", "192.0.2.1:19302", "[2001:db8::1]:3478"])
def test_a_stun_server_is_a_host_and_a_port(server: str) -> None:
    assert settings(STUN_SERVER=server).stun_server == server
