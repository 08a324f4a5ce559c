"""Errors of Redis: which say that it is away, and which that a command is at fault."""

import sys

import pytest
from redis.exceptions import NoScriptError, OutOfMemoryError, ReadOnlyError, ResponseError

from relay.cluster.alone import Alone
from relay.cluster.redis.link import is_away
from relay.cluster.redis.timing import ClusterTiming
from relay.composition.cluster import cluster_plane
from relay.errors import ConfigurationError
from relay.settings.cluster import ClusterSettings
from tests.kit.nodes import Counted

SCRIPT = "Error running script (call to f_1f2e): @user_script:7: @user_script: 7: "


@pytest.mark.parametrize(
    "error",
    [
        ReadOnlyError("You can't write against a read only replica."),
        OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        ResponseError("MISCONF Redis is configured to save RDB snapshots"),
        ResponseError("BUSY Redis is busy running a script."),
        ResponseError(f"{SCRIPT}-READONLY You can't write against a read only replica."),
        ResponseError(f"{SCRIPT}-OOM command not allowed when used memory > 'maxmemory'."),
    ],
)
def test_a_redis_that_can_run_nothing_is_away(error: ResponseError) -> None:
    assert is_away(error)


@pytest.mark.parametrize(
    "error",
    [
        NoScriptError("No matching script. Please use EVAL."),
        ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        ResponseError(f"{SCRIPT}WRONGTYPE Operation against a key holding the wrong kind of value"),
        ResponseError("FOREIGN relay:{BUSY}:busy:student_1 has a value that is not of the relay"),
        ResponseError("GONE this node has no lease"),
        ResponseError("unknown command 'BUSY'"),
    ],
)
def test_an_error_of_one_command_is_none_of_redis(error: ResponseError) -> None:
    assert not is_away(error)


def test_without_the_client_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.startswith("relay.cluster.redis.") or one.partition(".")[0] == "redis"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)
    settings, alone = ClusterSettings(redis_url="redis://localhost"), Alone("a", Counted(), None)
    assert cluster_plane(ClusterSettings(), alone, ClusterTiming()).cluster is alone
    with pytest.raises(ConfigurationError, match=r"needs the Python package redis.*; try: pip install 'call-relay\[cluster\]'"):
        cluster_plane(settings, alone, ClusterTiming())
