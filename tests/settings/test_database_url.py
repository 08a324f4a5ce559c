"""The URL of the database: what operators write, and what they are told."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.settings.database_url import displayed, for_asyncpg, parse

HEAD = "postgresql+asyncpg://relay:"
SECRET = "hunter"


@pytest.mark.parametrize(
    "password", ["hun@ter", "hun@te:r", "hun@te/r", "@hunter", "hunter@", "hun@t/e:r", "hun?t@er", "hun:t@er"]
)
@pytest.mark.parametrize("rest", ["@db.example/relay", "@db.example:5432/relay?sslmode=require", "@/relay?host=/run/postgresql"])
def test_a_password_that_moves_what_follows_it_is_told_to_be_encoded_and_no_part_of_it_is_quoted(
    password: str, rest: str
) -> None:
    with pytest.raises(ValueError, match="write @ as %40, : as %3A, / as %2F") as refused:
        parse(f"{HEAD}{password}{rest}")
    assert not [part for part in ("hun", "ter") if part in str(refused.value)]


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1).map(lambda text: f"{SECRET}{text}{SECRET}"))
def test_no_error_quotes_any_part_of_a_password(password: str) -> None:
    try:
        url = parse(f"{HEAD}{password}@db.example/relay")
    except ValueError as error:
        assert SECRET not in str(error)
    else:
        assert (url.host, url.database, url.username) == ("db.example", "relay", "relay")
        assert SECRET not in displayed(url)


@pytest.mark.parametrize(
    ("text", "password"), [("p%40ss%3A%2F", "p@ss:/"), ("p:ss", "p:ss"), ("p/ss", "p/ss"), ("p%25ss", "p%ss")]
)
def test_a_password_that_can_be_told_from_the_rest_is_taken(text: str, password: str) -> None:
    assert parse(f"{HEAD}{text}@db.example/relay").password == password


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("host=db password=hunter2", "use sqlite"),
        ("hunter2", "use sqlite"),
        ("postgres://relay:hunter2@db/relay", "'postgres' is not supported; use sqlite"),
        (f"{HEAD}hunter2/relay", "write @ as %40"),
        (f"{HEAD}hunter2@db:70000/relay", "the port is not one from 1 to 65535"),
        (f"{HEAD}hunter2@db/relay/other", "write @ as %40"),
        (f"{HEAD}hunter2@db/relay?sslmode=yes", "sslmode is one of disable, allow, prefer, require, verify-ca, verify-full"),
        (f"{HEAD}hunter2@db/relay?ssl=true", "ssl is one of disable"),
        (
            f"{HEAD}hunter2@db/relay?channel_binding=require",
            "'channel_binding' is not a parameter that asyncpg takes; leave it out",
        ),
        (f"{HEAD}hunter2@db/relay?sslmode=require&sslrootcert=system", "sslrootcert=system goes with sslmode=verify-full"),
        (f"{HEAD}hunter2@db/relay?connect_timeout=soon", "connect_timeout is a number of seconds"),
        (f"{HEAD}hunter2@/relay?host=db-1&host=db-2", "several hosts are written host=A:5432&host=B:5432, each with its port"),
        (
            f"{HEAD}hunter2@/relay?host=db-1:5432,db-2:5432",
            "several hosts are written host=A:5432&host=B:5432, each with its port",
        ),
        ("sqlite+aiosqlite://relay.db", "a file comes after three slashes"),
    ],
)
def test_the_error_for_an_unusable_url_says_what_to_write(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)) as refused:
        parse(text)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "sqlite+aiosqlite:///relay.db",
        "sqlite+aiosqlite:////var/lib/relay@home/relay.db",
        "sqlite+aiosqlite://",
        "postgresql+asyncpg:///relay",
        f"{HEAD}hunter2@/relay?host=db-1.example:5432&host=db-2.example:5433",
        "postgresql+asyncpg://relay@/relay?host=/run/postgresql&password=p@ss",
        "postgresql+asyncpg://relay@[2001:db8::1]:5432/relay",
        f"{HEAD}hunter2@db.example?prepared_statement_cache_size=0",
    ],
)
def test_urls_of_earlier_versions_are_still_accepted(text: str) -> None:
    assert SECRET not in displayed(parse(text))


def test_secrets_among_the_parameters_are_not_shown() -> None:
    assert displayed(parse("postgresql+asyncpg://relay@db/relay?password=hunter2&sslmode=require")) == (
        "postgresql+asyncpg://relay@db/relay?password=hidden&sslmode=require"
    )


def test_parameters_of_libpq_become_those_of_asyncpg() -> None:
    url = parse(f"{HEAD}x@db/relay?sslmode=verify-full&sslrootcert=/a b.pem&connect_timeout=3&application_name=calls")
    assert for_asyncpg({"host": "db", **url.query}) == {
        "host": "db",
        "dsn": "postgresql://?sslmode=verify-full&sslrootcert=%2Fa+b.pem",
        "timeout": 3.0,
        "server_settings": {"application_name": "calls"},
    }
