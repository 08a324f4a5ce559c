"""A profile's own calls, and no others."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from relay.http.calls import MAX_SEEN
from relay.ids import Profile, Scope, ScopeKind
from relay.media.api import Route
from relay.signaling.ports import MediaPath
from tests.http.conftest import socket_of
from tests.http.records import DANIEL, ELENA, MAYA, VICTOR, WHITEBOARD, Calls, asked, calls_of, milliseconds
from tests.kit.server import RunningRelay
from tests.signaling.people import frame, invitation


@pytest.fixture
async def calls(relay: RunningRelay) -> AsyncIterator[Calls]:
    async with calls_of(relay) as calls:
        yield calls


async def listed(http: aiohttp.ClientSession, who: str, query: str = "") -> tuple[list[str], str | None]:
    """Ids of the calls on a page, and where the next one begins."""
    status, answer = await asked(http, "GET", f"/api/calls{query}", who)
    assert status == 200, answer
    return [call["call_id"] for call in answer["calls"]], answer["next_cursor"]


def named(key: str) -> dict[str, Any]:
    return dict(Profile.parse(key)._asdict())


async def unseen(http: aiohttp.ClientSession, who: str) -> int:
    status, answer = await asked(http, "GET", "/api/calls/unseen", who)
    assert status == 200
    return int(answer["unseen_count"])


@pytest.mark.parametrize("how", ["stranger", "blocked", "blocked stranger", "privacy"])
async def test_a_call_that_was_not_allowed_is_not_in_the_callees_history(
    http: aiohttp.ClientSession, relay: RunningRelay, how: str
) -> None:
    caller, scope = (VICTOR if "stranger" in how else DANIEL), 999 if how == "stranger" else 123
    if how == "blocked":
        await asked(http, "PUT", "/api/blocks/tutor/789", MAYA)
    if how == "blocked stranger":
        await asked(http, "POST", "/api/dev/conversations", {}, json={"members": [named(MAYA), named(VICTOR)]})
        await asked(http, "PUT", "/api/blocks/advertiser/654", MAYA)
    if how == "privacy":
        await asked(http, "PUT", "/api/settings", MAYA, json={"privacy": "nobody"})
    async with socket_of(http, MAYA) as hers, socket_of(http, caller) as his:
        await his.send_str(invitation(Profile.parse(MAYA), Scope(ScopeKind.CONVERSATION, scope)))
        told = await his.receive_json(timeout=20)
        assert (told["type"], told["reason"]) == ("call_declined", "rejected")
        await hers.send_str('{"type": "ping", "ref": "nothing before"}')
        assert (await hers.receive_json(timeout=20))["type"] == "pong"
    assert await listed(http, MAYA) == ([], None)
    assert await unseen(http, MAYA) == 0
    assert await listed(http, caller) == ([told["call_id"]], None)
    assert (await relay.finished_call())["end_reason"] == ("blocked" if "blocked" in how else "rejected")


async def test_a_call_is_shown_as_each_party_saw_it(http: aiohttp.ClientSession, calls: Calls) -> None:
    call_id = await calls.add(0, DANIEL, MAYA, reason="hangup")
    common = {
        "call_id": call_id,
        "call_type": "video",
        "conversation_id": 123,
        "status": "ended",
        "reason": "hangup",
        "started_at": milliseconds(0),
        "answered_at": milliseconds(0),
        "ended_at": milliseconds(1),
        "duration_seconds": 60,
        "missed": False,
        "transferred_from": None,
        "decline_message": None,
        "route": None,
        "family": None,
        "rtt_ms": None,
        "score": None,
    }
    for who, direction, other in ((DANIEL, "outgoing", ("student", 456)), (MAYA, "incoming", ("tutor", 789))):
        _, answer = await asked(http, "GET", "/api/calls", who)
        [call] = answer["calls"]
        assert common.items() <= call.items()
        assert call["direction"] == direction
        assert (call["other"]["profile_type"], call["other"]["profile_id"]) == other
        assert call["other"]["name"]
        assert call.keys() == {*common, "direction", "other", "seen"}


async def test_both_parties_read_what_the_callee_said_by_declining(http: aiohttp.ClientSession, relay: RunningRelay) -> None:
    async with socket_of(http, MAYA) as hers, socket_of(http, DANIEL) as his:
        await his.send_str(invitation(Profile.parse(MAYA), Scope(ScopeKind.CONVERSATION, 123)))
        assert (await hers.receive_json(timeout=20))["type"] == "call_invitation"
        await hers.send_str(frame("call_declined", message="Call you back in 10 minutes"))
        told = await his.receive_json(timeout=20)
        while told["type"] != "call_declined":
            told = await his.receive_json(timeout=20)
    assert told["message"] == "Call you back in 10 minutes"
    for who in (DANIEL, MAYA):
        _, answer = await asked(http, "GET", "/api/calls", who)
        assert [one["decline_message"] for one in answer["calls"]] == ["Call you back in 10 minutes"]


async def test_each_party_sees_the_route_of_its_own_media(http: aiohttp.ClientSession, calls: Calls) -> None:
    await calls.add(
        0,
        DANIEL,
        MAYA,
        reason="hangup",
        caller_path=MediaPath(Route("turn-tls", "ipv4"), 0.0421),
        callee_path=MediaPath(Route("udp", "ipv6"), None),
    )
    for who, own in ((DANIEL, ("turn-tls", "ipv4", 42.1)), (MAYA, ("udp", "ipv6", None))):
        _, answer = await asked(http, "GET", "/api/calls", who)
        [call] = answer["calls"]
        assert (call["route"], call["family"], call["rtt_ms"]) == own


async def test_pages_follow_each_other_without_a_gap_while_calls_come_in(http: aiohttp.ClientSession, calls: Calls) -> None:
    made = [await calls.add(minute) for minute in (0, 1, 1, 2, 3)]
    first, cursor = await listed(http, MAYA, "?limit=2")
    await calls.add(4)
    second, cursor = await listed(http, MAYA, f"?limit=2&cursor={cursor}")
    third, end = await listed(http, MAYA, f"?limit=2&cursor={cursor}")
    assert [*first, *second, *third] == made[::-1]
    assert end is None


async def test_missed_calls_are_those_that_the_profile_did_not_take(http: aiohttp.ClientSession, calls: Calls) -> None:
    missed = await calls.add(0)
    await calls.add(1, reason="hangup")
    await calls.add(2, MAYA, DANIEL)
    for query in ("?missed=1", "/missed"):
        assert await listed(http, MAYA, query) == ([missed], None)
    assert len((await listed(http, MAYA, "?missed=0"))[0]) == 3


@pytest.mark.changes_nothing
@pytest.mark.parametrize(
    "query", ["?limit=0", "?limit=201", "?limit=x", "?limit=", "?limit=²", "?cursor=x", "?cursor=" + "A" * 300, "?missed=maybe"]
)
async def test_a_page_that_cannot_be_is_refused(http: aiohttp.ClientSession, query: str) -> None:
    status, answer = await asked(http, "GET", f"/api/calls{query}", MAYA)
    assert (status, answer["error"]["code"]) == (400, "invalid_request")


async def test_a_call_comes_with_its_chat_messages(http: aiohttp.ClientSession, calls: Calls) -> None:
    call_id = await calls.add(0, reason="hangup")
    await calls.say(call_id, DANIEL, "Page 12?", 0.1)
    await calls.say(call_id, MAYA, "Yes", 0.2)
    status, answer = await asked(http, "GET", f"/api/calls/{call_id}", MAYA)
    assert (status, answer["call"]["call_id"]) == (200, call_id)
    assert [(text["own"], text["text"], text["sent_at"]) for text in answer["chat"]] == [
        (False, "Page 12?", milliseconds(0.1)),
        (True, "Yes", milliseconds(0.2)),
    ]
    assert (answer["chat"][0]["from_profile_type"], answer["chat"][0]["from_profile_id"]) == ("tutor", 789)


@pytest.mark.parametrize("who", [ELENA, VICTOR, "student_1"])
async def test_another_profiles_call_is_not_found(http: aiohttp.ClientSession, calls: Calls, who: str) -> None:
    call_id = await calls.add(0)
    assert await listed(http, who) == ([], None)
    foreign = await asked(http, "GET", f"/api/calls/{call_id}", who)
    assert foreign == await asked(http, "GET", f"/api/calls/{'0' * 32}", who)
    assert foreign[0] == 404
    for body in ({"call_ids": [call_id]}, {"up_to": call_id}):
        assert (await asked(http, "POST", "/api/calls/seen", who, json=body))[0] == 404
    assert await unseen(http, MAYA) == 1


async def test_a_whiteboard_call_is_not_among_them(http: aiohttp.ClientSession, calls: Calls) -> None:
    call_id = await calls.add(0, scope=WHITEBOARD)
    assert await listed(http, MAYA) == ([], None)
    assert (await asked(http, "GET", f"/api/calls/{call_id}", MAYA))[0] == 404


async def test_calls_are_unseen_until_they_are_marked(http: aiohttp.ClientSession, calls: Calls) -> None:
    first, second, third = [await calls.add(minute) for minute in range(3)]
    assert await unseen(http, MAYA) == 3
    for marked in (1, 0):
        answer = await asked(http, "POST", "/api/calls/seen", MAYA, json={"call_ids": [third, third]})
        assert answer == (200, {"marked": marked, "unseen_count": 2})
    answer = await asked(http, "POST", "/api/calls/seen", MAYA, json={"up_to": second})
    assert answer == (200, {"marked": 2, "unseen_count": 0})
    _, page = await asked(http, "GET", "/api/calls", MAYA)
    assert [(call["call_id"], call["seen"]) for call in page["calls"]] == [(third, True), (second, True), (first, True)]


async def test_one_foreign_call_among_own_ones_marks_none(http: aiohttp.ClientSession, calls: Calls) -> None:
    own, foreign = await calls.add(0), await calls.add(1, DANIEL, ELENA)
    status, _ = await asked(http, "POST", "/api/calls/seen", MAYA, json={"call_ids": [own, foreign]})
    assert status == 404
    assert (await unseen(http, MAYA), await unseen(http, ELENA)) == (1, 1)


@pytest.mark.changes_nothing
@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"call_ids": []},
        {"call_ids": "x"},
        {"call_ids": [7]},
        {"call_ids": ["a" * 33]},
        {"call_ids": ["a"] * (MAX_SEEN + 1)},
        {"up_to": ""},
        {"up_to": "a", "call_ids": ["a"]},
    ],
)
async def test_seen_calls_are_named_by_ids_or_by_the_latest_not_both(http: aiohttp.ClientSession, body: Any) -> None:
    status, answer = await asked(http, "POST", "/api/calls/seen", MAYA, json=body)
    assert (status, answer["error"]["code"]) == (400, "invalid_request")


@pytest.mark.changes_nothing
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("GET", "/missed"), ("GET", "/unseen"), ("POST", "/seen"), ("GET", "/" + "0" * 32)],
)
@pytest.mark.parametrize("base", ["/api/calls", "/api/whiteboard/calls"])
async def test_calls_need_a_credential(http: aiohttp.ClientSession, base: str, method: str, path: str) -> None:
    status, answer = await asked(http, method, base + path, {}, json={"up_to": "0" * 32})
    assert (status, answer["error"]["code"]) == (401, "unauthorized")
