"""Invitations that cross, from two nodes: one call comes of them, whichever node is first."""

import asyncio

import pytest

from relay.cluster.values import Claim, Claimed
from relay.ids import Profile
from relay.signaling.calls.call import State
from tests.signaling.cluster.town import Town, in_town
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


async def both_call(town: Town, version: int = 2) -> tuple[Client, Client]:
    student, tutor = await town.connect(town.a, STUDENT, version), await town.connect(town.b, TUTOR, version)
    await asyncio.gather(town.say(student, invitation(TUTOR)), town.say(tutor, invitation(STUDENT)))
    return student, tutor


@pytest.mark.parametrize("seed", range(20))
@in_town
async def test_of_two_invitations_that_cross_between_nodes_the_first_rings_and_the_other_is_told_so(
    town: Town, seed: int
) -> None:
    town.bus.dice.seed(seed)
    clients = await both_call(town)
    caller, callee = sorted(clients, key=lambda one: "call_invitation" in one.types())
    assert caller.types() == ["call_state ringing"]
    assert sorted(callee.types()) == ["call_glare", "call_invitation"]
    assert town.call_count == 1
    await town.say(callee, answer())
    assert caller.types()[-1] == callee.types()[-1] == "call_state answered"
    await town.say(caller, HANG_UP)
    assert await town.ends() == [(caller.profile.profile_id, "ended", "hangup")]


@in_town
async def test_a_version_1_client_whose_invitation_crosses_finds_the_other_one_busy(town: Town) -> None:
    clients = await both_call(town, version=1)
    caller, callee = sorted(clients, key=lambda one: "call_invitation" in one.types())
    assert caller.types()[0] == "call_state ringing"
    assert "call_declined busy" in callee.types()
    assert town.call_count == 1
    await town.say(callee, answer())
    await town.say(caller, HANG_UP)


@pytest.mark.parametrize("seed", range(20))
@in_town
async def test_three_profiles_call_each_other_in_a_ring_and_each_is_in_one_call_at_most(town: Town, seed: int) -> None:
    town.bus.dice.seed(seed)
    student, tutor = await town.connect(town.a, STUDENT), await town.connect(town.b, TUTOR)
    parent = await town.connect(town.c, PARENT)
    await asyncio.gather(
        town.say(student, invitation(TUTOR, LESSON)),
        town.say(tutor, invitation(PARENT, PARENTS_EVENING)),
        town.say(parent, invitation(STUDENT, FAMILY)),
    )
    assert town.call_count == 1
    assert len(set(town.bus.claims.values())) == 1
    rows = await town.rows()
    assert sorted(row.end_reason or "open" for row in rows) == ["busy", "busy", "open"]


@pytest.mark.parametrize("seed", range(10))
@in_town
async def test_a_callee_declines_while_an_invitation_from_its_own_node_is_about_to_find_it_busy(town: Town, seed: int) -> None:
    town.bus.dice.seed(seed)
    student, tutor = await town.connect(town.a, STUDENT), await town.connect(town.a, TUTOR)
    parent = await town.connect(town.c, PARENT)
    await town.say(parent, invitation(STUDENT, FAMILY))
    await asyncio.gather(town.say(student, frame("call_ended", FAMILY)), town.say(tutor, invitation(STUDENT)))
    [other] = {"call_missed busy", "call_invitation"} & {*student.types()[1:]}
    assert sorted(student.types()) == sorted(["call_invitation", "call_state ended", other])
    assert parent.types()[-1] == "call_declined rejected"
    assert tutor.types() == ["call_declined busy" if other == "call_missed busy" else "call_state ringing"]


@in_town
async def test_a_caller_is_not_busy_because_of_a_call_that_comes_to_nothing_at_the_same_moment(town: Town) -> None:
    town.a.directory.members[PARENTS_EVENING].add(STRANGER)
    student, parent = await town.connect(town.a, STUDENT), await town.connect(town.a, PARENT)
    await town.connect(town.b, TUTOR)
    stranger = await town.connect(town.c, STRANGER)
    await town.say(stranger, invitation(TUTOR, PARENTS_EVENING))
    await asyncio.gather(town.say(student, invitation(TUTOR)), town.say(parent, invitation(STUDENT, FAMILY)))
    assert student.types() == ["call_declined busy", "call_invitation"]
    assert parent.types() == ["call_state ringing"]


@in_town
async def test_a_caller_that_calls_another_profile_from_another_node_ends_its_first_call(town: Town) -> None:
    _, tutor = await town.ringing(town.a, town.b)
    parent, again = await town.connect(town.c, PARENT), await town.connect(town.b, STUDENT)
    await town.say(again, invitation(PARENT, FAMILY))
    assert tutor.types()[:2] == ["call_invitation", "call_ended cancelled"]
    assert parent.types() == ["call_invitation"]
    assert again.types()[-1] == "call_state ringing"
    await town.say(again, HANG_UP)


@pytest.mark.parametrize("engine_is_away", [False, True])
@in_town
async def test_of_an_invitation_that_comes_to_nothing_no_device_stays_that_left_the_node_meanwhile(
    town: Town, engine_is_away: bool
) -> None:
    """The call kept it, as one of another node that may be told what becomes of it."""
    student, parent = await town.connect(town.a, STUDENT), await town.connect(town.a, PARENT)
    tutor, node, claim = await town.connect(town.b, TUTOR), town.bus.nodes[town.a.cluster.me], town.a.cluster.claim

    async def claim_late(call_id: str, profiles: tuple[Profile, Profile], sheet: bytes = b"") -> Claimed:
        await town.resume(parent, town.c)
        if engine_is_away:
            node.cut = True
        else:
            await town.say(tutor, invitation(STUDENT))
        return await claim(call_id, profiles, sheet)

    town.a.cluster.claim = claim_late  # type: ignore[method-assign]
    await town.say(student, invitation(PARENT, FAMILY))
    node.cut = False
    assert student.types()[-1] == ("error unavailable" if engine_is_away else "call_declined busy")
    await town.settle()
    assert town.a.calls._context.devices.known(PARENT) == ()
    await town.say(tutor, *([] if engine_is_away else [HANG_UP]))


@in_town
async def test_a_claim_whose_answer_was_lost_keeps_no_profile_taken(town: Town) -> None:
    """The engine has taken it, and then the connection broke."""
    student, _ = await town.connect(town.a, STUDENT), await town.connect(town.b, TUTOR)
    orphan = (await town.a.cluster.claim("c0" * 16, (STUDENT, TUTOR))).claim
    assert orphan.owner == town.a.cluster.me
    await town.say(student, invitation(TUTOR))
    assert student.types() == ["call_state ringing"]
    live = town.a.calls._context.live.of(STUDENT)
    assert live is not None and live.call.state is State.RINGING
    await town.say(student, HANG_UP)


@in_town
async def test_while_the_engine_is_away_no_call_begins_and_nothing_is_left_of_the_attempt(town: Town) -> None:
    student, tutor = await town.connect(town.a, STUDENT), await town.connect(town.a, TUTOR)
    node = town.bus.nodes[town.a.cluster.me]
    node.cut = True
    await town.say(student, invitation(TUTOR))
    assert (student.last("error")["code"], tutor.types()) == ("unavailable", [])
    assert (await town.rows(), town.call_count) == ([], 0)
    node.cut = False
    await town.say(student, invitation(TUTOR))
    assert tutor.types() == ["call_invitation"]
    await town.say(student, HANG_UP)


class EngineThatGoesAway(dict[Profile, Claim]):
    """The claims of an engine that a node does not reach any more once a claim was released."""

    def __init__(self, town: Town, claims: dict[Profile, Claim]) -> None:
        super().__init__(claims)
        self._node = town.bus.nodes[town.a.cluster.me]

    def __delitem__(self, profile: Profile) -> None:
        super().__delitem__(profile)
        self._node.cut = True


@in_town
async def test_an_engine_that_goes_away_after_a_claim_was_left_behind_leaves_nothing_of_the_attempt(town: Town) -> None:
    student, tutor = await town.connect(town.a, STUDENT), await town.connect(town.a, TUTOR)
    left = Claim("a call that this node does not know", town.a.cluster.me, (STUDENT, TUTOR))
    town.bus.claims = EngineThatGoesAway(town, {STUDENT: left, TUTOR: left})
    await town.say(student, invitation(TUTOR))
    assert (student.last("error")["code"], tutor.types()) == ("unavailable", [])
    assert (await town.rows(), town.call_count) == ([], 0)
    town.bus.claims = {}
    town.bus.nodes[town.a.cluster.me].cut = False
    await town.say(student, invitation(TUTOR))
    assert tutor.types() == ["call_invitation"]
    await town.say(student, HANG_UP)
