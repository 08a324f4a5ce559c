"""What the nodes of a cluster must have in common."""

from typing import Any

import pytest

from relay.errors import ConfigurationError
from relay.settings.all import Settings

SECRET = "0123456789abcdef0123456789abcdef"
SHARED: dict[str, Any] = {
    "redis_url": "redis://:hunter2@localhost",
    "database_url": "postgresql+asyncpg://db/relay",
    "jwt_secret": SECRET,
    "turn_secret": SECRET,
}


def problems(**settings: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        Settings(**{**SHARED, **settings})
    return str(refused.value).splitlines()


def test_a_node_has_what_it_shares_with_others() -> None:
    assert Settings(**SHARED).redis_url
    assert Settings(**{**SHARED, "jwt_secret": "", "jwks": "https://id.example/keys"}).jwks
    assert Settings(**{**SHARED, "turn_secret": "", "turn": False}).redis_url


def test_what_each_node_would_make_up_or_keep_for_itself_is_refused_in_a_line_each() -> None:
    missing = problems(database_url="sqlite+aiosqlite:///relay.db", jwt_secret="", turn_secret="", dev=True)
    assert [line.partition(":")[0] for line in missing] == ["RELAY_DATABASE_URL", "RELAY_JWT_SECRET", "RELAY_TURN_SECRET"]
    assert "SQLite is for one server" in missing[0]
    assert all("required with RELAY_REDIS_URL, the same at every node" in line for line in missing[1:])


def test_a_server_alone_needs_none_of_it() -> None:
    assert not Settings(dev=True).redis_url


def test_the_password_of_redis_is_not_shown() -> None:
    assert dict(Settings(**SHARED).shown())["RELAY_REDIS_URL"] == "redis://:***@localhost:6379"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"redis_url": "localhost"}, "RELAY_REDIS_URL: write redis://"),
        ({"node_url": "north.example"}, "RELAY_NODE_URL: 'north.example' is not a URL such as https://node-1.relay.example"),
        ({"node_url": "https://north.example/path"}, "RELAY_NODE_URL: "),
    ],
)
def test_a_problem_names_its_variable(settings: dict[str, str], told: str) -> None:
    assert problems(**settings)[0].startswith(told)


@pytest.mark.parametrize("value", ["", "a b", "a{b}", "x" * 65])
def test_a_namespace_that_would_break_the_names_of_keys_is_refused(value: str) -> None:
    variables = {"RELAY_DEV": "true", "RELAY_CLUSTER_NAMESPACE": value}
    if not value:
        assert Settings.from_environment(variables).cluster_namespace == "default"
        return
    with pytest.raises(ConfigurationError, match="RELAY_CLUSTER_NAMESPACE"):
        Settings.from_environment(variables)
