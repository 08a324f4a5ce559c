"""Orders and changes of the platform that come to another node than that of the call that they concern."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from relay.cluster.messages import CallsListed, ListCalls
from relay.errors import SignalingError, Unavailable
from relay.records.recordings import RecordingPolicy
from relay.settings.recording import RecordingSettings
from relay.signaling.calls import succession
from relay.signaling.calls.enforcement import CREDENTIAL_OVER
from relay.signaling.calls.orders import Orders
from tests.kit.bus import ASK_TIMEOUT
from tests.signaling.calls.recorded import seen
from tests.signaling.cluster.town import Town, in_town
from tests.signaling.figures import report
from tests.signaling.harness import in_virtual_time
from tests.signaling.people import (
    FAMILY,
    HANG_UP,
    LESSON,
    PARENT,
    PARENTS_EVENING,
    STRANGER,
    STUDENT,
    TUTOR,
    Client,
    answer,
    frame,
    invitation,
)

NOBODYS = "f" * 32


def in_recording_town(test: Callable[[Town], Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The same, where calls may be recorded."""
    chosen = RecordingSettings(recording="consent", recording_directory="/srv/recordings")
    return in_virtual_time(test, lambda timers: Town(timers, recording=chosen))


def call_of(client: Client) -> str:
    return str(client.last("call_state")["call_id"])


# -- one call ---------------------------------------------------------------------------------------------------------


@in_town
async def test_an_order_to_end_a_call_reaches_it_at_whichever_node_it_comes_to(town: Town) -> None:
    for node in town.nodes:
        caller, callee = await town.connected(town.a, town.b)
        call_id = call_of(caller)
        assert await node.calls.orders.end_call(call_id)
        await town.settle()
        assert [one.types()[-1] for one in (caller, callee)] == ["call_ended terminated"] * 2
        for client in (caller, callee):
            await town.node_of(client).calls.orders.drop(client.profile)
        await town.rows()
        assert not await node.calls.orders.end_call(call_id), "it is over"
    assert [row[1:] for row in await town.ends()] == [("ended", "terminated")] * 3


@in_town
async def test_what_the_parties_of_a_call_send_is_read_from_another_node(town: Town) -> None:
    caller, _ = await town.connected(town.a, town.b)
    await town.a.media(report(0, town.a))
    call_id = call_of(caller)
    found = await town.c.calls.orders.detail(call_id)
    assert found == await town.a.calls.orders.detail(call_id)
    assert found is not None and found.caller is not None and found.call.node == "a"
    assert await town.c.calls.orders.detail(NOBODYS) is None
    await town.say(caller, HANG_UP)


@in_town
async def test_an_order_waits_for_no_node_once_the_one_with_the_call_has_answered(town: Town) -> None:
    caller, _ = await town.connected(town.a, town.b)
    town.bus.nodes[town.b.cluster.me].cut = True
    before = asyncio.get_running_loop().time()
    assert await town.c.calls.orders.end_call(call_of(caller))
    assert asyncio.get_running_loop().time() - before < ASK_TIMEOUT
    town.bus.nodes[town.b.cluster.me].cut = False
    await town.settle()


@in_town
async def test_it_is_not_said_that_there_is_no_such_call_while_a_node_does_not_answer(town: Town) -> None:
    town.bus.nodes[town.b.cluster.me].cut = True
    with pytest.raises(Unavailable, match="does not answer"):
        await town.c.calls.orders.end_call(NOBODYS)
    town.bus.nodes[town.b.cluster.me].cut = False
    await town.settle()
    assert not await town.c.calls.orders.end_call(NOBODYS)


@in_town
async def test_a_call_whose_node_is_lost_is_not_said_to_be_over_and_ends_once_another_one_has_it(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    call_id = call_of(caller)
    await asyncio.sleep(2 * succession.INTERVAL)  # its sheet is kept
    await town.rows()
    await town.kill(town.a)
    town.bus.lost_nodes.add(town.a.cluster.me)  # the lease has run out, and the others have not acted on it
    with pytest.raises(Unavailable, match="try again"):
        await town.c.calls.orders.end_call(call_id)
    await town.notice(town.a)
    assert town.owner(TUTOR) is town.b
    assert await town.c.calls.orders.end_call(call_id)
    await town.settle()
    assert callee.types()[-1] == "call_ended terminated"


# -- recordings -------------------------------------------------------------------------------------------------------


async def talking(town: Town, *, shows: bool = True) -> tuple[Client, Client]:
    """A call of node a, which may be recorded if the clients show that."""
    caller, callee = await town.connect(town.a, STUDENT), await town.connect(town.b, TUTOR)
    await town.say(caller, invitation(TUTOR, can_show_recording=shows))
    await town.say(callee, answer(can_show_recording=shows))
    await town.media_up(STUDENT, TUTOR)
    return caller, callee


@in_recording_town
async def test_a_call_of_another_node_is_recorded_and_that_is_ended(town: Town) -> None:
    caller, callee = await talking(town)
    call_id = call_of(caller)
    recording_id = await town.c.calls.orders.order(call_id)
    await town.settle()
    assert [one.last("call_recording")["recording_id"] for one in (caller, callee)] == [recording_id] * 2
    with pytest.raises(SignalingError) as refused:
        await town.c.calls.orders.order(call_id)
    assert refused.value.code == "wrong_state"
    assert await town.b.calls.orders.stop(call_id)
    await town.settle()
    assert [seen(one) for one in (caller, callee)] == ["stopped stopped"] * 2
    assert not await town.b.calls.orders.stop(call_id), "there is none any more"
    assert await town.b.calls.orders.order(NOBODYS) is None
    await town.say(caller, HANG_UP)


@in_recording_town
async def test_a_call_of_another_node_that_cannot_be_recorded_is_refused_with_the_reason(town: Town) -> None:
    caller, _ = await talking(town, shows=False)
    with pytest.raises(SignalingError) as refused:
        await town.c.calls.orders.order(call_of(caller))
    assert refused.value.code == "not_supported"
    await town.say(caller, HANG_UP)


@in_recording_town
async def test_a_recording_ends_at_once_that_a_policy_does_not_allow_which_was_set_at_another_node(town: Town) -> None:
    caller, callee = await talking(town)
    await town.c.calls.orders.order(call_of(caller))
    await town.c.calls.orders.set_policy(LESSON, RecordingPolicy.OFF)
    await town.settle()
    assert [seen(one) for one in (caller, callee)] == ["stopped stopped"] * 2
    await town.c.calls.orders.set_policy(LESSON, None)
    await town.settle()
    assert await town.c.calls.orders.order(call_of(caller))
    await town.say(caller, HANG_UP)


# -- all calls --------------------------------------------------------------------------------------------------------


async def two_calls(town: Town) -> list[tuple[Client, Client]]:
    """One of node a, and then one of node c."""
    first = await town.connected(town.a, town.b)
    parent, other = await town.connect(town.c, PARENT), await town.connect(town.b, STRANGER)
    town.a.directory.members[FAMILY].add(STRANGER)
    await town.say(parent, invitation(STRANGER, FAMILY))
    await town.say(other, answer(FAMILY))
    assert parent.types()[-1] == "call_state answered"
    return [first, (parent, other)]


@in_town
async def test_the_calls_of_all_nodes_are_listed_oldest_first(town: Town) -> None:
    calls = await two_calls(town)
    for node in town.nodes:
        found = await node.calls.orders.ongoing()
        assert [(one.node, one.caller) for one in found.calls] == [("a", STUDENT), ("c", PARENT)]
        assert found.unanswered == ()
        assert found.calls[0].started_at <= found.calls[1].started_at
    for caller, _ in calls:
        await town.say(caller, HANG_UP if caller.profile == STUDENT else frame("call_ended", FAMILY))


@in_town
async def test_a_list_of_calls_says_which_node_did_not_answer(town: Town) -> None:
    calls = await two_calls(town)
    town.bus.nodes[town.c.cluster.me].cut = True
    found = await town.b.calls.orders.ongoing()
    assert ([one.node for one in found.calls], found.unanswered) == (["a"], ("c",))
    town.bus.nodes[town.c.cluster.me].cut = False
    await town.settle()
    for caller, _ in calls:
        await town.say(caller, HANG_UP if caller.profile == STUDENT else frame("call_ended", FAMILY))


@in_town
async def test_more_calls_of_a_node_than_one_message_takes_are_listed(town: Town) -> None:
    town.a.calls.orders.listed = 1
    first, _ = await town.connected(town.a, town.b)
    parent = await town.connect(town.a, PARENT)
    await town.connect(town.b, STRANGER)
    town.a.directory.members[FAMILY].add(STRANGER)
    await town.say(parent, invitation(STRANGER, FAMILY))
    found = await town.c.calls.orders.ongoing()
    assert [one.caller for one in found.calls] == [STUDENT, PARENT]
    assert (await town.a.calls.orders.answer(ListCalls(""))) == CallsListed(
        tuple(sorted(found.calls, key=lambda one: one.call_id)[:1]), more=True
    )
    await town.say(first, HANG_UP)
    await town.say(parent, frame("call_ended", FAMILY))


# -- changes ----------------------------------------------------------------------------------------------------------


async def blocked(made: Orders) -> None:
    await made.block(STUDENT, TUTOR)


async def reviewed(made: Orders) -> None:
    await made.review(PARENTS_EVENING, LESSON)


async def removed(made: Orders) -> None:
    await made.remove(TUTOR)


@pytest.mark.parametrize(("change", "reason"), [(blocked, "hangup"), (reviewed, "terminated"), (removed, "terminated")])
@in_town
async def test_a_change_that_comes_to_another_node_ends_the_call_at_once(
    town: Town, change: Callable[[Orders], Awaitable[None]], reason: str
) -> None:
    caller, callee = await town.connected(town.a, town.b)
    town.a.directory.members[LESSON].discard(TUTOR)
    await change(town.c.calls.orders)
    await town.settle()
    assert [one.types()[-1] for one in (caller, callee)] == [f"call_ended {reason}"] * 2
    assert await town.ends() == [(STUDENT.profile_id, "ended", reason)]


@in_town
async def test_a_block_at_another_node_ends_no_other_call(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    await town.c.calls.orders.block(STUDENT, PARENT)
    await town.settle()
    assert callee.types()[-1] == "call_state connected"
    await town.say(caller, HANG_UP)


@in_town
async def test_who_is_deleted_at_another_node_while_it_calls_leaves_no_missed_call(town: Town) -> None:
    caller, callee = await town.ringing(town.a, town.b)
    connection = caller.connection
    await town.c.calls.orders.remove(STUDENT)
    await town.settle()
    assert callee.types() == ["call_invitation", "call_ended rejected"]
    assert connection is not None and connection.closed == CREDENTIAL_OVER


@in_town
async def test_what_a_profile_did_in_a_call_of_another_node_is_written_before_its_deletion_is_over(town: Town) -> None:
    await town.connected(town.a, town.b)
    await town.c.calls.orders.remove(TUTOR)
    [row] = town.a.logs[LESSON.kind].entries.values()
    assert row.status == "ended"


@in_town
async def test_a_deletion_is_not_over_while_the_node_with_the_call_does_not_answer(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    town.bus.nodes[town.a.cluster.me].cut = True
    connection = callee.connection
    with pytest.raises(Unavailable):
        await town.b.calls.orders.remove(TUTOR)
    assert connection is not None and connection.closed == CREDENTIAL_OVER, "it is sent away all the same"
    town.bus.nodes[town.a.cluster.me].cut = False
    await town.settle()
    assert caller.types()[-1] == "call_ended terminated"
