"""A call across nodes: caller, callee and further devices are each with another one."""

from relay.cluster.messages import FromDevice, ToDevice
from tests.signaling.cluster.town import Town, in_town
from tests.signaling.people import (
    DECLINE,
    HANG_UP,
    LESSON,
    PARENT,
    PARENTS_EVENING,
    STUDENT,
    TUTOR,
    answer,
    answered,
    error,
    frame,
    invitation,
    offered,
)


@in_town
async def test_a_call_of_two_nodes_is_owned_by_the_callers_and_goes_like_any_other(town: Town) -> None:
    caller, callee = await town.ringing(town.a, town.b)
    assert town.owner(TUTOR) is town.a
    await town.say(callee, answer())
    await town.media_up(STUDENT, TUTOR)
    assert caller.types() == ["call_state ringing", "call_answer", "call_state answered", "call_state connected"]
    assert callee.types() == ["call_invitation", "call_state answered", "call_state connected"]
    await town.say(callee, frame("call_chat", LESSON, text="hello"))
    await town.say(caller, frame("call_hold", LESSON))
    assert caller.types()[-2:] == ["call_chat", "call_state connected"]
    assert callee.types()[-3:] == ["call_chat", "call_hold", "call_state connected"]
    await town.say(callee, HANG_UP)
    assert caller.types()[-1] == "call_ended hangup"
    assert callee.types()[-1] == "call_state ended"
    assert await town.ends() == [(STUDENT.profile_id, "ended", "hangup")]


@in_town
async def test_all_devices_of_the_callee_ring_and_the_others_stop_when_one_answers(town: Town) -> None:
    at_a, at_c = await town.connect(town.a, TUTOR), await town.connect(town.c, TUTOR, takes=("call_elsewhere",))
    caller, at_b = await town.ringing(town.a, town.b)
    assert at_a.types() == at_c.types() == ["call_invitation"]
    await town.say(at_c, answer())
    assert at_a.types() == at_b.types() == ["call_invitation", "call_ended answered_elsewhere"]
    assert caller.types()[-1] == at_c.types()[-1] == "call_state answered"
    await town.say(at_b, answer())
    assert error(at_b) == "wrong_state"
    await town.say(caller, HANG_UP)
    assert at_c.types()[-1] == "call_ended hangup"


@in_town
async def test_a_device_that_connects_to_another_node_while_it_rings_rings_too(town: Town) -> None:
    caller, _ = await town.ringing(town.a, town.b)
    late = await town.connect(town.c, TUTOR)
    assert late.types() == ["call_invitation"]
    await town.say(late, answer())
    assert caller.types()[-1] == "call_state answered"
    await town.say(late, HANG_UP)


@in_town
async def test_the_callee_declines_at_another_node(town: Town) -> None:
    caller, callee = await town.ringing(town.a, town.b)
    await town.say(callee, DECLINE)
    assert caller.types()[-1] == "call_declined rejected"
    assert callee.types()[-1] == "call_state ended"
    assert await town.ends() == [(STUDENT.profile_id, "missed", "rejected")]


@in_town
async def test_a_call_that_crosses_and_is_declined_costs_three_messages_and_two_commands(town: Town) -> None:
    """The invitation, the answer to it and the end; and the claim and its release."""
    caller, callee = await town.connect(town.a, STUDENT), await town.connect(town.b, TUTOR)
    before = town.bus.commands
    await town.say(caller, invitation(TUTOR))
    await town.say(callee, DECLINE)
    assert caller.types()[-1] == "call_declined rejected"
    assert ([type(one) for _, _, one in town.bus.log], town.bus.asked) == ([ToDevice, FromDevice, ToDevice], [])
    assert town.bus.commands - before == 2


@in_town
async def test_in_a_call_no_message_of_a_client_asks_the_engine_where_it_belongs(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    before = town.bus.commands
    await town.say(callee, frame("call_chat", LESSON, text="hello"), frame("call_hold", LESSON), frame("call_resume", LESSON))
    await town.say(callee, HANG_UP)
    assert caller.types()[-1] == "call_ended hangup"
    assert town.bus.commands - before == 1, "the release"


@in_town
async def test_the_callee_is_offline_if_it_has_no_device_at_any_node(town: Town) -> None:
    caller = await town.connect(town.a, STUDENT)
    await town.say(caller, invitation(TUTOR))
    assert caller.types() == ["call_declined offline"]
    assert [callee for _, callee in town.a.waker.woken] == [TUTOR], "it is woken"


@in_town
async def test_the_callee_is_not_woken_by_a_push_message_if_it_has_a_device_at_another_node(town: Town) -> None:
    caller, _ = await town.ringing(town.a, town.b)
    assert town.a.waker.woken == []
    await town.say(caller, HANG_UP)
    assert town.a.waker.told == []


@in_town
async def test_a_callee_in_a_call_of_another_node_is_busy_and_hears_that_it_missed_one(town: Town) -> None:
    _, callee = await town.ringing(town.a, town.b)
    await town.say(callee, answer())
    parent = await town.connect(town.c, PARENT)
    await town.say(parent, invitation(TUTOR, PARENTS_EVENING))
    assert parent.types() == ["call_declined busy"]
    assert callee.types()[-1] == "call_missed busy"
    assert [row[1:] for row in await town.ends()] == [("answered", None), ("missed", "busy")]
    await town.say(callee, HANG_UP)


@in_town
async def test_an_offer_in_mid_call_crosses_nodes_both_ways(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    await town.say(callee, offered())
    assert caller.types()[-1] == "call_update offer"
    await town.say(caller, answered())
    assert callee.types()[-1] == "call_update answer"
    await town.say(caller, offered())
    await town.say(callee, answered())
    assert caller.types()[-1] == "call_update answer"
    await town.say(caller, HANG_UP)


@in_town
async def test_what_is_wrong_with_a_message_is_answered_at_the_node_that_it_came_to(town: Town) -> None:
    _, callee = await town.ringing(town.a, town.b)
    await town.say(callee, "nonsense")
    assert error(callee) == "malformed"
    await town.say(callee, frame("call_hold", LESSON))
    assert error(callee) == "wrong_state"
    await town.say(callee, frame("call_hold", PARENTS_EVENING))
    assert error(callee) == "no_call"
    await town.say(callee, '{"type":"ping"}')
    assert callee.types()[-1] == "pong"


@in_town
async def test_a_caller_calls_again_from_another_node_and_it_stays_one_call(town: Town) -> None:
    caller, callee = await town.ringing(town.a, town.b)
    again = await town.connect(town.c, STUDENT)
    await town.say(again, invitation(TUTOR))
    assert again.types() == ["call_state ringing"]
    assert caller.types()[-1] == "call_ended answered_elsewhere"
    assert town.owner(STUDENT) is town.a
    await town.say(callee, answer())
    assert again.types()[-2:] == ["call_answer", "call_state answered"]
    await town.say(again, HANG_UP)
    assert await town.ends() == [(STUDENT.profile_id, "ended", "hangup")]


@in_town
async def test_the_devices_of_a_profile_are_counted_at_all_nodes(town: Town) -> None:
    for node in town.nodes:
        await town.connect(node, TUTOR)
    away = await town.connect(town.b, TUTOR)
    await town.lose(away)
    assert [await node.calls.devices_of(TUTOR) for node in town.nodes] == [3, 3, 3]
    caller = await town.connect(town.a, STUDENT)
    await town.say(caller, invitation(TUTOR))
    assert await town.a.calls.devices_of(TUTOR) == 3, "those that its call knows are not counted twice"
    await town.say(caller, HANG_UP)
    town.bus.nodes[town.a.cluster.me].cut = True
    assert await town.a.calls.devices_of(TUTOR) == 1, "its own, while it cannot ask"
    town.bus.nodes[town.a.cluster.me].cut = False
    await town.settle()
