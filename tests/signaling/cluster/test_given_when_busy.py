"""A node that stops gives its calls to others, which are slow to take them, or cannot: none is lost between the two."""

import asyncio

from relay.ids import Profile, Scope, ScopeKind
from relay.signaling.calls.draining import SPREAD, TICK
from relay.signaling.calls.moving import ASKED_AT_ONCE, PAUSE
from tests.kit.bus import ASK_TIMEOUT
from tests.signaling.cluster.test_given_calls import SOON, follow
from tests.signaling.cluster.town import Town, in_town
from tests.signaling.people import HANG_UP, STUDENT, invitation


@in_town
async def test_a_node_that_is_slow_to_say_that_it_cannot_take_a_call_leaves_it_where_it_is(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    for node in (town.b, town.c):
        node.logs[ScopeKind.CONVERSATION].delay, node.logs[ScopeKind.CONVERSATION].is_away = ASK_TIMEOUT + 0.5, True
    town.a.calls.draining.begin(0)
    await asyncio.sleep(ASK_TIMEOUT + 0.2)
    for node in (town.b, town.c):
        node.logs[ScopeKind.CONVERSATION].delay = 0.0
    await asyncio.sleep(1)
    assert town.owner(STUDENT) is town.a
    assert {one.owner for one in town.bus.claims.values()} == {town.a.cluster.me}
    assert (await town.rows())[0].owner_epoch == town.a.cluster.me.incarnation
    await town.say(caller, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"
    for node in (town.b, town.c):
        node.logs[ScopeKind.CONVERSATION].is_away = False


@in_town
async def test_a_node_that_is_slow_to_take_a_call_is_asked_again_and_has_it_once(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    for node in (town.b, town.c):
        node.logs[ScopeKind.CONVERSATION].delay = 2.5 * ASK_TIMEOUT
    town.a.calls.draining.begin(0)
    await asyncio.sleep(ASK_TIMEOUT + SOON)
    owner = town.owner(STUDENT)
    assert owner is not None
    assert owner is not town.a
    counters = [node.calls.membership.counters for node in town.nodes]
    assert [sum(one[name] for one in counters) for name in ("calls_moved", "calls_given", "calls_not_moved")] == [1, 1, 0]
    for node in (town.b, town.c):
        node.logs[ScopeKind.CONVERSATION].delay = 0.0
    await follow(town, caller, callee)
    await town.say(caller, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"


@in_town
async def test_a_call_that_comes_back_is_not_dropped_for_a_look_at_its_row_while_it_was_away(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    for node in (town.b, town.c):
        node.engine.refuses_transports = True
    town.a.logs[ScopeKind.CONVERSATION].delay = 1.0
    town.a.calls.draining.begin(0)
    await asyncio.sleep(0.5)
    [row] = town.a.logs[ScopeKind.CONVERSATION].entries.values()
    assert row.owner_epoch != town.a.cluster.me.incarnation
    town.a.calls.membership.taken_over(caller.last("call_state")["call_id"])
    await asyncio.sleep(3)
    assert town.owner(STUDENT) is town.a
    assert row.owner_epoch == town.a.cluster.me.incarnation
    town.a.logs[ScopeKind.CONVERSATION].delay = 0.0
    await town.say(caller, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"


@in_town
async def test_the_row_of_a_call_that_comes_back_is_had_back_once_the_database_is_there(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    for node in (town.b, town.c):
        node.engine.refuses_transports = True
    town.a.calls.draining.begin(0)
    town.a.logs[ScopeKind.CONVERSATION].is_away = True
    await asyncio.sleep(PAUSE / 2)
    [row] = town.a.logs[ScopeKind.CONVERSATION].entries.values()
    assert row.owner_epoch != town.a.cluster.me.incarnation
    town.a.logs[ScopeKind.CONVERSATION].is_away = False
    await asyncio.sleep(PAUSE / 2 - TICK)
    assert town.owner(STUDENT) is town.a, "before it is tried to be moved again"
    assert row.owner_epoch == town.a.cluster.me.incarnation
    await town.say(caller, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"


@in_town
async def test_a_call_moves_once_the_database_is_back_that_was_away_for_some_seconds(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    for node in (town.b, town.c):
        node.logs[ScopeKind.CONVERSATION].is_away = True
    town.a.calls.draining.begin(0)
    await asyncio.sleep(1.5 * PAUSE)
    for node in (town.b, town.c):
        node.logs[ScopeKind.CONVERSATION].is_away = False
    await asyncio.sleep(PAUSE)
    assert town.owner(STUDENT) in (town.b, town.c)
    assert town.a.calls.membership.counters["calls_not_moved"] == 2
    await follow(town, caller, callee)
    await town.say(caller, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"


@in_town
async def test_nodes_that_are_slow_are_asked_for_a_few_calls_at_a_time(town: Town) -> None:
    count, nodes = 60, (town.b, town.c)
    for number in range(1, count + 1):
        scope, pair = Scope(ScopeKind.CONVERSATION, 1000 + number), (Profile("student", number), Profile("tutor", number))
        town.a.directory.members[scope] = {*pair}
        caller, _ = await town.connect(town.a, pair[0]), await town.connect(town.a, pair[1])
        await town.say(caller, invitation(pair[1], scope))
    assert town.a.calls.call_count == count
    for node in nodes:
        node.logs[ScopeKind.CONVERSATION].delay = 2.5
    town.a.calls.draining.begin(0)
    asked = []
    for _ in range(int(SPREAD / TICK)):
        await asyncio.sleep(TICK)
        asked.append(sum(len(node.calls._context.arriving) for node in nodes))
    await asyncio.sleep(SOON)
    assert max(asked) == ASKED_AT_ONCE * len(nodes)
    assert town.a.calls.call_count == 0
    assert sum(node.calls.call_count for node in nodes) == count
    for node in nodes:
        node.logs[ScopeKind.CONVERSATION].delay = 0.0
