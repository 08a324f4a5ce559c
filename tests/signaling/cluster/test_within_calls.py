"""What happens within calls, and to those who are in them, across nodes."""

import asyncio

from relay.cluster.messages import ToDevice
from relay.signaling.calls.enforcement import DROPPED
from tests.signaling.cluster.town import Town, in_town
from tests.signaling.figures import report
from tests.signaling.people import (
    AGREE,
    FAMILY,
    HANG_UP,
    LESSON,
    PARENT,
    PARENTS_EVENING,
    STUDENT,
    TO_PARENT,
    TUTOR,
    answer,
    error,
    frame,
    invitation,
)


@in_town
async def test_a_party_is_transferred_to_a_profile_at_a_third_node_and_calls_it(town: Town) -> None:
    parent = await town.connect(town.c, PARENT)
    caller, callee = await town.connected(town.a, town.b)
    await town.say(callee, TO_PARENT)
    assert caller.last("call_transfer")["target"]["profile_id"] == PARENT.profile_id
    await town.say(caller, AGREE)
    over = caller.last("call_state")
    assert callee.types()[-1] == "call_ended transferred"
    await town.say(caller, invitation(PARENT, FAMILY, transferred_from=over["call_id"]))
    assert parent.types() == ["call_invitation"]
    await town.say(parent, answer(FAMILY))
    await town.say(parent, frame("call_ended", FAMILY))
    assert [row[1:] for row in await town.ends()] == [("ended", "transferred"), ("ended", "hangup")]


@in_town
async def test_a_party_at_another_node_than_the_calls_is_transferred_before_the_row_says_so(town: Town) -> None:
    """The row is written by the owner of the call that is over, and the next call is owned by the party's own node."""
    parent = await town.connect(town.c, PARENT)
    _, tutor = await town.connected(town.a, town.b)
    student = next(one for one in town.a.clients if one.profile == STUDENT)
    await town.say(student, frame("call_transfer", LESSON, target_profile_id=321, target_profile_type="parent"))
    for log in town.a.logs.values():
        log.is_away = True
    await town.say(tutor, AGREE)
    calling = asyncio.ensure_future(
        town.say(tutor, invitation(PARENT, PARENTS_EVENING, transferred_from=tutor.last("call_state")["call_id"]))
    )
    await asyncio.sleep(0.1)
    for log in town.a.logs.values():
        log.is_away = False
    await calling
    assert parent.types() == ["call_invitation"]
    assert town.owner(PARENT) is town.b
    await town.say(tutor, frame("call_ended", PARENTS_EVENING))


@in_town
async def test_the_targets_of_a_transfer_are_those_with_a_device_at_any_node_and_no_call(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    await town.say(callee, frame("call_transfer_targets", LESSON))
    assert [one["reason"] for one in callee.last("call_transfer_targets")["targets"]] == ["offline"]
    await town.connect(town.c, PARENT)
    await town.say(callee, frame("call_transfer_targets", LESSON))
    assert [one["reason"] for one in callee.last("call_transfer_targets")["targets"]] == [None]
    await town.say(caller, HANG_UP)


@in_town
async def test_a_profile_in_a_call_of_another_node_cannot_be_the_target_of_a_transfer(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    sibling, parent = await town.connect(town.c, STUDENT), await town.connect(town.c, PARENT)
    del sibling
    claim = (await town.c.cluster.claim("c1" * 16, (PARENT, PARENT))).claim
    await town.say(callee, TO_PARENT)
    assert error(callee) == "not_allowed"
    town.c.cluster.release(claim)
    await town.say(callee, TO_PARENT)
    assert caller.types()[-1] == "call_transfer"
    assert parent.types() == []
    await town.say(caller, HANG_UP)


@in_town
async def test_quality_reaches_a_party_at_another_node_without_a_number(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    before = callee.last_seq
    await town.a.media(report(0, town.a))
    await town.settle()
    assert callee.types()[-1] == "call_quality"
    assert callee.last_seq == before
    assert [one.transient for _, _, one in town.bus.log if isinstance(one, ToDevice)][-1]
    await town.say(caller, HANG_UP)


@in_town
async def test_a_profile_that_the_platform_drops_at_any_node_leaves_its_call(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    connection = callee.connection
    await town.c.calls.orders.drop(TUTOR)
    await town.settle()
    assert connection is not None and connection.closed == DROPPED
    assert caller.types()[-1] == "call_ended terminated"
    assert await town.ends() == [(STUDENT.profile_id, "ended", "terminated")]


@in_town
async def test_a_credential_that_is_revoked_at_the_home_ends_the_call_at_the_owner(town: Town) -> None:
    caller, _ = await town.connected(town.a, town.b)
    await town.b.calls.enforcement.revoke(TUTOR, 2e9)
    await town.settle()
    assert caller.types()[-1] == "call_ended terminated"


@in_town
async def test_the_owner_stops_and_parties_at_other_nodes_hear_the_end(town: Town) -> None:
    _, callee = await town.connected(town.a, town.b)
    await town.a.calls.close()
    await town.settle()
    assert callee.types()[-1] == "call_ended server_shutdown"
    again = await town.connect(town.c, STUDENT)
    await town.say(again, invitation(TUTOR))
    assert callee.types()[-1] == "call_invitation"
    await town.say(again, HANG_UP)
