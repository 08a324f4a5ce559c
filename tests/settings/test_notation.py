"""Settings that mean more than their text."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.settings.all import Settings
from relay.settings.notation import MAX_WINDOWS, check_key_source, parse_limit, parse_networks, parse_origin


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("100/minute", [(100, 60)]),
        ("10/second;1000/hour", [(10, 1), (1000, 3600)]),
        ("10 per 5 minutes, 2 per day", [(10, 300), (2, 86_400)]),
        ("off", []),
        (" OFF ", []),
    ],
)
def test_a_limit_is_some_windows_or_off(text: str, windows: list[tuple[int, int]]) -> None:
    assert [(item.amount, item.get_expiry()) for item in parse_limit(text)] == windows


@pytest.mark.parametrize(
    "text", ["", "100", "0/minute", "1/fortnight", "-1/minute", "many", ";".join(["1/day"] * (MAX_WINDOWS + 1))]
)
def test_a_malformed_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a limit such as 100/minute"):
        parse_limit(text)


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://app.example", ("https", "app.example", 443)),
        ("https://App.Example/", ("https", "app.example", 443)),
        ("http://localhost:3000", ("http", "localhost", 3000)),
        ("http://[2001:db8::1]", ("http", "2001:db8::1", 80)),
    ],
)
def test_an_origin_is_scheme_host_and_port(text: str, origin: tuple[str, str, int]) -> None:
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "*",
        "app.example",
        "https://",
        "https://a/b",
        "https://a?b",
        "https://u@a",
        "ws://a",
        "https://a:x",
        "https://a:0x",
    ],
)
def test_a_malformed_origin_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an origin such as https"):
        parse_origin(text)


def test_networks_are_addresses_too() -> None:
    assert parse_networks(["10.0.0.0/8", "::1"]) == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128"))
    for wrong in ("10.0.0.1/8", "10.0.0.0/33", "localhost", ""):
        with pytest.raises(ValueError):
            parse_networks([wrong])


@pytest.mark.parametrize(
    "source",
    [
        "keys.json",
        "/etc/relay/keys.json",
        "https://a.example/keys",
        "http://127.0.0.1:9/k",
        "http://[::1]/k",
        "http://localhost/k",
    ],
)
def test_keys_come_from_a_file_https_or_the_loopback(source: str) -> None:
    check_key_source(source)


@pytest.mark.parametrize(
    "source",
    [
        "http://a.example/keys",
        "http://127.0.0.1.a.example/",
        "ftp://a.example/",
        "file:///keys.json",
        "https://",
        "https://u:p@a.example/",
    ],
)
def test_keys_come_from_nowhere_else(source: str) -> None:
    with pytest.raises(ValueError):
        check_key_source(source)


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    for parse in (parse_limit, parse_origin, check_key_source, lambda one: parse_networks([one])):
        try:
            parse(text)
        except ValueError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LIMIT_MESSAGES", "many"),
        ("LIMIT_REQUESTS", "0/minute"),
        ("ALLOWED_ORIGINS", "https://app.example,app.example"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,proxy"),
        ("JWKS", "http://a.example/keys"),
        ("MAX_DEVICES", "0"),
        ("JWT_LEEWAY", "301"),
    ],
)
def test_a_setting_that_is_not_in_its_notation_is_named(name: str, value: str) -> None:
    from relay.errors import ConfigurationError

    with pytest.raises(ConfigurationError) as refused:
        Settings.from_environment({"RELAY_DEV": "true", f"RELAY_{name}": value})
    [line] = str(refused.value).splitlines()
    assert line.startswith(f"RELAY_{name}: ")


def test_public_keys_replace_the_secret() -> None:
    settings = Settings.from_environment({"RELAY_JWKS": "https://platform.example/keys"})
    assert settings.with_secret().jwt_secret == ""
