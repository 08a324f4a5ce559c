"""A node that is about to stop gives its calls to others, and their media flows meanwhile."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from relay.errors import Unavailable
from relay.settings.recording import RecordingSettings
from relay.signaling.calls.draining import COME_BACK, SPREAD, TICK
from relay.signaling.calls.moving import KEPT, LINGERS
from tests.signaling.cluster.test_death import REJOIN, Noting, new_answer, noted
from tests.signaling.cluster.town import Town, in_town
from tests.signaling.harness import MemoryHarness, in_virtual_time
from tests.signaling.people import HANG_UP, LESSON, STUDENT, TIMERS, TUTOR, Client, answer, frame, invitation

SOON = SPREAD + TICK


def may_come(client: Client) -> bool:
    """The call is at another node, and goes on as if nothing had been."""
    last = client.received[-1]
    return bool(last["type"] == "call_state" and last["yours"] is False and last["state"] == "connected")


async def come(town: Town, client: Client) -> None:
    assert may_come(client), client.types()
    await town.say(client, REJOIN)
    await town.say(client, new_answer(client))


async def transports(node: MemoryHarness) -> int:
    """How many are open."""
    counters = await node.engine.counters()
    return counters["transports_opened"] - counters["transports_closed"]


async def follow(town: Town, *clients: Client) -> None:
    """Those that were sent away come back elsewhere."""
    for client in clients:
        if client.connection is not None and client.connection.closed == COME_BACK:
            await town.resume(client, next(one for one in town.nodes if one.calls.accepting))
            assert client.welcome["resumed"]


async def given(town: Town, node: MemoryHarness) -> MemoryHarness:
    """The node stops: who has its call then."""
    node.calls.draining.begin(0)
    await asyncio.sleep(SOON)
    owner = town.owner(STUDENT)
    assert owner is not None
    assert owner is not node
    return owner


@pytest.mark.parametrize("homes", ["ab", "bc", "aa", "bb", "ca"])
@in_town
async def test_a_call_moves_to_another_node_and_neither_party_hears_that_its_media_was_gone(town: Town, homes: str) -> None:
    caller, callee = await town.connected(*(getattr(town, home) for home in homes))
    first = town.owner(STUDENT)
    assert first is not None
    await asyncio.sleep(20)
    media_before = await transports(first)
    owner = await given(town, first)
    assert await transports(first) == media_before, "the media is where it was"
    heard = len(caller.received), len(callee.received)
    one, other = sorted((caller, callee), key=may_come, reverse=True)
    await come(town, one)
    await come(town, other)
    await town.say(one, new_answer(one))
    await town.media_up(STUDENT, TUTOR)
    told = [*caller.received[heard[0] - 1 :], *callee.received[heard[1] - 1 :]]
    assert {one["state"] for one in told if one["type"] == "call_state"} == {"connected"}
    await asyncio.sleep(LINGERS + TICK)
    assert await transports(first) == 0
    await follow(town, caller, callee)
    await town.say(caller, frame("call_chat", LESSON, text="hello"))
    assert callee.types()[-1] == "call_chat"
    await town.say(callee, HANG_UP)
    assert caller.types()[-1] == "call_ended hangup"
    [row] = await town.rows()
    assert (row.status, row.end_reason, row.owner_epoch) == ("ended", "hangup", owner.cluster.me.incarnation)
    assert first.calls.membership.counters["calls_moved"] == owner.calls.membership.counters["calls_given"] == 1


@in_town
async def test_an_embedding_program_is_told_the_end_of_a_call_by_the_node_that_it_has_moved_to(town: Town) -> None:
    hooks = Noting()
    runners = {node: noted(node, hooks) for node in town.nodes}
    caller, _ = await town.connected(town.a, town.b)
    await given(town, town.a)
    assert runners[town.a]._calls == {}
    await follow(town, caller)
    await town.say(caller, HANG_UP)
    assert [what for what, _ in hooks.told] == ["started", "answered", "ended"]


@in_town
async def test_a_node_that_drains_waits_for_its_calls_first(town: Town) -> None:
    caller, _ = await town.connected(town.a, town.b)
    town.a.calls.draining.begin(60)
    await asyncio.sleep(59)
    assert town.owner(STUDENT) is town.a
    await asyncio.sleep(SOON)
    assert town.owner(STUDENT) is not town.a
    assert not town.a.calls.draining.drained.is_set(), "its media is here still"
    await town.say(caller, HANG_UP)


@in_town
async def test_the_drain_is_over_once_media_flows_elsewhere(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    await given(town, town.a)
    assert not town.a.calls.draining.drained.is_set()
    one, other = sorted((caller, callee), key=may_come, reverse=True)
    await come(town, one)
    await come(town, other)
    await town.media_up(STUDENT, TUTOR)
    await asyncio.sleep(LINGERS + TICK)
    await town.lose(caller)
    await asyncio.sleep(SOON)
    assert town.a.calls.draining.drained.is_set()
    await town.resume(caller, town.c)
    await town.say(caller, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"


@in_town
async def test_parties_that_do_not_come_lose_their_media_and_then_the_call(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    await given(town, town.a)
    await asyncio.sleep(KEPT)
    assert caller.last("call_state")["state"] == callee.last("call_state")["state"] == "reconnecting"
    assert await transports(town.a) == 0
    await asyncio.sleep(TIMERS.media_grace)
    assert [row[1:] for row in await town.ends()] == [("ended", "ice_timeout")]


@in_town
async def test_a_call_that_rings_moves_too(town: Town) -> None:
    caller, callee = await town.ringing(town.a, town.b)
    await given(town, town.a)
    assert callee.types() == ["call_invitation", "call_invitation"], "with an offer of the new owner"
    await follow(town, caller)
    await town.say(callee, answer())
    assert caller.types()[-2:] == ["call_answer", "call_state answered"]
    await town.say(caller, HANG_UP)
    assert await town.ends() == [(STUDENT.profile_id, "ended", "hangup")]


@in_town
async def test_the_call_of_a_version_1_client_stays_until_the_node_stops(town: Town) -> None:
    _, callee = await town.connected(town.a, town.b, version=1)
    town.a.calls.draining.begin(0)
    await asyncio.sleep(SOON)
    assert town.owner(STUDENT) is town.a
    assert town.a.calls.draining.drained.is_set()
    await town.a.calls.close()
    await town.settle()
    assert callee.types()[-1] == "call_ended server_shutdown"


@in_town
async def test_nodes_that_stop_too_get_no_call(town: Town) -> None:
    await town.connected(town.a, town.b)
    town.b.calls.draining.begin(60)
    assert await given(town, town.a) is town.c


@in_town
async def test_a_call_stays_where_it_is_if_no_other_node_takes_it(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    for node in (town.b, town.c):
        town.bus.nodes[node.cluster.me].dead = True  # and no node has noticed yet
    town.a.calls.draining.begin(0)
    await asyncio.sleep(60)
    assert town.a.calls.draining.drained.is_set()
    assert town.owner(STUDENT) is town.a
    assert (await town.rows())[0].owner_epoch == town.a.cluster.me.incarnation
    assert town.a.calls.membership.counters["calls_not_moved"] == 3
    for node in (town.b, town.c):
        town.bus.nodes[node.cluster.me].dead = False
    await town.say(caller, HANG_UP)
    assert callee.connection is not None


@in_town
async def test_a_node_whose_media_plane_fails_leaves_the_call_where_it_is(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    for node in (town.b, town.c):
        node.engine.refuses_transports = True
    town.a.calls.draining.begin(0)
    await asyncio.sleep(SOON)
    assert town.owner(STUDENT) is town.a
    await town.say(caller, frame("call_chat", LESSON, text="hello"))
    assert callee.types()[-1] == "call_chat"
    assert (await town.rows())[0].owner_epoch == town.a.cluster.me.incarnation
    await town.say(caller, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"
    assert await town.ends() == [(STUDENT.profile_id, "ended", "hangup")]


@pytest.mark.parametrize("at", [0.0, 5e-6, 1e-5, 2e-5, 4e-5, 8e-5, 1.6e-4])
@in_town
async def test_what_parties_say_while_their_call_moves_arrives(town: Town, at: float) -> None:
    caller, callee = await town.connected(town.b, town.c)
    owner = town.owner(STUDENT)
    assert owner is not None
    owner.calls.draining.begin(0)
    await asyncio.sleep(at)
    for client in (caller, callee):
        await town.node_of(client).say(client, frame("call_chat", LESSON, text=client.profile.key))
    await asyncio.sleep(SOON)
    assert town.owner(STUDENT) is not owner
    for client, other in ((caller, callee), (callee, caller)):
        assert [one["text"] for one in client.said("call_chat") if not one["own"]] == [other.profile.key]
    await town.say(caller, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"


@in_town
async def test_a_hang_up_that_crosses_the_move_ends_the_call(town: Town) -> None:
    caller, callee = await town.connected(town.b, town.c)
    owner = town.owner(STUDENT)
    assert owner is not None
    owner.calls.draining.begin(0)
    await asyncio.sleep(3e-5)
    await town.say(caller, HANG_UP)
    await asyncio.sleep(SOON)
    assert callee.types()[-1] == "call_ended hangup"
    assert await town.ends() == [(STUDENT.profile_id, "ended", "hangup")]


@in_town
async def test_an_offer_that_is_under_way_is_answered_before_the_call_moves(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    await town.say(caller, frame("call_restart", LESSON))
    town.a.calls.draining.begin(0)
    await asyncio.sleep(5)
    assert town.owner(STUDENT) is town.a
    await asyncio.sleep(15)
    assert town.owner(STUDENT) is not town.a, "its time was up"
    await town.say(callee, HANG_UP)


def in_recorded_town(test: Callable[[Town], Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Decorator: in one where all calls are recorded."""
    chosen = RecordingSettings(recording="always", recording_directory="/srv/recordings")
    return in_virtual_time(test, lambda timers: Town(timers, recording=chosen))


@in_recorded_town
async def test_where_all_calls_are_recorded_a_call_that_moves_is_recorded_at_both_nodes(town: Town) -> None:
    caller, callee = await town.connect(town.a, STUDENT), await town.connect(town.b, TUTOR)
    await town.say(caller, invitation(TUTOR, can_show_recording=True))
    await town.say(callee, answer(can_show_recording=True))
    await town.media_up(STUDENT, TUTOR)
    first = caller.last("call_recording")["recording_id"]
    owner = await given(town, town.a)
    assert town.a.engine.captured == ["start always", "stop call_ended"]
    assert owner.engine.captured == ["start always"]
    for client in (caller, callee):
        assert client.last("call_recording")["state"] == "recording", "the sign stays"
        assert client.last("call_recording")["recording_id"] != first
    await town.say(caller, HANG_UP)


@pytest.mark.parametrize("at", [0.0, 1e-5, 2e-5, 4e-5, 8e-5])
@in_town
async def test_a_block_that_crosses_the_move_ends_the_call(town: Town, at: float) -> None:
    _, callee = await town.connected(town.b, town.c)
    owner = town.owner(STUDENT)
    assert owner is not None
    owner.calls.draining.begin(0)
    await asyncio.sleep(at)
    town.a.directory.blocks.add((TUTOR, STUDENT))
    await owner.calls.orders.block(TUTOR, STUDENT)
    await asyncio.sleep(SOON)
    assert town.call_count == 0
    assert callee.types()[-1] == "call_ended hangup"


@pytest.mark.parametrize("at", [0.0, 1e-5, 2e-5, 4e-5, 8e-5])
@in_town
async def test_an_order_that_crosses_the_move_ends_the_call_or_is_to_be_given_again(town: Town, at: float) -> None:
    _, callee = await town.connected(town.b, town.c)
    owner = town.owner(STUDENT)
    assert owner is not None
    [row] = await town.rows()
    owner.calls.draining.begin(0)
    await asyncio.sleep(at)
    with contextlib.suppress(Unavailable):
        assert await owner.calls.orders.end_call(row.call_id)
    await asyncio.sleep(SOON)
    assert await owner.calls.orders.end_call(row.call_id) == (callee.types()[-1] != "call_ended terminated")
    await town.settle()
    assert callee.types()[-1] == "call_ended terminated"


@in_town
async def test_a_review_is_not_ended_by_a_call_that_moves_meanwhile(town: Town) -> None:
    await town.connected(town.b, town.c)
    owner = town.owner(STUDENT)
    assert owner is not None
    [live] = owner.calls._context.live
    async with live.lock:
        review = asyncio.ensure_future(owner.calls.enforcement.review())
        await asyncio.sleep(1)
        live.lock.moved_to = town.c.cluster.me
    await review
    live.lock.moved_to = None
