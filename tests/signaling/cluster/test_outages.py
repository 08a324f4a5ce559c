"""Nodes that die, messages between nodes that are lost, and an engine that is away."""

import asyncio

import pytest

from relay.cluster.messages import Blocked, Came, Gone, ToDevice
from relay.signaling.calls.draining import COME_BACK
from tests.signaling.cluster.town import Town, in_town
from tests.signaling.harness import MemoryHarness
from tests.signaling.people import HANG_UP, LESSON, PARENT, STUDENT, TIMERS, TUTOR, Client, answer, frame, invitation

CHAT = frame("call_chat", LESSON, text="hello")


async def come_back(town: Town, client: Client, node: MemoryHarness) -> Client:
    """The client reconnects as its library does: with its token, to whichever node it gets to."""
    if client.connection is not None:
        client.lost()
    again = await town.connect(node, client.profile, client.version, takes=client.takes, resume=client.token)
    await town.settle()
    return again


# -- a home dies ------------------------------------------------------------------------------------------------------


@in_town
async def test_when_the_home_of_a_party_dies_its_client_has_the_call_again_at_another_node(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    await town.kill(town.b)
    await town.notice(town.b)
    again = await come_back(town, callee, town.c)
    assert not again.welcome["resumed"]
    assert again.last("call_state")["yours"] is True
    await town.say(caller, CHAT)
    assert again.types()[-1] == "call_chat"
    await town.say(again, HANG_UP)
    assert caller.types()[-1] == "call_ended hangup"


@in_town
async def test_a_client_that_is_back_before_the_death_of_its_home_was_noticed_has_the_call_again_too(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    await town.kill(town.b)
    again = await come_back(town, callee, town.c)
    await asyncio.sleep(5)
    await town.settle()
    assert again.last("call_state")["yours"] is True
    await town.notice(town.b)
    await town.say(again, HANG_UP)
    assert caller.types()[-1] == "call_ended hangup"


@in_town
async def test_a_party_that_does_not_come_back_after_the_death_of_its_home_ends_the_call(town: Town) -> None:
    caller, _ = await town.connected(town.a, town.b)
    await town.kill(town.b)
    await town.notice(town.b)
    await asyncio.sleep(TIMERS.signaling_grace - 1)
    assert caller.types()[-1] == "call_state connected"
    await asyncio.sleep(2)
    assert caller.types()[-1] == "call_ended signaling_lost"


@in_town
async def test_a_callee_whose_only_home_dies_while_it_rings_is_offline_soon(town: Town) -> None:
    caller, _ = await town.ringing(town.a, town.b)
    await town.kill(town.b)
    await town.notice(town.b)
    await asyncio.sleep(TIMERS.vanished_grace + 1)
    assert caller.types()[-1] == "call_declined offline"


@in_town
async def test_a_callee_that_is_back_in_time_rings_again(town: Town) -> None:
    caller, callee = await town.ringing(town.a, town.b)
    await town.kill(town.b)
    await town.notice(town.b)
    again = await come_back(town, callee, town.c)
    assert again.types() == ["call_invitation"]
    await town.say(again, answer())
    assert caller.types()[-1] == "call_state answered"
    await town.say(caller, HANG_UP)


# -- messages are lost ------------------------------------------------------------------------------------------------


@in_town
async def test_a_device_that_may_have_missed_something_begins_anew_and_has_its_call(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    connection = callee.connection
    town.bus.lose_next = 1
    await town.say(caller, CHAT)
    assert callee.types()[-1] == "call_state connected", "it does not know"
    await town.say(caller, CHAT)
    assert connection is not None and connection.closed == COME_BACK
    again = await come_back(town, callee, town.b)
    assert not again.welcome["resumed"], "it is told that it missed something"
    assert again.last("call_state")["yours"] is True
    await town.say(caller, CHAT, HANG_UP)
    assert again.types()[-2:] == ["call_chat", "call_ended hangup"]


@in_town
async def test_when_the_end_of_a_call_is_lost_the_device_learns_that_it_has_none(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    town.bus.lose_next = 1
    await town.say(caller, HANG_UP)
    bystander = await town.connect(town.b, STUDENT)
    await town.connect(town.a, TUTOR)
    await town.say(caller, invitation(TUTOR))
    assert bystander.types() == []
    again = await come_back(town, callee, town.b)
    assert not again.welcome["resumed"]
    assert again.types()[0] == "call_invitation", "of the next call"
    await town.say(caller, HANG_UP)


@in_town
async def test_an_owner_that_may_have_missed_what_devices_said_has_them_begin_anew(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    connection = callee.connection
    town.bus.lose_next = 1
    await town.say(callee, CHAT)
    await town.say(callee, CHAT)
    assert connection is not None and connection.closed == COME_BACK
    again = await come_back(town, callee, town.c)
    assert again.last("call_state")["yours"] is True
    await town.say(again, HANG_UP)
    assert caller.types()[-1] == "call_ended hangup"


@pytest.mark.parametrize("engine_was_away", [False, True])
@in_town
async def test_an_owner_that_did_not_hear_that_a_device_has_moved_finds_that_out(town: Town, engine_was_away: bool) -> None:
    """It went on telling the former home, which then stopped."""
    caller, callee = await town.ringing(town.a, town.b)
    town.bus.loses = lambda _sender, _to, message: isinstance(message, Came)
    connection = await town.resume(callee, town.c)
    town.bus.loses = lambda _sender, _to, _message: False
    if engine_was_away:
        town.bus.fence(town.a.cluster.me)
        town.bus.regain(town.a.cluster.me)
    else:
        town.c.cluster.post(town.a.cluster.me, Blocked(PARENT, STUDENT))
    await town.settle()
    if not engine_was_away:
        assert connection.closed == COME_BACK, "what it has said since may be lost, too"
        callee = await come_back(town, callee, town.c)
    await town.kill(town.b)
    await town.notice(town.b)
    await town.say(caller, HANG_UP)
    assert "call_ended cancelled" in callee.types()


@in_town
async def test_a_message_to_a_device_that_is_not_there_is_counted_and_the_sender_learns_it(town: Town) -> None:
    me = town.a.cluster.me
    town.a.cluster.post(town.b.cluster.me, ToDevice("f0" * 16, b"{}", False, me, 1, 1))
    await town.settle()
    assert town.b.calls.membership.counters["unknown_devices"] == 1
    assert town.posted(Gone) == 1


@pytest.mark.parametrize("said", [b"", b"\xff", b"[]", b'{"type":"dance"}', b'{"type":"call_hold"}', b"x" * 70_000])
@in_town
async def test_a_frame_from_another_node_is_still_a_clients_and_is_looked_at_again(town: Town, said: bytes) -> None:
    caller, callee = await town.connected(town.a, town.b)
    town.b.calls._context.forward(callee.device, town.a.cluster.me, said)
    await town.settle()
    assert callee.types()[-1].startswith("error")
    await town.say(caller, HANG_UP)


# -- the engine is away -----------------------------------------------------------------------------------------------


@in_town
async def test_a_node_without_the_engine_goes_on_with_its_calls_and_begins_none(town: Town) -> None:
    caller, callee = await town.connect(town.a, STUDENT), await town.connect(town.a, TUTOR)
    await town.say(caller, invitation(TUTOR))
    await town.say(callee, answer())
    town.bus.fence(town.a.cluster.me)
    await town.say(caller, CHAT)
    assert callee.types()[-1] == "call_chat"
    await town.say(caller, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"
    await town.say(caller, invitation(TUTOR))
    assert caller.last("error")["code"] == "unavailable"
    town.bus.regain(town.a.cluster.me)
    await town.settle()
    await town.say(caller, invitation(TUTOR))
    assert callee.types()[-1] == "call_invitation"
    await town.say(caller, HANG_UP)


@in_town
async def test_a_device_that_connects_while_the_engine_is_away_is_found_once_it_is_back(town: Town) -> None:
    town.bus.fence(town.b.cluster.me)
    connecting = asyncio.ensure_future(town.connect(town.b, TUTOR))
    await asyncio.sleep(5)
    callee = await connecting
    town.bus.regain(town.b.cluster.me)
    await town.settle()
    caller = await town.connect(town.a, STUDENT)
    await town.say(caller, invitation(TUTOR))
    assert callee.types() == ["call_invitation"]
    await town.say(caller, HANG_UP)


@in_town
async def test_a_device_whose_call_has_ended_while_its_home_was_taken_for_lost_begins_anew(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    town.bus.fence(town.b.cluster.me)
    await town.notice(town.b)
    await asyncio.sleep(TIMERS.signaling_grace + 5)
    assert caller.types()[-1] == "call_ended signaling_lost"
    assert callee.types()[-1] == "call_state connected", "no node can tell it"
    town.bus.regain(town.b.cluster.me)
    await town.settle()
    assert callee.connection is not None and callee.connection.closed == 1012
    back = await come_back(town, callee, town.b)
    assert not back.welcome["resumed"]
    assert "call_state" not in " ".join(back.types())
    again = back.connection
    town.bus.fence(town.b.cluster.me)
    town.bus.regain(town.b.cluster.me)
    await town.settle()
    assert again is not None and again.closed is None, "once"


@in_town
async def test_a_home_that_was_taken_for_lost_says_that_its_devices_are_there(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    town.bus.fence(town.b.cluster.me)
    await town.notice(town.b)
    await asyncio.sleep(TIMERS.signaling_grace - 5)
    town.bus.regain(town.b.cluster.me)
    await town.settle()
    await asyncio.sleep(TIMERS.signaling_grace)
    assert caller.types()[-1] == "call_state connected"
    await town.say(callee, HANG_UP)
    assert caller.types()[-1] == "call_ended hangup"


@in_town
async def test_devices_without_a_call_cost_other_nodes_no_message(town: Town) -> None:
    client = await town.connect(town.b, TUTOR)
    await town.lose(client)
    await town.resume(client, town.b)
    assert town.bus.log == []


@in_town
async def test_what_a_device_says_while_its_home_is_cut_off_reaches_the_owner_later(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    node = town.bus.nodes[town.b.cluster.me]
    node.cut = True
    saying = asyncio.create_task(town.say(callee, CHAT))
    await asyncio.sleep(1)
    assert callee.types()[-1] == "call_state connected"
    node.cut = False
    await saying
    await town.settle()
    assert caller.types()[-1] == callee.types()[-1] == "call_chat"
    await town.say(callee, HANG_UP)


@in_town
async def test_what_a_device_says_reaches_the_owner_although_the_engine_has_come_back_empty(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    town.bus.claims.clear()
    await town.say(callee, HANG_UP)
    assert caller.types()[-1] == "call_ended hangup"


@in_town
async def test_a_device_that_comes_before_the_engine_has_its_call_again_gets_the_call_once_it_has(town: Town) -> None:
    """The engine came back empty; messages are lost, so the device begins anew; and the owner has not written its claims yet."""
    caller, callee = await town.connected(town.a, town.b)
    claims = dict(town.bus.claims)
    town.bus.claims.clear()
    again = await come_back_anew(town, callee)
    assert "call_state" not in again.types()
    town.bus.claims.update(claims)
    town.bus.nodes[town.a.cluster.me].member.restored()
    await town.settle()
    assert again.last("call_state")["yours"] is True
    await town.say(caller, CHAT)
    assert again.types()[-1] == "call_chat"
    await town.say(caller, HANG_UP)


async def come_back_anew(town: Town, client: Client) -> Client:
    """Its home sends it away, since messages to it are lost."""
    town.bus.nodes[town.b.cluster.me].member.missed(town.a.cluster.me)
    await town.settle()
    return await come_back(town, client, town.b)
