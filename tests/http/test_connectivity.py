"""The relay's side of a connectivity test: a client calls itself, and the test leaves no state."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.composition.limits import AppLimits
from relay.http.connectivity import MAX_FRAME, MAX_LOOPS, MAX_MESSAGES, MAX_PROBES, REFUSED, REPLACED, TIME_IS_UP
from tests.check.test_verdicts import CASES, explanation_of
from tests.http.conftest import SECRET, bearer
from tests.integration.sdp import media_sections, secrets_of, values
from tests.kit.server import RunningRelay, running_relay
from tests.kit.wait import eventually
from tests.sdp.descriptions import VIDEO_ANSWER, VIDEO_OFFER, description, plain

PATH = "/ws/connectivity"


@contextlib.asynccontextmanager
async def probing(http: aiohttp.ClientSession, key: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A test that the relay is ready for."""
    async with http.ws_connect(PATH, headers=bearer(key)) as socket:
        assert await socket.receive_json(timeout=20) == {"type": "ready", "address": "127.0.0.1"}
        yield socket


async def ask(socket: aiohttp.ClientWebSocketResponse, kind: str, sdp: str) -> dict[str, Any]:
    await socket.send_json({"type": kind, "sdp": sdp})
    answer: dict[str, Any] = await socket.receive_json(timeout=20)
    return answer


async def closed_with(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """The close code, once all before it has been read."""
    while (await socket.receive(timeout=20)).type is aiohttp.WSMsgType.TEXT:
        pass
    return socket.close_code


async def transports(relay: RunningRelay) -> int:
    """Those that are open."""
    counters = await relay.counters()
    return int(counters["relay_media_transports_opened_total"] - counters["relay_media_transports_closed_total"])


async def all_is_freed(relay: RunningRelay) -> None:
    async def nothing_is_open() -> bool:
        return await transports(relay) == 0

    await eventually(nothing_is_open, "every transport is closed")


async def counted(relay: RunningRelay, name: str) -> float:
    return (await relay.counters())[f"relay_connectivity_{name}_total"]


@pytest.mark.parametrize("caller", ["chromium_video_offer", "firefox_offer", "aiortc_offer"])
async def test_an_offer_comes_back_as_the_relays_own_with_the_same_media(
    relay: RunningRelay, http: aiohttp.ClientSession, caller: str
) -> None:
    offer = description(caller)
    async with probing(http, "student_456") as socket:
        theirs = await ask(socket, "offer", offer)
        assert theirs["type"] == "offer"
        assert media_sections(theirs["sdp"]) == media_sections(offer)
        assert not any(secret in theirs["sdp"] for secret in secrets_of(offer))
        [port] = relay.media_ports
        assert {candidate.split()[5] for candidate in values(theirs["sdp"], "candidate") if " udp " in candidate} == {str(port)}
    await all_is_freed(relay)


async def test_an_answer_comes_back_from_another_transport_than_the_offer(
    relay: RunningRelay, http: aiohttp.ClientSession
) -> None:
    async with probing(http, "student_456") as socket:
        offer = await ask(socket, "offer", VIDEO_OFFER)
        answer = await ask(socket, "answer", VIDEO_ANSWER)
        assert answer["type"] == "answer"
        assert media_sections(answer["sdp"]) == media_sections(VIDEO_ANSWER)
        assert set(values(answer["sdp"], "ice-ufrag")).isdisjoint(values(offer["sdp"], "ice-ufrag"))
        assert set(values(answer["sdp"], "setup")) == {"active"}, "as in a call, the two ends have opposite roles"
        assert await transports(relay) == 2
    await all_is_freed(relay)
    assert await counted(relay, "loops_answered") == 1


async def test_an_answer_that_cannot_work_is_refused_and_may_be_given_again(
    relay: RunningRelay, http: aiohttp.ClientSession
) -> None:
    async with probing(http, "student_456") as socket:
        await ask(socket, "offer", VIDEO_OFFER)
        for spoilt in (plain("audio", setup="active"), plain("video", "audio", setup="active"), VIDEO_OFFER):
            refused = await ask(socket, "answer", spoilt)
            assert (refused["type"], refused["code"]) == ("error", "invalid_sdp")
        assert (await ask(socket, "answer", VIDEO_ANSWER))["type"] == "answer"
    await all_is_freed(relay)


async def test_the_next_call_of_a_test_ends_the_one_before(relay: RunningRelay, http: aiohttp.ClientSession) -> None:
    async with probing(http, "student_456") as socket:
        for _ in range(3):
            await ask(socket, "offer", VIDEO_OFFER)
            await ask(socket, "answer", VIDEO_ANSWER)
            assert await transports(relay) == 2
    await all_is_freed(relay)
    assert await counted(relay, "loops") == 3


async def test_a_test_is_no_call_and_no_device(relay: RunningRelay, http: aiohttp.ClientSession) -> None:
    async with probing(http, "student_456") as socket:
        await ask(socket, "offer", VIDEO_OFFER)
        await ask(socket, "answer", VIDEO_ANSWER)
        counters = await relay.counters()
        assert (counters["relay_calls"], counters["relay_devices"]) == (0, 0)
    await all_is_freed(relay)
    assert await relay.call_logs() == []


async def test_a_client_that_vanishes_leaves_nothing_behind(relay: RunningRelay, http: aiohttp.ClientSession) -> None:
    async with probing(http, "student_456") as socket:
        await ask(socket, "offer", VIDEO_OFFER)
        await ask(socket, "answer", VIDEO_ANSWER)
        transport = socket._writer.transport
        assert transport is not None
        transport.abort()
        await all_is_freed(relay)
    async with probing(http, "student_456"):
        pass  # and there is room for the next one


# -- who may ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nonsense"}], ids=["nobody", "a bad token"])
async def test_a_test_needs_a_credential(http: aiohttp.ClientSession, headers: dict[str, str]) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await http.ws_connect(PATH, headers=headers)
    assert refused.value.status == 401


async def test_a_page_of_another_site_gets_no_test(http: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await http.ws_connect(PATH, headers=bearer("student_456") | {"Origin": "https://elsewhere.example"})
    assert refused.value.status == 403


async def test_a_request_without_upgrade_is_answered_with_upgrade_required(http: aiohttp.ClientSession) -> None:
    async with http.get(PATH, headers=bearer("student_456")) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (426, "upgrade_required")


async def test_the_test_page_has_the_policy_of_all_pages(http: aiohttp.ClientSession) -> None:
    async with http.get("/connectivity") as response:
        assert (response.status, response.content_type) == (200, "text/html")
        assert "script-src 'self'" in response.headers["Content-Security-Policy"]
        assert response.headers["Cache-Control"] == "no-cache"
        text = await response.text()
    [script] = re.findall(r'<script type="module" src="([^"]+)"', text)
    async with http.get(f"/{script}") as response:
        assert (response.status, response.content_type) == (200, "text/javascript")


# -- what makes no sense ------------------------------------------------------------------------------------------------

NONSENSE: dict[str, tuple[str | bytes, str]] = {
    "nothing": ("", "malformed"),
    "prose": ("hello", "malformed"),
    "an array": ("[]", "malformed"),
    "bytes": (b"\xff\x00\x01", "malformed"),
    "no type": ('{"sdp": "v=0"}', "malformed"),
    "an unknown type": ('{"type": "pranswer", "sdp": "v=0"}', "malformed"),
    "no description": ('{"type": "offer"}', "malformed"),
    "a number for a description": ('{"type": "offer", "sdp": 1}', "malformed"),
    "arrays in arrays": ("[" * 60_000, "malformed"),
    "too much": ('{"type": "offer", "sdp": "' + "x" * MAX_FRAME + '"}', "too_large"),
    "no description of a session": ('{"type": "offer", "sdp": "hello"}', "invalid_sdp"),
    "no media": ('{"type": "offer", "sdp": "v=0\\r\\n"}', "invalid_sdp"),
    "an answer to nothing": (
        '{"type": "answer", "sdp": ' + f'"{plain("audio", setup="active")}"'.replace("\r\n", "\\r\\n") + "}",
        "wrong_state",
    ),
}


@pytest.mark.parametrize(("frame", "code"), NONSENSE.values(), ids=NONSENSE.keys())
async def test_nonsense_is_answered_with_an_error_and_the_test_goes_on(
    relay: RunningRelay, http: aiohttp.ClientSession, frame: str | bytes, code: str
) -> None:
    async with probing(http, "student_456") as socket:
        await (socket.send_bytes(frame) if isinstance(frame, bytes) else socket.send_str(frame))
        error = await socket.receive_json(timeout=20)
        assert (error["type"], error["code"]) == ("error", code)
        assert 0 < len(error["message"]) < 500
        assert (await ask(socket, "offer", VIDEO_OFFER))["type"] == "offer"
    await all_is_freed(relay)
    assert await counted(relay, "malformed") == 1


async def test_an_offer_is_answered_once(relay: RunningRelay, http: aiohttp.ClientSession) -> None:
    async with probing(http, "student_456") as socket:
        await ask(socket, "offer", VIDEO_OFFER)
        assert (await ask(socket, "answer", VIDEO_ANSWER))["type"] == "answer"
        assert (await ask(socket, "answer", VIDEO_ANSWER))["code"] == "wrong_state"
    await all_is_freed(relay)


async def test_an_answer_that_makes_no_sense_can_be_given_again(http: aiohttp.ClientSession) -> None:
    async with probing(http, "student_456") as socket:
        await ask(socket, "offer", VIDEO_OFFER)
        assert (await ask(socket, "answer", "v=0"))["code"] == "invalid_sdp"
        assert (await ask(socket, "answer", VIDEO_ANSWER))["type"] == "answer"


async def test_a_call_whose_worker_died_gets_an_error(tmp_path: Path) -> None:
    """On a relay of its own: a worker that dies is an error in the log."""
    async with (
        running_relay(tmp_path, jwt_secret=SECRET, media_host="127.0.0.1", workers=1) as relay,
        aiohttp.ClientSession(relay.url) as http,
        probing(http, "student_456") as socket,
    ):
        await ask(socket, "offer", VIDEO_OFFER)
        process = relay.workers[0].pid
        assert process is not None
        os.kill(process, signal.SIGKILL)
        await eventually(lambda: relay.workers[0].pid not in (process, None), "another worker is there")
        assert (await ask(socket, "answer", VIDEO_ANSWER))["code"] == "unavailable"
        assert await counted(relay, "unavailable") == 1
        assert (await ask(socket, "offer", VIDEO_OFFER))["type"] == "offer"


# -- bounds -------------------------------------------------------------------------------------------------------------


async def test_one_test_makes_so_many_calls(relay: RunningRelay, http: aiohttp.ClientSession) -> None:
    async with probing(http, "student_456") as socket:
        for _ in range(MAX_LOOPS):
            assert (await ask(socket, "offer", VIDEO_OFFER))["type"] == "offer"
        assert (await ask(socket, "offer", VIDEO_OFFER))["code"] == "busy"
        assert await transports(relay) == 2
    await all_is_freed(relay)


async def test_a_client_that_sends_too_much_is_disconnected(relay: RunningRelay, http: aiohttp.ClientSession) -> None:
    async with probing(http, "student_456") as socket:
        await ask(socket, "offer", VIDEO_OFFER)
        for _ in range(MAX_MESSAGES):
            await socket.send_str("hello")
        assert await closed_with(socket) == TIME_IS_UP
    await all_is_freed(relay)
    assert await counted(relay, "overdue") == 1


@pytest.mark.parametrize("relay_settings", [{"limits": AppLimits(connection_test=0.2)}], ids=["impatient"])
async def test_a_test_that_takes_too_long_is_ended(relay: RunningRelay, http: aiohttp.ClientSession) -> None:
    async with probing(http, "student_456") as socket:
        await ask(socket, "offer", VIDEO_OFFER)
        assert await closed_with(socket) == TIME_IS_UP
    await all_is_freed(relay)
    assert await counted(relay, "overdue") == 1


async def test_a_second_test_of_a_profile_ends_the_first(relay: RunningRelay, http: aiohttp.ClientSession) -> None:
    async with probing(http, "student_456") as first:
        await ask(first, "offer", VIDEO_OFFER)
        async with probing(http, "student_456") as second:
            assert await closed_with(first) == REPLACED
            await all_is_freed(relay)
            assert (await ask(second, "offer", VIDEO_OFFER))["type"] == "offer"
    await all_is_freed(relay)


async def refused(http: aiohttp.ClientSession, key: str) -> str:
    """What the relay says to one test too many."""
    async with http.ws_connect(PATH, headers=bearer(key)) as socket:
        error = await socket.receive_json(timeout=20)
        assert (error["type"], error["code"]) == ("error", "busy")
        assert await closed_with(socket) == REFUSED
        return str(error["message"])


async def test_so_many_tests_run_at_a_time(relay: RunningRelay, http: aiohttp.ClientSession) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for number in range(MAX_PROBES):
            await stack.enter_async_context(probing(http, f"student_{1000 + number}"))
        assert "try again in a minute" in await refused(http, "tutor_789")
        async with probing(http, "student_1000"):
            pass  # whose own first one makes room
    async with probing(http, "tutor_789"):
        pass
    assert await counted(relay, "busy") == 1


async def test_a_profile_begins_so_many_tests_a_minute(http: aiohttp.ClientSession) -> None:
    for _ in range(12):
        async with probing(http, "student_456"):
            pass
    assert "try again in" in await refused(http, "student_456")
    async with probing(http, "tutor_789"):
        pass


async def test_a_server_that_stops_ends_the_tests(no_errors_logged: None, tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as client:
        async with running_relay(tmp_path, jwt_secret=SECRET, media_host="127.0.0.1") as relay:
            http = await client.enter_async_context(aiohttp.ClientSession(relay.url))
            socket = await client.enter_async_context(probing(http, "student_456"))
            await ask(socket, "offer", VIDEO_OFFER)
            ended = asyncio.create_task(closed_with(socket))
        assert await ended == aiohttp.WSCloseCode.GOING_AWAY


# -- the verdict --------------------------------------------------------------------------------------------------------

VERDICT = "/api/connectivity/verdict"


async def test_a_report_is_explained_without_a_credential(relay: RunningRelay, http: aiohttp.ClientSession) -> None:
    """Without a credential: that one is missing may be what the report says."""
    for case in CASES:
        async with http.post(VERDICT, json=case["report"]) as response:
            assert (response.status, await response.json()) == (200, explanation_of(case)), case["name"]


@pytest.mark.changes_nothing
@pytest.mark.parametrize(
    "report",
    [
        "",
        "[]",
        "{}",
        '{"url": "https://relay.example/"}',
        '{"url": "https://relay.example/", "hops": {"modem": {"state": "ok"}}}',
        '{"url": "https://relay.example/", "hops": {"udp": {"state": "fine"}}}',
        '{"url": "https://relay.example/", "hops": {"udp": {"state": "ok", "targets": [{"host": "a", "port": 65536}]}}}',
        '{"url": "https://relay.example/", "hops": {}, "figures": {}}',
        "[" * 50_000,
        "\xff",
    ],
    ids=["nothing", "an array", "an object", "no hops", "no hop", "no state", "no port", "no figures", "arrays", "no UTF-8"],
)
async def test_an_invalid_report_is_refused(http: aiohttp.ClientSession, report: str) -> None:
    async with http.post(VERDICT, data=report.encode("latin-1")) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (400, "invalid_request")
