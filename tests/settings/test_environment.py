"""Settings: read once, checked, and every problem named."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import ConfigurationError
from relay.settings.all import Settings
from relay.settings.base import MIN_SECRET_LENGTH, PREFIX

SECRET = "0123456789abcdef0123456789abcdef"
DEV = {"RELAY_DEV": "true"}


def problems_of(**variables: str) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        Settings.from_environment({**DEV, **variables})
    return str(refused.value).splitlines()


def test_development_mode_needs_no_other_setting() -> None:
    settings = Settings.from_environment(DEV)
    assert settings == Settings(dev=True)
    assert (settings.port, settings.media_port, settings.ring_timeout, settings.connect_timeout) == (8000, 40000, 45.0, 15.0)
    assert (settings.media_grace, settings.signaling_grace, settings.public_address) == (30.0, 30.0, ())


def test_every_setting_is_a_variable() -> None:
    given = {
        "RELAY_HOST": "127.0.0.1",
        "RELAY_PORT": "8001",
        "RELAY_MEDIA_HOST": "::1",
        "RELAY_MEDIA_PORT": "0",
        "RELAY_PUBLIC_ADDRESS": " 203.0.113.1, 2001:db8::1 ,",
        "RELAY_DATABASE_URL": "postgresql+asyncpg://relay:secret@db/relay",
        "RELAY_DEV": "0",
        "RELAY_JWT_SECRET": f" {SECRET} ",
        "RELAY_TOKEN_LIFETIME": "60",
        "RELAY_NODE": "north",
        "RELAY_RING_TIMEOUT": "20.5",
        "RELAY_CONNECT_TIMEOUT": "10",
        "RELAY_MEDIA_GRACE": "11",
        "RELAY_SIGNALING_GRACE": "12",
        "RELAY_LOG_LEVEL": "DEBUG",
    }
    settings = Settings.from_environment(given)
    expected = Settings(
        host="127.0.0.1",
        port=8001,
        media_host="::1",
        media_port=0,
        public_address=("203.0.113.1", "2001:db8::1"),
        database_url="postgresql+asyncpg://relay:secret@db/relay",
        dev=False,
        jwt_secret=SECRET,
        token_lifetime=60.0,
        node="north",
        ring_timeout=20.5,
        connect_timeout=10.0,
        media_grace=11.0,
        signaling_grace=12.0,
        log_level="DEBUG",
    )
    for name in Settings.kinds():
        if PREFIX + name.upper() in given:
            assert getattr(settings, name) == getattr(expected, name)


def test_a_variable_that_is_empty_is_not_set() -> None:
    empty = {PREFIX + name.upper(): " " for name in Settings.kinds() if name != "dev"}
    assert Settings.from_environment({**empty, **DEV}) == Settings(dev=True)


@pytest.mark.parametrize(("text", "dev"), [("true", True), ("True", True), ("1", True), ("false", False), ("0", False)])
def test_yes_and_no_have_the_usual_spellings(text: str, dev: bool) -> None:
    assert Settings.from_environment({"RELAY_DEV": text, "RELAY_JWT_SECRET": SECRET}).dev is dev


@pytest.mark.parametrize(
    ("name", "value", "because"),
    [
        ("RELAY_PORT", "http", "int"),
        ("RELAY_PORT", "65536", "65535"),
        ("RELAY_PORT", "-1", ">= 0"),
        ("RELAY_MEDIA_PORT", "70000", "65535"),
        ("RELAY_MEDIA_HOST", "localhost", "'localhost' is not an IPv4 or IPv6 address"),
        ("RELAY_PUBLIC_ADDRESS", "203.0.113.1,relay.example", "'relay.example' is not an IPv4 or IPv6 address"),
        ("RELAY_DEV", "perhaps", "bool"),
        ("RELAY_TOKEN_LIFETIME", "0", "0.1"),
        ("RELAY_RING_TIMEOUT", "soon", "float"),
        ("RELAY_RING_TIMEOUT", "nan", "0.1"),
        ("RELAY_RING_TIMEOUT", "inf", "86400"),
        ("RELAY_CONNECT_TIMEOUT", "-5", "0.1"),
        ("RELAY_MEDIA_GRACE", "86401", "86400"),
        ("RELAY_SIGNALING_GRACE", "x", "float"),
        ("RELAY_LOG_LEVEL", "LOUD", "DEBUG"),
        ("RELAY_DATABASE_URL", "mysql://relay:secret@db/relay", "'mysql' is not supported"),
        ("RELAY_DATABASE_URL", "sqlite:///relay.db", "'sqlite' is not supported"),
        ("RELAY_JWT_SECRET", "short", "at least 32 characters"),
    ],
)
def test_a_problem_is_one_line_that_names_its_variable(name: str, value: str, because: str) -> None:
    [line] = problems_of(**{name: value})
    assert line.startswith(f"{name}: ")
    assert because in line
    assert "secret@" not in line


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        *(("turn", text, False) for text in ("off", "OFF", "no", "False")),
        *(("media_tcp", text, True) for text in ("on", "Yes", "TRUE")),
        *(("log_level", text, "DEBUG") for text in ("debug", "Debug")),
        ("log_level", "warn", "WARNING"),
        ("workers", "Auto", "auto"),
        *(("ring_timeout", text, 45.0) for text in ("45s", "45 s", "45sec", "45 seconds", "45000ms", "0.75m")),
        ("token_lifetime", "1h", 3600.0),
        ("turn_lifetime", "12h", 43200),
        *(("retain_calls_days", text, 30) for text in ("30d", "30 days", "720h")),
    ],
)
def test_notations_of_other_programs_are_accepted(name: str, value: str, meant: object) -> None:
    assert getattr(Settings.from_environment({**DEV, f"RELAY_{name.upper()}": value}), name) == meant


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("RELAY_TURN", "disabled", "write true or false"),
        ("RELAY_LOG_LEVEL", "verbose", "write DEBUG, INFO, WARNING or ERROR"),
        ("RELAY_RING_TIMEOUT", "45 apples", "write seconds, such as 45 or 45s"),
        ("RELAY_RING_TIMEOUT", "45,5", "write seconds"),
        ("RELAY_TURN_LIFETIME", "soon", "write seconds"),
        ("RELAY_RETAIN_CALLS_DAYS", "12h", "write days, such as 30"),
        ("RELAY_PORT", "8000/tcp", "write a whole number"),
        ("RELAY_PORT", '"8000"', "the quotation marks are a part of the value, leave them out"),
        ("RELAY_WORKERS", "all", "write a whole number, or auto"),
    ],
)
def test_the_error_for_a_malformed_value_says_what_to_write(name: str, value: str, told: str) -> None:
    [line] = problems_of(**{name: value})
    assert line.startswith(f"{name}: ")
    assert told in line


def test_several_problems_are_several_lines() -> None:
    lines = problems_of(
        RELAY_MEDIA_HOST="here", RELAY_PUBLIC_ADDRESS="there,203.0.113.1", RELAY_DATABASE_URL="x", RELAY_JWT_SECRET="y"
    )
    names = [line.partition(":")[0] for line in lines]
    assert names == ["RELAY_MEDIA_HOST", "RELAY_PUBLIC_ADDRESS", "RELAY_DATABASE_URL", "RELAY_JWT_SECRET"]


def test_several_problems_of_kind_are_several_lines_too() -> None:
    """All mistakes are reported at once, so that three of them do not take three attempts."""
    lines = problems_of(RELAY_PORT="http", RELAY_RING_TIMEOUT="soon", RELAY_MEDIA_HOST="here")
    assert {line.partition(":")[0] for line in lines} == {"RELAY_PORT", "RELAY_RING_TIMEOUT", "RELAY_MEDIA_HOST"}


def test_outside_development_mode_a_secret_must_be_given() -> None:
    with pytest.raises(ConfigurationError, match=r"^RELAY_JWT_SECRET: required outside development mode"):
        Settings.from_environment({})
    assert Settings.from_environment({"RELAY_JWT_SECRET": SECRET}).jwt_secret == SECRET
    assert len(SECRET) == MIN_SECRET_LENGTH


def test_a_short_secret_is_refused_in_development_mode_too_and_not_repeated() -> None:
    [line] = problems_of(RELAY_JWT_SECRET="hunter2")
    assert "hunter2" not in line


def test_development_mode_makes_a_secret_up_each_time() -> None:
    settings = Settings(dev=True)
    one, other = settings.with_secret(), settings.with_secret()
    assert one.jwt_secret != other.jwt_secret
    assert len(one.jwt_secret) >= MIN_SECRET_LENGTH
    assert dataclasses.replace(one, jwt_secret="") == settings


def test_a_secret_that_was_given_is_kept() -> None:
    settings = Settings(dev=True, jwt_secret=SECRET)
    assert settings.with_secret() is settings


def test_settings_that_are_made_in_code_are_checked_as_well() -> None:
    with pytest.raises(ConfigurationError, match="RELAY_JWT_SECRET"):
        Settings()
    with pytest.raises(ConfigurationError, match="RELAY_MEDIA_HOST"):
        Settings(dev=True, media_host="here")


def test_settings_do_not_change() -> None:
    with pytest.raises((AttributeError, dataclasses.FrozenInstanceError)):
        Settings(dev=True).port = 1  # type: ignore[misc]


def test_an_unknown_variable_with_the_prefix_of_settings_is_reported() -> None:
    environment = {**DEV, "RELAY_PROT": "1", "RELAY_": "", "RELAYS": "2", "PORT": "8000", "RELAY_PORT": "1", "relay_port": "2"}
    assert Settings.unknown(environment) == ["RELAY_", "RELAY_PROT", "relay_port"]
    assert [Settings.meant_by(name) for name in ("relay_port", "RELAY_PROT", "RELAY_XYZZY")] == ["RELAY_PORT", "RELAY_PORT", None]


NAMES = st.sampled_from([PREFIX + name.upper() for name in Settings.kinds()])


@given(st.dictionaries(NAMES, st.text() | st.sampled_from(["1", "true", "0", "-1", "1e3", "203.0.113.1", SECRET])))
def test_no_environment_is_too_strange(environment: dict[str, str]) -> None:
    try:
        settings = Settings.from_environment(environment)
    except ConfigurationError as error:
        assert all(line.startswith(PREFIX) for line in str(error).split("\n"))
    else:
        assert settings.dev or settings.jwks or len(settings.jwt_secret) >= MIN_SECRET_LENGTH


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"database_schema": "relay"}, "RELAY_DATABASE_SCHEMA: SQLite has no schemas; set RELAY_DATABASE_PREFIX instead"),
        (
            {"database_schema": "pg_relay", "database_url": "postgresql+asyncpg://localhost/relay"},
            "RELAY_DATABASE_SCHEMA: PostgreSQL keeps names that begin with pg_ for itself",
        ),
    ],
)
def test_a_scope_that_the_database_does_not_have_for_the_tables_is_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Settings(dev=True, **settings)
    assert str(refused.value) == problem


@pytest.mark.parametrize("value", ["Relay", "a b", "1st", 'relay"', "x" * 17])
def test_a_prefix_that_would_have_to_be_quoted_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match="RELAY_DATABASE_PREFIX"):
        Settings.from_environment({"RELAY_DEV": "true", "RELAY_DATABASE_PREFIX": value})
