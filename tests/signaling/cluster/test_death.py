"""The node that owns a call dies: another one goes on with it, and both parties are back by themselves."""

import asyncio
from dataclasses import replace

import msgspec
import pytest

from relay.sdp.parse import parse_sdp
from relay.signaling.calls.extensions import CallFacts
from relay.signaling.calls.hooks import HookRunner
from tests.signaling.cluster.test_outages import CHAT, come_back
from tests.signaling.cluster.town import Town, in_town
from tests.signaling.harness import MemoryHarness
from tests.signaling.people import DECLINE, HANG_UP, LESSON, STUDENT, TIMERS, TUTOR, Client, answer, answered, frame, invitation

LEASE = 9.0
"""Seconds until others notice."""

REJOIN = frame("call_rejoin", LESSON)


async def die(town: Town, node: MemoryHarness) -> None:
    await asyncio.sleep(1.5)  # what has happened is known to a successor by then
    await town.kill(node)
    await asyncio.sleep(LEASE)
    await town.notice(node)


def asked_to_rejoin(client: Client) -> bool:
    last = client.received[-1] if client.received else {"type": "nothing"}
    return bool(last["type"] == "call_state" and last["yours"] is False and last["state"] == "reconnecting")


def new_answer(client: Client) -> str:
    offer = parse_sdp(client.last("call_update")["offer"]["sdp"])
    role = "active" if offer.transport.role != "active" else "passive"
    return answered(client.last("call_update")["offer"]["sdp"].replace(f"a=setup:{offer.transport.role}", f"a=setup:{role}"))


async def rejoin(town: Town, client: Client) -> None:
    """As its library does, when it is told that it may."""
    assert asked_to_rejoin(client), client.types()
    await town.say(client, REJOIN)
    assert "call_update offer" in client.types()[-2:]
    await town.say(client, new_answer(client))


@in_town
async def test_when_the_owner_dies_the_call_goes_on_at_the_home_of_a_party(town: Town) -> None:
    caller, callee = await town.connected(town.b, town.c)
    assert town.owner(STUDENT) is town.b
    [row] = await town.rows()
    await asyncio.sleep(20)
    again_at = row.answered_at
    await die(town, town.b)
    assert town.owner(TUTOR) is town.c, "the home of the callee"
    back = await come_back(town, caller, town.a)
    first, second = sorted((back, callee), key=asked_to_rejoin, reverse=True)
    assert not asked_to_rejoin(second), "one after the other"
    await rejoin(town, first)
    await rejoin(town, second)
    assert first.types()[-1] == "call_update offer", "with the other one's new streams"
    await town.say(first, new_answer(first))
    await town.media_up(STUDENT, TUTOR)
    assert back.types()[-1] == callee.types()[-1] == "call_state connected"
    await town.say(back, CHAT)
    assert callee.types()[-1] == "call_chat"
    await asyncio.sleep(10)
    await town.say(callee, HANG_UP)
    assert back.types()[-1] == "call_ended hangup"
    [row] = await town.rows()
    assert (row.status, row.end_reason, row.answered_at) == ("ended", "hangup", again_at)
    assert row.owner_epoch == town.c.cluster.me.incarnation
    assert row.duration_seconds == 40
    assert town.c.calls.membership.counters["calls_taken_over"] == 1


@in_town
async def test_a_call_whose_parties_are_both_elsewhere_is_taken_over_by_one_of_their_homes(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    await town.lose(caller)
    await town.resume(caller, town.c)
    await die(town, town.a)
    owner = town.owner(STUDENT)
    assert owner in (town.b, town.c)
    assert town.call_count - town.a.calls.call_count == 1
    await rejoin(town, caller)
    await rejoin(town, callee)
    await town.say(caller, new_answer(caller), HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"
    assert await town.ends() == [(STUDENT.profile_id, "ended", "hangup")]


@in_town
async def test_a_call_of_clients_that_were_all_with_the_dead_node_goes_on_where_they_come_back(town: Town) -> None:
    caller, callee = await town.connected(town.b, town.b)
    await die(town, town.b)
    assert town.owner(STUDENT) in (None, town.b)
    back = await come_back(town, caller, town.a)
    assert town.owner(STUDENT) is town.a
    other = await come_back(town, callee, town.c)
    await rejoin(town, back)
    await rejoin(town, other)
    await town.say(other, HANG_UP)
    assert back.types()[-1] == "call_ended hangup"


@in_town
async def test_clients_that_are_back_before_the_death_is_noticed_have_their_call_once_it_is(town: Town) -> None:
    caller, callee = await town.connected(town.b, town.b)
    await asyncio.sleep(1.5)
    await town.kill(town.b)
    back, other = await come_back(town, caller, town.a), await come_back(town, callee, town.c)
    [row] = await town.rows()
    assert back.welcome["call_id"] == other.welcome["call_id"] == row.call_id, "so that they wait for it"
    await asyncio.sleep(LEASE)
    await town.notice(town.b)
    await asyncio.sleep(1)
    await rejoin(town, back)
    await rejoin(town, other)
    await town.say(back, HANG_UP)
    assert other.types()[-1] == "call_ended hangup"
    assert await town.ends() == [(STUDENT.profile_id, "ended", "hangup")]


@in_town
async def test_an_ice_restart_that_was_asked_for_when_the_owner_died_is_refused_and_disturbs_no_return(town: Town) -> None:
    """Its offer would be of a session that no peer connection belongs to, and be taken for the one that was asked for."""
    _, callee = await town.connected(town.b, town.c)
    await die(town, town.b)
    assert asked_to_rejoin(callee)
    await town.say(callee, frame("call_restart", LESSON))
    assert callee.types()[-1] == "error update_glare"
    await town.say(callee, REJOIN)
    assert callee.types().count("call_update offer") == 1
    await town.say(callee, new_answer(callee))
    assert "error" not in callee.types()[-1]


@in_town
async def test_a_version_1_client_hears_that_the_call_has_ended(town: Town) -> None:
    _, callee = await town.connected(town.a, town.b, version=1)
    await die(town, town.a)
    assert callee.types()[-1] == "call_ended expired"
    assert await town.ends() == [(STUDENT.profile_id, "ended", "expired")]


@in_town
async def test_a_call_that_rings_goes_on_ringing_and_is_answered(town: Town) -> None:
    caller, callee = await town.connect(town.c, STUDENT), await town.connect(town.b, TUTOR)
    await town.say(caller, invitation(TUTOR))
    await town.lose(caller)
    await town.resume(caller, town.a)
    await die(town, town.c)
    assert callee.types() == ["call_invitation", "call_invitation"], "with an offer of the successor"
    await town.say(callee, answer())
    assert caller.types()[-2:] == ["call_answer", "call_state answered"]
    await town.say(caller, HANG_UP)
    assert await town.ends() == [(STUDENT.profile_id, "ended", "hangup")]


@in_town
async def test_a_call_that_has_rung_long_enough_is_missed(town: Town) -> None:
    _, callee = await town.ringing(town.a, town.b)
    await asyncio.sleep(TIMERS.ring_timeout - LEASE)
    await die(town, town.a)
    assert callee.types()[1:] == ["call_ended no_answer", "call_missed no_answer"]
    assert await town.ends() == [(STUDENT.profile_id, "missed", "no_answer")]


@in_town
async def test_a_call_that_was_answered_a_moment_before_goes_on(town: Town) -> None:
    caller, callee = await town.ringing(town.a, town.b)
    await town.say(callee, answer())
    await town.kill(town.a)
    await asyncio.sleep(LEASE)
    await town.notice(town.a)
    back = await come_back(town, caller, town.c)
    first, second = sorted((back, callee), key=asked_to_rejoin, reverse=True)
    await rejoin(town, first)
    await rejoin(town, second)
    await town.say(back, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"


@in_town
async def test_a_call_that_has_just_begun_rings_on(town: Town) -> None:
    caller, callee = await town.ringing(town.a, town.b)
    await town.kill(town.a)
    await asyncio.sleep(LEASE)
    await town.notice(town.a)
    back = await come_back(town, caller, town.c)
    await town.say(callee, answer())
    assert back.types()[-2:] == ["call_answer", "call_state answered"]
    await town.say(callee, HANG_UP)


class Noting:
    """Hooks that note what they are told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, CallFacts]] = []

    async def call_started(self, call: CallFacts) -> None:
        self.told.append(("started", call))

    async def call_answered(self, call: CallFacts) -> None:
        self.told.append(("answered", call))

    async def call_ended(self, call: CallFacts) -> None:
        self.told.append(("ended", call))


def noted(node: MemoryHarness, hooks: Noting) -> HookRunner:
    context, runner = node.calls._context, HookRunner(hooks)
    context.ports = replace(context.ports, hooks=runner)
    return runner


@in_town
async def test_the_successor_tells_an_embedding_program_how_the_call_has_ended(town: Town) -> None:
    hooks = Noting()
    for node in town.nodes:
        noted(node, hooks)
    caller, callee = await town.connected(town.a, town.b)
    await asyncio.sleep(20)
    await die(town, town.a)
    back = await come_back(town, caller, town.c)
    await rejoin(town, min(back, callee, key=lambda one: not asked_to_rejoin(one)))
    await town.say(callee, HANG_UP)
    assert [what for what, _ in hooks.told] == ["started", "answered", "ended"]
    (_, before), (_, over) = hooks.told[1:]
    assert (over.call_id, over.started_at, over.answered_at) == (before.call_id, before.started_at, before.answered_at)
    assert (over.reason, over.duration_seconds) == ("hangup", 30)


@in_town
async def test_a_node_from_which_a_call_was_taken_tells_no_embedding_program_of_its_end_and_remembers_nothing(town: Town) -> None:
    hooks = Noting()
    runner = noted(town.a, hooks)
    _, callee = await town.connected(town.a, town.b)
    town.bus.fence(town.a.cluster.me)
    await asyncio.sleep(LEASE)
    await town.notice(town.a)
    await asyncio.sleep(6)
    assert town.a.calls.call_count == 0
    assert [what for what, _ in hooks.told] == ["started", "answered"]
    assert runner._calls == {}
    town.bus.regain(town.a.cluster.me)
    await town.say(callee, HANG_UP)


@pytest.mark.parametrize("moves", [False, True])
@in_town
async def test_a_device_whose_call_is_over_stays_when_the_node_that_had_it_dies(town: Town, moves: bool) -> None:
    caller, callee = await town.connected(town.a, town.b)
    await town.say(caller, HANG_UP)
    if moves:
        await town.lose(callee)
        await town.resume(callee, town.c)
    connection = callee.connection
    await die(town, town.a)
    assert connection is not None and connection.closed is None


@in_town
async def test_a_device_that_moves_and_does_not_know_that_its_call_is_over_learns_it_when_the_owner_dies(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    await town.lose(callee)
    await town.resume(callee, town.c)
    town.bus.lose_next = 5
    await town.say(caller, HANG_UP)
    town.bus.lose_next = 0
    await die(town, town.a)
    assert callee.connection is not None and callee.connection.closed == 1012


@in_town
async def test_the_successor_ends_a_call_to_which_no_party_comes_back(town: Town) -> None:
    _, callee = await town.connected(town.a, town.b)
    await die(town, town.a)
    await town.lose(callee)
    await asyncio.sleep(2 * TIMERS.media_grace)
    assert [row[1:] for row in await town.ends()] == [("ended", "ice_timeout")]


@in_town
async def test_a_device_whose_call_had_ended_when_its_owner_died_learns_that_it_has_none(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    connection = callee.connection
    town.bus.lose_next = 5
    await town.say(caller, HANG_UP)
    town.bus.lose_next = 0
    await die(town, town.a)
    assert connection is not None and connection.closed == 1012
    back = await come_back(town, callee, town.b)
    assert not back.welcome["resumed"]
    assert "call_state" not in " ".join(back.types())


@in_town
async def test_an_owner_that_was_only_slow_writes_and_says_nothing_more_of_the_call(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    await asyncio.sleep(1.5)
    town.bus.fence(town.a.cluster.me)
    await asyncio.sleep(LEASE)
    await town.notice(town.a)
    assert town.owner(TUTOR, but=town.a) is town.b
    heard = len(callee.received)
    await asyncio.sleep(6)
    assert town.a.calls.call_count == 0, "its heartbeat has found out"
    assert len(callee.received) == heard
    await town.resume(caller, town.a)  # it reaches no other
    town.bus.regain(town.a.cluster.me)
    await town.settle()
    await rejoin(town, callee)
    await rejoin(town, caller)
    await town.say(caller, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"
    assert await town.ends() == [(STUDENT.profile_id, "ended", "hangup")]


@in_town
async def test_parties_with_a_node_that_others_take_for_dead_are_sent_to_one_that_has_their_call(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    await asyncio.sleep(1.5)
    town.bus.fence(town.a.cluster.me)
    await asyncio.sleep(LEASE)
    before = caller.connection
    assert before is not None
    await town.notice(town.a)
    await asyncio.sleep(2)
    assert before.closed == 1012
    again = await town.resume(caller, town.a)
    await asyncio.sleep(2)
    assert again.closed == 1012, "as often as it comes to the node that cannot help it"
    assert callee.connection is not None and callee.connection.closed is None
    back = await come_back(town, caller, town.c)
    await rejoin(town, callee)
    await rejoin(town, back)
    await town.media_up(STUDENT, TUTOR)
    assert callee.types()[-1] == back.types()[-1] == "call_state connected"
    town.bus.regain(town.a.cluster.me)
    await town.settle()
    await asyncio.sleep(2 * TIMERS.signaling_grace)
    assert town.owner(STUDENT) is town.b, "that its former device is gone is no news"
    await town.say(back, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"


@in_town
async def test_what_an_owner_has_said_while_it_was_taken_for_dead_is_not_heard_once_it_is_back(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    town.bus.fence(town.a.cluster.me)
    await asyncio.sleep(LEASE - 1)
    speaking = asyncio.create_task(town.say(caller, CHAT))
    await asyncio.sleep(1)
    await town.notice(town.a)
    await asyncio.sleep(6)
    heard = callee.types()
    await town.resume(caller, town.a)  # it reaches no other
    town.bus.regain(town.a.cluster.me)
    await speaking
    await town.settle()
    assert callee.types() == heard, "the successor speaks for the call"
    await rejoin(town, callee)
    await rejoin(town, caller)
    await town.say(caller, CHAT, HANG_UP)
    assert callee.types()[-2:] == ["call_chat", "call_ended hangup"]


@in_town
async def test_a_device_that_was_cut_off_with_its_node_while_its_call_ended_elsewhere_learns_that_it_has_none(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    town.bus.fence(town.a.cluster.me)
    await asyncio.sleep(LEASE)
    await town.notice(town.a)
    await asyncio.sleep(6)
    await town.say(callee, HANG_UP)
    assert caller.types()[-1] == "call_state connected", "no node can tell it"
    await town.resume(caller, town.a)  # it reaches no other
    town.bus.regain(town.a.cluster.me)
    await town.settle()
    assert caller.connection is not None and caller.connection.closed == 1012
    back = await come_back(town, caller, town.a)
    assert not back.welcome["resumed"]
    assert "call_state" not in " ".join(back.types())


@pytest.mark.parametrize("kept", [b"", b"\xff", msgspec.msgpack.encode([2]), None])
@in_town
async def test_a_call_whose_sheet_is_of_no_use_ends_and_its_devices_begin_anew(town: Town, kept: bytes | None) -> None:
    _, callee = await town.connected(town.a, town.b)
    await asyncio.sleep(1.5)
    await town.kill(town.a)
    [call_id] = town.bus.sheets
    if kept is None:
        town.bus.sheets.clear()
    else:
        town.bus.sheets[call_id] = kept
    await town.notice(town.a)
    back = await come_back(town, callee, town.b)
    assert not back.welcome["resumed"]
    await asyncio.sleep(60)
    assert [row[1:] for row in await town.ends()] == [("ended", "expired")]


@in_town
async def test_the_callee_declines_at_the_successor(town: Town) -> None:
    _, callee = await town.ringing(town.a, town.b)
    await die(town, town.a)
    await town.say(callee, DECLINE)
    assert callee.types()[-1] == "call_state ended"
    assert town.owner(TUTOR, but=town.a) is None
