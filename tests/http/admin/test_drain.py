"""A server that is told to stop once its calls have ended."""

from pathlib import Path

import aiohttp
import pytest

from tests.http.admin.conftest import PLATFORM, SERVICE_TOKEN, Admin
from tests.http.admin.test_live import closed
from tests.http.conftest import SECRET, socket_of
from tests.http.live import heard, talking
from tests.http.records import MAYA, asked
from tests.kit.server import running_relay
from tests.signaling.people import HANG_UP

ZOE = "parent_321"

SETTINGS = {"service_token": SERVICE_TOKEN, "jwt_secret": SECRET, "media_host": "127.0.0.1"}


async def test_a_draining_server_keeps_its_calls_and_takes_no_new_ones(tmp_path: Path) -> None:
    async with running_relay(tmp_path, **SETTINGS) as relay, aiohttp.ClientSession(relay.url) as http:
        state = {"draining": False, "calls": 0, "devices": 0, "seconds_left": None}
        assert await asked(http, "GET", "/api/admin/drain", PLATFORM) == (200, state)
        assert (await relay.counters())["relay_draining"] == 0
        async with talking(http) as (mayas, daniels), socket_of(http, ZOE) as zoes:
            status, found = await asked(http, "POST", "/api/admin/drain", PLATFORM, json={"seconds": 0.5})
            assert (status, found["draining"], found["calls"], found["devices"]) == (202, True, 1, 3)
            await asked(http, "POST", "/api/admin/drain", PLATFORM, json={})
            _, found = await asked(http, "GET", "/api/admin/drain", PLATFORM)
            assert 55 < found["seconds_left"] <= 60, "the usual limit, and the latest counts"
            assert await closed(zoes) == 1012
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await socket_of(http, ZOE).__aenter__()
            assert refused.value.status == 503
            assert refused.value.headers
            assert refused.value.headers["Connection"] == "close", "by a balancer, the next attempt comes to another server"
            assert (await relay.counters())["relay_draining"] == 1
            _, ready = await asked(http, "GET", "/readyz", {})
            assert ready["checks"] == {"database": True, "media": True, "accepting": False}
            assert (await asked(http, "GET", "/healthz", {}))[0] == 200
            async with socket_of(http, MAYA):  # a page that is loaded anew during the call
                pass
            await mayas.send_str(HANG_UP)
            assert (await heard(daniels, "call_ended"))["reason"] == "hangup"
            assert [await closed(one) for one in (mayas, daniels)] == [1012, 1012]
        assert (await relay.finished_call())["end_reason"] == "hangup"


@pytest.mark.changes_nothing
@pytest.mark.parametrize("body", [{"seconds": -1}, {"seconds": 86_401}, {"seconds": "soon"}, {"minutes": 1}, []])
async def test_a_limit_that_is_none_is_refused_and_nothing_drains(admin: Admin, body: object) -> None:
    assert (await admin("POST", "/drain", body))[0] == 400
    assert (await admin("GET", "/drain"))[1]["draining"] is False


@pytest.mark.changes_nothing
async def test_only_the_platform_may_have_a_server_drain(http: aiohttp.ClientSession) -> None:
    for method in ("GET", "POST"):
        assert (await asked(http, method, "/api/admin/drain", {}, json={}))[0] == 401
