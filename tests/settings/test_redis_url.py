"""The URL of Redis: what operators write, and what they are told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.settings.redis_url import RedisAddress, parse, shown

SECRET = "hunter"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("redis://localhost", RedisAddress((("localhost", 6379),))),
        ("redis://:p%40ss@10.0.0.1:6380/2", RedisAddress((("10.0.0.1", 6380),), password="p@ss", number=2)),
        ("redis://relay:secret@[::1]", RedisAddress((("::1", 6379),), username="relay", password="secret")),
        ("rediss://r.example?ssl_ca_certs=/ca.pem", RedisAddress((("r.example", 6379),), tls=True, ca_file="/ca.pem")),
        (
            "rediss://r.example?ssl_certfile=/cert.pem&ssl_keyfile=/key.pem",
            RedisAddress((("r.example", 6379),), tls=True, cert_file="/cert.pem", key_file="/key.pem"),
        ),
        (
            "redis+sentinel://:secret@a,b:26380/calls/1?sentinel_password=other",
            RedisAddress((("a", 26379), ("b", 26380)), service="calls", password="secret", number=1, sentinel_password="other"),
        ),
        ("rediss+sentinel://a/calls", RedisAddress((("a", 26379),), service="calls", tls=True)),
    ],
)
def test_what_operators_write_is_understood(text: str, meant: RedisAddress) -> None:
    assert parse(text) == meant


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("localhost:6379", "write redis://USER:PASSWORD@HOST:PORT/NUMBER"),
        ("http://localhost", "write redis://USER:PASSWORD@HOST:PORT/NUMBER"),
        ("redis://", "host and port cannot be read; write @ as %40"),
        ("redis://localhost:70000", "the port is not one from 1 to 65535"),
        ("redis://localhost/calls", "what comes after the host is the number of a database"),
        ("redis://:hun@ter@localhost", "host and port cannot be told from the password"),
        ("redis://:hun/ter@localhost", "host and port cannot be told from the password"),
        ("redis://:hun?ter@localhost", "what comes after the \\? cannot be told from the password"),
        ("redis://localhost?ssl_ca_certs=/ca.pem", "'ssl_ca_certs' is not a parameter of redis://"),
        ("rediss://localhost?verify=no", "'verify' is not a parameter of rediss://; known are: ssl_ca_certs"),
        ("rediss://localhost?ssl_keyfile=/key.pem", "name that as ssl_certfile"),
        ("redis+sentinel://a,b", "the name of the service comes after the Sentinels"),
    ],
)
def test_what_makes_no_sense_is_said_and_no_part_of_a_password_is_quoted(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as refused:
        parse(text)
    assert not [part for part in ("hun", "ter@") if part in str(refused.value)]


def test_the_password_is_not_shown() -> None:
    assert shown("") == ""
    assert shown("redis://relay:hunter2@localhost/3") == "redis://relay:***@localhost:6379/3"
    assert shown("rediss+sentinel://:hunter2@a,[::1]:9/calls?sentinel_password=hunter3") == (
        "rediss+sentinel://:***@a:26379,[::1]:9/calls"
    )


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1).map(lambda text: f"{SECRET}{text}{SECRET}"))
def test_no_error_and_no_output_has_any_part_of_a_password(password: str) -> None:
    try:
        address = parse(f"redis://relay:{password}@redis.example/1")
    except ValueError as error:
        assert SECRET not in str(error)
    else:
        assert (address.servers, address.number) == ((("redis.example", 6379),), 1)
        assert SECRET not in str(address)
