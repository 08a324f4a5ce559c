"""Calls between devices that are connected to different nodes."""

import asyncio
import functools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from statistics import quantiles

import aiohttp
import pytest
import pytest_asyncio

from relay.client import CallOver, ChatReceived, TransferRequested, connect
from tests.cluster.integration.people import People, goes_on, lost, rung, taken, talk
from tests.http.admin.conftest import PLATFORM, SERVICE_TOKEN
from tests.http.records import asked
from tests.kit.caller import Caller, Message
from tests.kit.databases import PostgresServer
from tests.kit.redis_server import RedisServer
from tests.kit.served_cluster import ServedCluster
from tests.kit.wait import eventually
from tests.sdp.descriptions import VOICE_OFFER

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("calls_between_nodes")]

GLARES = 30
INVITATIONS = 50

SEEN_LATE = 15
"""Seconds: half of those after which each node looks by itself for what has changed."""

OFFER = {"type": "offer", "sdp": VOICE_OFFER}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(
    tmp_path_factory: pytest.TempPathFactory, postgresql: PostgresServer, shared_redis: RedisServer
) -> AsyncIterator[ServedCluster]:
    """For all tests here: none of them does anything to it."""
    folder = tmp_path_factory.mktemp("nodes")
    recorded = {"recording": "consent", "recording_directory": str(folder), "assemblers": "0"}
    async with ServedCluster.running(folder, postgresql, shared_redis, service_token=SERVICE_TOKEN, **recorded) as running:
        yield running


async def test_two_devices_at_different_nodes_hear_each_other_and_a_third_one_hears_that_it_was_answered_elsewhere(
    cluster: ServedCluster, people: People
) -> None:
    caller, callee = await people.join("student_456", cluster.a), await people.join("tutor_789", cluster.b)
    second = await people.join("tutor_789", cluster.c)
    call, other = await talk(caller, callee)
    await eventually(lambda: "call_ended" in second.types(), "the second device stops ringing")
    assert [one["reason"] for one in second.heard if one["type"] == "call_ended"] == ["answered_elsewhere"]
    await goes_on(call, other)
    assert lost(call, other) == 0
    await other.hang_up()
    assert await call.ended() == "hangup"
    row = await cluster.finished(call.call_id)
    assert (row["status"], row["end_reason"]) == ("ended", "hangup")


async def test_chat_hold_and_resumption_reach_the_other_node(cluster: ServedCluster, people: People) -> None:
    caller, callee = await people.join("student_456", cluster.a), await people.join("tutor_789", cluster.b)
    call, other = await talk(caller, callee)
    events = other.events()
    hearing = asyncio.create_task(anext(events))
    await asyncio.sleep(0)
    await call.send_chat("page 12")
    event = await hearing
    assert isinstance(event, ChatReceived)
    assert (event.text, event.own) == ("page 12", False)
    await other.hold()
    await eventually(lambda: call.held_by == ("other",), "the caller knows of the hold")
    await other.resume()
    await eventually(lambda: call.held_by == (), "the caller knows of its end")
    await goes_on(call, other)
    await call.hang_up()


async def test_a_call_is_transferred_to_a_profile_at_a_third_node(cluster: ServedCluster, people: People) -> None:
    student, tutor = await people.join("student_456", cluster.a), await people.join("tutor_789", cluster.b)
    parent = await people.join("parent_321", cluster.c)
    call, other = await talk(student, tutor)
    events = call.events()
    asking = asyncio.create_task(anext(events))
    await asyncio.sleep(0)
    await other.transfer(parent.client.profile)
    event = await asking
    assert isinstance(event, TransferRequested)
    assert event.target == parent.client.profile
    await call.answer_transfer(True)
    assert (await call.ended(), await other.ended()) == ("transferred", "transferred")
    follow_up = await student.client.call(event.target, "voice", event.conversation_id)
    third = await taken(parent)
    await follow_up.connected()
    await third.hang_up()
    assert await follow_up.ended() == "hangup"


async def test_a_callee_that_does_not_answer_has_missed_the_call(cluster: ServedCluster, people: People) -> None:
    caller, callee = await people.join("student_456", cluster.a), await people.join("tutor_789", cluster.b)
    call = await caller.client.call(callee.client.profile, "voice", 123)
    ringing = await rung(callee)
    await call.hang_up()
    assert await ringing.ended() == "cancelled"
    assert (await cluster.finished(call.call_id))["status"] == "missed"


async def test_a_callee_without_a_device_at_any_node_is_offline(cluster: ServedCluster, people: People) -> None:
    caller = await people.join("student_456", cluster.a)
    with pytest.raises(CallOver, match="offline"):
        await caller.client.call("tutor_789", "voice", 123)


async def test_of_invitations_that_cross_between_two_nodes_one_stays_every_time(cluster: ServedCluster) -> None:
    """By devices of protocol version 1, without media."""
    before = len(await cluster.rows())
    for _ in range(GLARES):
        async with Caller.connected(cluster.a.url, "student_456") as one, Caller.connected(cluster.b.url, "tutor_789") as two:
            await asyncio.gather(one.invite("tutor_789", 123, "voice", OFFER), two.invite("student_456", 123, "voice", OFFER))
            told = functools.partial(_told, (one, two))
            await eventually(functools.partial(_crossed, told), "one rings, the other is declined")
            assert [message["reason"] for _, message in told("call_declined")] == ["busy"]
            [(callee, _)] = told("call_invitation")
            await (two if callee is one else one).hang_up()
            # A call that still rings also rings at a device that comes, such as that of the next round.
            await eventually(functools.partial(told, "call_ended"), "the callee hears the end")

    async def ends() -> Counter[tuple[str, str]]:
        return Counter((row["status"], row["end_reason"]) for row in (await cluster.rows())[before:])

    async def all_over() -> bool:
        return await ends() == {("missed", "busy"): GLARES, ("missed", "cancelled"): GLARES}

    await eventually(all_over, "each call has a row, which is closed")


def _crossed(told: Callable[[str], list[tuple[Caller, Message]]]) -> bool:
    return bool(told("call_invitation") and told("call_declined"))


def _has(found: Sequence[float], number: int) -> bool:
    return len(found) == number


def _told(callers: Sequence[Caller], kind: str) -> list[tuple[Caller, Message]]:
    return [(one, message) for one in callers for message in one.received if message["type"] == kind]


async def test_an_invitation_rings_at_another_node(
    cluster: ServedCluster, people: People, record_property: Callable[[str, object], None]
) -> None:
    loop, began, took = asyncio.get_running_loop(), 0.0, []

    def heard(message: Mapping[str, object]) -> None:
        if message["type"] == "call_invitation":
            took.append(loop.time() - began)

    async with Caller.connected(cluster.a.url, "student_456") as caller, connect(cluster.b.url, "tutor_789", on_message=heard):
        while len(took) < INVITATIONS:
            began = loop.time()
            rings = len(took) + 1
            await caller.invite("tutor_789", 123, "voice", OFFER)
            await eventually(functools.partial(_has, took, rings), "it rings")
            await caller.hang_up()
            while (await caller.expect("call_state"))["state"] != "ended":
                pass
    record_property("p99 from invitation to ring between nodes, ms", round(quantiles(took, n=100)[98] * 1000, 1))


async def test_a_device_that_moves_to_another_node_resumes_there_and_loses_no_message(
    cluster: ServedCluster, people: People
) -> None:
    caller, callee = await people.join("student_456", cluster.a), await people.join("tutor_789", cluster.b, cluster.c)
    call, other = await talk(caller, callee)
    callee.path.lead_to(cluster.c.port)
    await callee.client.lose_connection()
    await call.send_chat("while you were away")
    await eventually(lambda: "call_chat" in callee.types(), "the chat message arrives at the other node")
    assert [one["resumed"] for one in callee.heard if one["type"] == "welcome"] == [False, True]
    await goes_on(call, other)
    assert lost(call, other) == 0
    await call.hang_up()


async def test_the_platform_reads_records_and_ends_a_call_by_way_of_any_node(cluster: ServedCluster, people: People) -> None:
    caller = await people.join("student_456", cluster.a, can_show_recording=True)
    callee = await people.join("tutor_789", cluster.b, can_show_recording=True)
    for at in (1, 2):
        call, other = await talk(caller, callee)
        owner = await cluster.owner(call.call_id)
        node = cluster.nodes[(cluster.nodes.index(owner) + at) % len(cluster.nodes)]  # another one
        path = f"/api/admin/calls/{call.call_id}"
        async with aiohttp.ClientSession(node.url) as http:
            _, found = await asked(http, "GET", "/api/admin/calls", PLATFORM)
            assert [(one["call_id"], one["node"]) for one in found["calls"]] == [(call.call_id, owner.name)]
            assert found["unanswered"] == []

            async def measured(http: aiohttp.ClientSession = http, path: str = path) -> bool:
                return bool((await asked(http, "GET", path, PLATFORM))[1]["media"]["callee"])

            await eventually(measured, "what the callee sends is seen by way of another node")
            status, ordered = await asked(http, "POST", f"{path}/recording", PLATFORM)
            assert (status, ordered["state"]) == (202, "recording")
            assert (await asked(http, "POST", f"{path}/recording", PLATFORM))[0] == 409
            assert (await asked(http, "DELETE", f"{path}/recording", PLATFORM))[0] == 204
            assert (await asked(http, "POST", f"{path}/end", PLATFORM))[0] == 204
            assert (await call.ended(), await other.ended()) == ("terminated", "terminated")
            await cluster.finished(call.call_id)
            assert (await asked(http, "POST", f"{path}/end", PLATFORM))[0] == 404


async def test_a_block_at_a_third_node_ends_the_call_at_once(cluster: ServedCluster, people: People) -> None:
    caller, callee = await people.join("student_456", cluster.a), await people.join("tutor_789", cluster.b)
    call, other = await talk(caller, callee)
    block = "/api/admin/profiles/tutor/789/blocks/student/456"
    async with aiohttp.ClientSession(cluster.c.url) as http:
        assert (await asked(http, "PUT", block, PLATFORM))[0] == 204
        async with asyncio.timeout(SEEN_LATE):
            assert (await call.ended(), await other.ended()) == ("hangup", "hangup")
        assert (await asked(http, "DELETE", block, PLATFORM))[0] == 204
