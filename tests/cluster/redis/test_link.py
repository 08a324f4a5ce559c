"""A connection to Redis, and its errors: which say that it is away, and which that a command is at fault."""

import asyncio
import sys

import pytest
from redis.exceptions import NoScriptError, OutOfMemoryError, ReadOnlyError, ResponseError

from relay.cluster.alone import Alone
from relay.cluster.redis.figures import ClusterFigures
from relay.cluster.redis.link import Link, RedisOutage, is_away
from relay.cluster.redis.timing import ClusterTiming
from relay.composition.cluster import cluster_plane
from relay.errors import ConfigurationError
from relay.settings.cluster import ClusterSettings
from relay.settings.redis_url import parse
from tests.kit.nodes import Counted
from tests.kit.redis_server import RedisServer

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


@pytest.mark.servers
async def test_a_command_that_is_cancelled_at_any_moment_does_not_go_on(shared_redis: RedisServer) -> None:
    figures = ClusterFigures()
    link = Link(parse(shared_redis.url), figures, RedisOutage(figures), deadline=5.0)
    finished = 0
    for turns in range(30):
        await link.run([("PING",)])  # connected
        running = asyncio.create_task(link.run([("PING",)]))
        for _ in range(turns):
            await asyncio.sleep(0)
        if running.done():
            finished += 1
            continue
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled(), f"after {turns} turns of the loop"
    assert finished < 30
    assert await link.run([("PING",), ("ECHO", "in step")]) == [b"PONG", b"in step"]
    await link.close()


def test_without_the_client_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.startswith("relay.cluster.redis.") or one.partition(".")[0] == "redis"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)
    settings, alone = ClusterSettings(redis_url="redis://localhost"), Alone("a", Counted(), None)
    assert cluster_plane(ClusterSettings(), alone, ClusterTiming()).cluster is alone
    with pytest.raises(ConfigurationError, match=r"needs the Python package redis.*; try: pip install 'call-relay\[cluster\]'"):
        cluster_plane(settings, alone, ClusterTiming())
