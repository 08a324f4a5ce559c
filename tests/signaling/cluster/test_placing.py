"""A new call is owned by the node that its parties' regions and the loads of all speak for."""

import asyncio

import pytest

from relay.cluster.messages import Flush, FromDevice, Message, Reply, Request, TakeCall
from relay.cluster.values import NodeRef
from relay.errors import Unavailable
from relay.signaling.calls.draining import COME_BACK
from relay.signaling.ports import Action
from tests.signaling.cluster.town import Town, in_town
from tests.signaling.harness import MemoryHarness
from tests.signaling.people import (
    FAMILY,
    HANG_UP,
    LESSON,
    PARENT,
    STUDENT,
    TIMERS,
    TUTOR,
    Client,
    answer,
    error,
    frame,
    invitation,
)

CANCELLED = ("call_invitation", "call_ended cancelled", "call_missed cancelled")
"""What the callee hears of a call that its caller gives up."""


def asked(town: Town) -> list[str]:
    """The nodes that were asked to own calls, and whether they were willing."""
    return [f"{ref.name} {'no' if begun is None else 'yes'}" for ref, begun in town.bus.placements]


def loaded(town: Town) -> None:
    """Of all nodes, `c` has the least to do."""
    town.describe(town.a, load=0.5)
    town.describe(town.b, load=0.5)


async def parties(town: Town, version: int = 2) -> tuple[Client, Client]:
    """The student at `a`, and the tutor at `b`."""
    return await town.connect(town.a, STUDENT, version), await town.connect(town.b, TUTOR, version)


@pytest.mark.parametrize("version", [1, 2])
@in_town
async def test_the_least_loaded_node_owns_the_call_of_devices_that_are_with_others(town: Town, version: int) -> None:
    loaded(town)
    caller, callee = await parties(town, version)
    await town.say(caller, invitation(TUTOR))
    assert town.owner(STUDENT) is town.owner(TUTOR) is town.c
    await town.say(callee, answer())
    await town.media_up(STUDENT, TUTOR)
    assert caller.types() == ["call_state ringing", "call_answer", "call_state answered", "call_state connected"]
    assert callee.types() == ["call_invitation", "call_state answered", "call_state connected"]
    await town.say(caller, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"
    assert await town.ends() == [(STUDENT.profile_id, "ended", "hangup")]
    assert asked(town) == ["c yes"]


@in_town
async def test_a_node_of_the_region_of_both_parties_owns_their_call_and_not_an_idle_one_far_away(town: Town) -> None:
    loaded(town)
    town.describe(town.c, region="east")
    caller, _ = await parties(town)
    await town.say(caller, invitation(TUTOR))
    assert town.owner(STUDENT) is town.a
    assert asked(town) == []


@in_town
async def test_a_node_of_the_callees_region_is_preferred_to_one_of_a_third_region(town: Town) -> None:
    town.describe(town.a, region="west", load=0.5)
    town.describe(town.b, region="east", load=0.3)
    town.describe(town.c, region="south")
    caller, callee = await parties(town)
    await town.say(caller, invitation(TUTOR))
    assert town.owner(STUDENT) is town.b
    await town.say(callee, answer())
    await town.say(callee, HANG_UP)
    assert caller.types()[-1] == "call_ended hangup"


@in_town
async def test_where_loads_are_the_same_the_callers_node_owns_the_call_and_asks_no_other(town: Town) -> None:
    caller, _ = await parties(town)
    await town.say(caller, invitation(TUTOR))
    assert town.owner(STUDENT) is town.a
    assert asked(town) == []


@in_town
async def test_what_the_caller_says_right_after_the_invitation_does_not_overtake_it(town: Town) -> None:
    loaded(town)
    caller, callee = await parties(town)
    candidate = frame("ice_candidate", LESSON, candidate=None)
    for one in (invitation(TUTOR), candidate, HANG_UP):  # nothing is settled in between
        await town.a.say(caller, one)
    await town.settle()
    assert caller.types() == ["call_state ringing", "call_state ended"]
    assert callee.types() == [*CANCELLED]
    assert await town.ends() == [(STUDENT.profile_id, "missed", "cancelled")]


@in_town
async def test_of_two_invitations_in_a_row_the_second_replaces_the_first(town: Town) -> None:
    loaded(town)
    caller, callee = await parties(town)
    parent = await town.connect(town.b, PARENT)
    await town.a.say(caller, invitation(TUTOR))
    await town.a.say(caller, invitation(PARENT, FAMILY))
    await town.settle()
    assert parent.types() == ["call_invitation"]
    assert callee.types() == [*CANCELLED]
    await town.say(parent, frame("call_declined", FAMILY))
    assert await town.ends() == [(STUDENT.profile_id, "missed", "cancelled"), (STUDENT.profile_id, "missed", "rejected")]


@pytest.mark.parametrize("seed", range(10))
@in_town
async def test_a_second_invitation_finds_the_first_although_another_node_would_be_chosen_by_then(town: Town, seed: int) -> None:
    town.bus.dice.seed(seed)
    loaded(town)
    caller, callee = await parties(town)
    parent = await town.connect(town.b, PARENT)
    await town.a.say(caller, invitation(TUTOR))
    town.describe(town.b, load=0.0)
    town.describe(town.c, load=0.5)
    await town.a.say(caller, invitation(PARENT, FAMILY))
    await town.settle()
    assert parent.types() == ["call_invitation"]
    assert callee.types() == [*CANCELLED]
    assert town.owner(STUDENT) is town.c
    await town.say(caller, frame("call_ended", FAMILY))
    assert asked(town) == ["c yes"]


@pytest.mark.parametrize("seed", range(20))
@in_town
async def test_of_two_invitations_that_cross_while_both_are_placed_one_rings(town: Town, seed: int) -> None:
    town.bus.dice.seed(seed)
    town.bus.choice.seed(seed)
    town.bus.roaming = True
    student, tutor = await parties(town)
    await asyncio.gather(town.say(student, invitation(TUTOR)), town.say(tutor, invitation(STUDENT)))
    caller, callee = sorted((student, tutor), key=lambda one: "call_invitation" in one.types())
    assert caller.types() == ["call_state ringing"]
    assert sorted(callee.types()) == ["call_glare", "call_invitation"]
    assert town.call_count == 1
    await town.say(callee, answer())
    await town.say(caller, HANG_UP)
    assert await town.ends() == [(caller.profile.profile_id, "ended", "hangup")]


@pytest.mark.parametrize("seed", range(10))
@in_town
async def test_two_devices_of_a_caller_that_call_at_the_same_time_make_one_call(town: Town, seed: int) -> None:
    town.bus.dice.seed(seed)
    town.bus.choice.seed(seed)
    town.bus.roaming = True
    one, two = await town.connect(town.a, STUDENT), await town.connect(town.b, STUDENT)
    callee = await town.connect(town.c, TUTOR)
    await asyncio.gather(town.say(one, invitation(TUTOR)), town.say(two, invitation(TUTOR)))
    assert town.call_count == 1
    assert callee.types() == ["call_invitation"]
    ends = sorted((one.types()[-1], two.types()[-1]))
    assert ends == ["call_ended answered_elsewhere", "call_state ringing"]
    await town.say(callee, answer())
    await town.say(callee, HANG_UP)
    assert await town.ends() == [(STUDENT.profile_id, "ended", "hangup")]


class Silent:
    """A node that does not answer one kind of questions."""

    def __init__(self, town: Town, node: MemoryHarness, unanswered: type[Request]) -> None:
        self._member = town.bus.nodes[node.cluster.me].member
        self._unanswered = unanswered
        town.bus.nodes[node.cluster.me].member = self  # type: ignore[assignment]  # what is not here is the other's

    def __getattr__(self, name: str) -> object:
        return getattr(self._member, name)

    def take(self, sender: NodeRef, message: Message) -> None:
        self._member.take(sender, message)

    async def answer(self, sender: NodeRef, request: Request) -> Reply:
        if isinstance(request, self._unanswered):
            await asyncio.sleep(60)
            raise Unavailable("too late")
        return await self._member.answer(sender, request)


@in_town
async def test_a_node_that_does_not_answer_within_a_second_leaves_the_call_to_the_callers(town: Town) -> None:
    loaded(town)
    Silent(town, town.c, TakeCall)
    caller, callee = await parties(town)
    began = asyncio.get_running_loop().time()
    await town.say(caller, invitation(TUTOR))
    assert asyncio.get_running_loop().time() - began < 1.1, "in virtual time"
    assert town.owner(STUDENT) is town.a
    assert callee.types() == ["call_invitation"]
    assert asked(town) == ["c no"]


@in_town
async def test_a_node_that_takes_long_with_an_invitation_gets_what_follows_it(town: Town) -> None:
    loaded(town)
    Silent(town, town.c, Flush)
    caller, callee = await parties(town)
    await town.say(caller, invitation(TUTOR), HANG_UP)
    assert callee.types() == [*CANCELLED]


async def drained(town: Town, *nodes: MemoryHarness, version: int = 2) -> tuple[Client, Client]:
    """Nodes that drain, and the parties, which are sent away a moment later: another client goes first."""
    for node in nodes:
        await town.connect(node, PARENT)
    caller, callee = await parties(town, version)
    for node in nodes:
        town.describe(node, state="draining")
        node.calls.draining.begin(60)
    return caller, callee


@in_town
async def test_a_node_that_drains_and_whose_card_does_not_say_so_yet_leaves_the_call_to_the_callers(town: Town) -> None:
    loaded(town)
    town.c.calls.draining.begin(60)
    caller, callee = await parties(town)
    await town.say(caller, invitation(TUTOR))
    assert town.owner(STUDENT) is town.a
    assert callee.types() == ["call_invitation"]
    assert asked(town) == ["c no"]


@in_town
async def test_a_client_of_a_node_that_drains_can_still_call_as_another_node_owns_the_call(town: Town) -> None:
    caller, callee = await drained(town, town.a)
    await town.say(caller, invitation(TUTOR))
    owner = town.owner(STUDENT)
    assert owner is not None and owner is not town.a
    assert caller.types() == ["call_state ringing"]
    await town.say(callee, answer())
    await town.say(callee, HANG_UP)
    assert await town.ends() == [(STUDENT.profile_id, "ended", "hangup")]


@in_town
async def test_a_version_1_client_of_a_node_that_drains_is_refused_as_it_could_not_come_back_to_its_call(town: Town) -> None:
    caller, _ = await drained(town, town.a, version=1)
    await town.say(caller, invitation(TUTOR))
    assert error(caller) == "unavailable"
    assert asked(town) == []


@in_town
async def test_where_all_nodes_drain_no_call_begins(town: Town) -> None:
    caller, _ = await drained(town, *town.nodes)
    await town.say(caller, invitation(TUTOR))
    assert error(caller) == "unavailable"
    assert await town.rows() == []


@in_town
async def test_an_invitation_is_counted_once_wherever_its_call_is(town: Town) -> None:
    loaded(town)
    caller, _ = await parties(town)
    await town.say(caller, invitation(TUTOR))
    counted = [one.asked.count((Action.INVITATION, STUDENT, "203.0.113.7")) for one in (town.a.limiter, town.c.limiter)]
    assert counted == [1, 0]
    await town.say(caller, HANG_UP)
    town.a.limiter.refuses.add((Action.INVITATION, STUDENT))
    await town.say(caller, invitation(TUTOR))
    assert error(caller) == "rate_limited"
    assert town.call_count == 0


@in_town
async def test_what_is_wrong_with_an_invitation_is_answered_by_the_node_that_was_to_own_the_call(town: Town) -> None:
    loaded(town)
    caller, _ = await parties(town)
    await town.say(caller, invitation(STUDENT))
    assert error(caller) == "invalid_message"
    assert await town.rows() == []


@in_town
async def test_a_caller_whose_chosen_node_dies_before_it_has_claimed_the_call_begins_anew(town: Town) -> None:
    """It would wait for a call that does not exist."""
    loaded(town)
    caller, _ = await parties(town)
    connection = caller.connection
    assert connection is not None
    invited = asyncio.Event()
    town.bus.nodes[town.c.cluster.me].member.take = lambda *_: invited.set()  # type: ignore[method-assign]
    saying = asyncio.create_task(town.a.say(caller, invitation(TUTOR)))
    await invited.wait()
    await town.kill(town.c)
    await town.notice(town.c)
    await saying
    assert connection.closed == COME_BACK
    assert town.call_count == 0


@pytest.mark.parametrize("after", [0.0, 1e-5, 2e-5, 4e-5, 8e-5])
@in_town
async def test_a_caller_that_moves_to_another_node_while_its_call_is_placed_hears_it_there(town: Town, after: float) -> None:
    loaded(town)
    caller, callee = await parties(town)
    saying = asyncio.create_task(town.a.say(caller, invitation(TUTOR)))
    await asyncio.sleep(after)
    await town.resume(caller, town.b)
    await saying
    await town.settle()
    assert set(caller.types()) == {"call_state ringing"}, "once because it has called, and once because it has come"
    await town.say(callee, answer())
    assert caller.types()[-1] == "call_state answered"
    await town.say(caller, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"


@in_town
async def test_a_call_goes_on_at_another_node_when_its_chosen_owner_dies(town: Town) -> None:
    loaded(town)
    caller, callee = await parties(town)
    await town.say(caller, invitation(TUTOR))
    await town.say(callee, answer())
    await town.media_up(STUDENT, TUTOR)
    await asyncio.sleep(2)  # the sheet is kept
    await town.kill(town.c)
    await town.notice(town.c)
    assert town.owner(STUDENT) in {town.a, town.b}
    assert "call_state reconnecting" in (caller.types()[-1], callee.types()[-1])
    await town.say(caller, HANG_UP)
    assert await town.ends() == [(STUDENT.profile_id, "ended", "hangup")]


@in_town
async def test_each_message_of_a_device_crosses_at_most_once(town: Town) -> None:
    loaded(town)
    caller, callee = await parties(town)
    await town.say(caller, invitation(TUTOR))
    await town.say(callee, answer())
    await town.say(callee, HANG_UP)
    assert town.posted(FromDevice) == 3


@in_town
async def test_a_caller_that_has_heard_from_its_calls_owner_need_not_ask_whether_its_invitation_was_taken(town: Town) -> None:
    loaded(town)
    caller, callee = await parties(town)
    await town.say(caller, invitation(TUTOR), frame("ice_candidate", LESSON, candidate=None), HANG_UP)
    assert callee.types() == [*CANCELLED]
    assert [type(one) for one in town.bus.asked] == [TakeCall]


@in_town
async def test_a_caller_that_has_not_heard_from_its_calls_owner_waits_for_it_before_it_goes_on(town: Town) -> None:
    loaded(town)
    caller, callee = await parties(town)
    for one in (invitation(TUTOR), HANG_UP):  # nothing is settled in between
        await town.a.say(caller, one)
    await town.settle()
    assert callee.types() == [*CANCELLED]
    assert [type(one) for one in town.bus.asked] == [TakeCall, Flush]


@in_town
async def test_a_caller_that_is_away_before_it_has_heard_from_its_calls_owner_is_waited_for(town: Town) -> None:
    loaded(town)
    caller, callee = await parties(town)
    await town.a.say(caller, invitation(TUTOR))
    await town.lose(caller)
    assert [type(one) for one in town.bus.asked] == [TakeCall, Flush]
    assert callee.types() == ["call_invitation"]
    await asyncio.sleep(TIMERS.signaling_grace)
    assert callee.types()[1:] == ["call_ended signaling_lost", "call_missed signaling_lost"]
