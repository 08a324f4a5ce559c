"""Parties come back to their calls at a successor; and what devices hear that are in no call any more."""

import asyncio
import json

import pytest

from relay.cluster.messages import Blocked, Message, ToDevice, Unsure
from relay.cluster.values import NodeRef
from relay.signaling.calls.call import UPDATE_TIMEOUT
from relay.signaling.calls.negotiation import MAX_OFFERS, OFFER_INTERVAL
from relay.signaling.calls.sheet import decode
from tests.kit.bus import Channel
from tests.signaling.cluster.test_death import LEASE, REJOIN, asked_to_rejoin, die, new_answer, rejoin
from tests.signaling.cluster.test_outages import come_back
from tests.signaling.cluster.town import Town, in_town
from tests.signaling.harness import MemoryHarness
from tests.signaling.people import HANG_UP, LESSON, PARENT, PARENTS_EVENING, STUDENT, TUTOR, answer, frame, invitation

REJECT = frame("call_update", LESSON, rejected=True)


async def cut_off(town: Town) -> None:
    """`a` does not reach the engine until others have taken its calls over."""
    await asyncio.sleep(1.5)
    town.bus.fence(town.a.cluster.me)
    await asyncio.sleep(LEASE)
    await town.notice(town.a)


async def is_back(town: Town) -> None:
    """`a` reaches it again."""
    town.bus.regain(town.a.cluster.me)
    await town.settle()


@pytest.mark.parametrize("asks", [False, True])
@pytest.mark.parametrize("noticed", [False, True])
@in_town
async def test_a_party_whose_connection_breaks_while_it_comes_back_is_asked_to_again(
    town: Town, noticed: bool, asks: bool
) -> None:
    """What it has asked for on a connection that is lost, and what it was offered there, it has forgotten."""
    caller, callee = await town.connected(town.b, town.c)
    await die(town, town.b)
    assert asked_to_rejoin(callee)
    if asks:
        await town.say(callee, REJOIN)
        assert "call_update offer" in callee.types()[-2:]
    if noticed:
        await town.lose(callee)
    await town.resume(callee, town.c)
    await rejoin(town, callee)
    await rejoin(town, await come_back(town, caller, town.a))
    await town.media_up(STUDENT, TUTOR)
    assert callee.types()[-1] == "call_state connected"
    await town.say(callee, HANG_UP)


@in_town
async def test_a_party_that_is_offered_its_call_and_goes_away_keeps_the_other_one_waiting_for_nothing(town: Town) -> None:
    caller, callee = await town.connected(town.b, town.c)
    await die(town, town.b)
    await town.say(callee, REJOIN)
    back = await come_back(town, caller, town.a)
    assert not asked_to_rejoin(back), "one after the other"
    await town.lose(callee)
    await rejoin(town, back)
    await town.resume(callee, town.a)
    await rejoin(town, callee)
    await town.say(callee, HANG_UP)
    assert back.types()[-1] == "call_ended hangup"


@pytest.mark.parametrize("rejects", [True, False])
@in_town
async def test_a_party_that_does_not_take_the_offer_to_its_new_peer_connection_is_asked_again(town: Town, rejects: bool) -> None:
    """It rejects it, as it is in the midst of something else; or its answer does not come."""
    caller, callee = await town.connected(town.b, town.c)
    await die(town, town.b)
    await town.say(callee, REJOIN, *([REJECT] if rejects else []))
    await asyncio.sleep(OFFER_INTERVAL if rejects else UPDATE_TIMEOUT + OFFER_INTERVAL)
    await rejoin(town, callee)
    await rejoin(town, await come_back(town, caller, town.a))
    await town.media_up(STUDENT, TUTOR)
    assert callee.types()[-1] == "call_state connected"
    await town.say(callee, HANG_UP)


@in_town
async def test_a_call_ends_whose_party_takes_no_offer_at_the_new_owner(town: Town) -> None:
    caller, callee = await town.connected(town.b, town.c)
    await die(town, town.b)
    back = await come_back(town, caller, town.a)
    await town.say(callee, REJOIN, REJECT)
    await asyncio.sleep(OFFER_INTERVAL)
    await rejoin(town, back)
    for _ in range(MAX_OFFERS - 1):
        assert asked_to_rejoin(callee)
        await town.say(callee, REJOIN, REJECT)
        await asyncio.sleep(OFFER_INTERVAL)
        await town.settle()
    assert back.types()[-1] == callee.types()[-1] == "call_ended ice_timeout"
    assert await town.ends() == [(STUDENT.profile_id, "ended", "ice_timeout")]


@in_town
async def test_a_party_whose_offer_the_other_one_has_overtaken_is_asked_again(town: Town) -> None:
    """The page of the other one was loaded anew meanwhile, say, and asks for the call itself."""
    caller, callee = await town.connected(town.b, town.c)
    await die(town, town.b)
    back = await come_back(town, caller, town.a)
    await town.say(callee, REJOIN)
    await town.say(back, REJOIN)
    await town.say(back, new_answer(back))
    await rejoin(town, callee)
    await town.media_up(STUDENT, TUTOR)
    assert callee.types()[-1] == "call_state connected"
    await town.say(callee, HANG_UP)


@in_town
async def test_a_node_that_is_back_drops_at_once_the_calls_that_others_have_by_now(town: Town) -> None:
    """Or it would take what their parties say to the new owner."""
    caller, callee = await town.connected(town.a, town.b)
    await cut_off(town)
    await is_back(town)
    assert town.a.calls.call_count == 0
    await rejoin(town, callee)
    await rejoin(town, caller)
    await town.media_up(STUDENT, TUTOR)
    await town.say(caller, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"


@in_town
async def test_a_device_that_was_away_when_its_node_came_back_hears_the_end_of_its_call(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    await town.lose(caller)
    await cut_off(town)
    await is_back(town)
    await town.say(callee, HANG_UP)
    await town.resume(caller, town.a)
    assert caller.welcome["resumed"]
    assert caller.types()[-1] == "call_ended hangup"


@in_town
async def test_a_node_that_finds_out_late_that_its_call_was_taken_over_has_its_device_begin_anew(town: Town) -> None:
    """The database was away when it was back."""
    caller, callee = await town.connected(town.a, town.b)
    connection = caller.connection
    await cut_off(town)
    await town.say(callee, HANG_UP)
    for log in town.a.logs.values():
        log.is_away = True
    await is_back(town)
    assert connection is not None and town.a.calls.call_count == 1
    for log in town.a.logs.values():
        log.is_away = False
    await asyncio.sleep(6)
    assert connection.closed == 1012
    back = await come_back(town, caller, town.a)
    assert back.types() == []


@in_town
async def test_a_call_that_ended_at_its_successor_is_not_claimed_anew_when_its_former_owner_is_back(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    await cut_off(town)
    await town.say(callee, HANG_UP)
    await asyncio.sleep(6)
    assert town.a.calls.call_count == 0, "its heartbeat has found out"
    await is_back(town)
    assert town.bus.claims == {}
    back = await come_back(town, caller, town.c)
    await town.say(back, invitation(TUTOR))
    assert callee.types()[-1] == "call_invitation"
    await town.say(back, HANG_UP)


@pytest.mark.parametrize("answered", [False, True])
@in_town
async def test_a_device_that_rang_and_is_away_while_its_call_moves_hears_what_has_become_of_it(
    town: Town, answered: bool
) -> None:
    caller, callee = await town.ringing(town.c, town.b)
    other = await town.connect(town.a, TUTOR)
    await town.lose(callee)
    town.c.calls.draining.begin(0)
    await asyncio.sleep(1)
    if answered:
        await town.say(other, answer())
    await town.resume(caller, town.a)
    await town.say(caller, HANG_UP)
    await town.resume(callee, town.b)
    assert callee.welcome["resumed"]
    assert ("call_ended answered_elsewhere" if answered else "call_ended cancelled") in callee.types()


@in_town
async def test_a_device_that_rings_learns_from_the_successor_that_another_one_has_answered(town: Town) -> None:
    """The owner has died before it could say so."""
    _, first = await town.ringing(town.a, town.b)
    second = await town.connect(town.c, TUTOR)
    assert second.types() == ["call_invitation"]
    member = town.bus.nodes[town.a.cluster.me].member
    take = member.take

    def take_and_die(sender: NodeRef, message: Message) -> None:
        town.bus.lose_next = 10
        take(sender, message)

    member.take = take_and_die  # type: ignore[method-assign]
    await town.say(first, answer())
    await town.kill(town.a)
    town.bus.lose_next = 0
    assert (first.types(), second.types()) == (["call_invitation"], ["call_invitation"])
    await asyncio.sleep(LEASE)
    await town.notice(town.a)
    assert town.owner(TUTOR) is not None
    assert second.types() == ["call_invitation", "call_ended answered_elsewhere"]
    await rejoin(town, first)
    await town.say(first, HANG_UP)


@in_town
async def test_a_caller_that_took_its_call_to_another_device_just_before_the_owner_died_has_it_there(town: Town) -> None:
    _, callee = await town.ringing(town.a, town.b)
    second = await town.connect(town.c, STUDENT)
    await asyncio.sleep(1.5)
    await town.say(second, invitation(TUTOR))
    await town.kill(town.a)
    await asyncio.sleep(LEASE)
    await town.notice(town.a)
    await town.say(callee, answer())
    assert second.types()[-2:] == ["call_answer", "call_state answered"]
    await town.say(second, HANG_UP)


@pytest.mark.parametrize("is_kept", [True, False])
@in_town
async def test_a_caller_whose_home_and_then_the_owner_died_has_its_call_also_if_it_changed_its_home_meanwhile(
    town: Town, is_kept: bool
) -> None:
    """That it is another device since its home died, the owner may not have been able to keep for its successor."""
    caller, callee = await town.ringing(town.a, town.c)
    await town.resume(caller, town.b)
    await asyncio.sleep(1.5)
    sheets = dict(town.bus.sheets)
    await town.kill(town.b)
    back = await come_back(town, caller, town.c)
    [sheet] = town.bus.sheets.values()
    assert decode(sheet).caller.device_id == back.device.device_id
    await town.kill(town.a)
    if not is_kept:
        town.bus.sheets.update(sheets)
    await town.resume(back, await town.another("d"))
    assert back.welcome["resumed"]
    await asyncio.sleep(LEASE)
    await town.notice(town.a)
    await town.say(callee, answer())
    assert back.types()[-2:] == ["call_answer", "call_state answered"]
    await town.say(back, HANG_UP)


@in_town
async def test_a_device_whose_call_the_new_owner_found_to_be_over_begins_anew(town: Town) -> None:
    """Its home has asked the one that had claimed the call, and then saw in its row that it had ended."""
    client = await town.connect(town.c, TUTOR)
    town.c.cluster.post(town.b.cluster.me, Unsure(client.device.card(town.c.cluster.me)))
    await town.settle()
    assert client.connection is not None and client.connection.closed == 1012
    assert town.b.calls._context.devices.known(TUTOR) == ()


@in_town
async def test_a_successor_knows_of_an_answer_as_soon_as_the_parties_do(town: Town) -> None:
    """What a node asks of the engine takes effect in the order in which it asks."""
    caller, callee = await town.ringing(town.a, town.b)
    await town.resume(caller, town.c)
    kept, keep, before = [], town.a.cluster.keep, len(town.bus.log)

    def note(call_id: str, sheet: bytes) -> None:
        told = [message for sender, _, message in town.bus.log[before:] if sender == town.a.cluster.me]
        kept.append((decode(sheet).answered_at is not None, told))
        keep(call_id, sheet)

    town.a.cluster.keep = note  # type: ignore[method-assign]
    await town.say(callee, answer())
    assert (True, []) in kept
    await town.say(callee, HANG_UP)


@in_town
async def test_a_device_that_missed_the_end_of_a_call_begins_anew_although_another_node_has_called_it_since(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    connection = callee.connection
    town.bus.lose_next = 1
    await town.say(caller, HANG_UP)
    parent = await town.connect(town.c, PARENT)
    await town.say(parent, invitation(TUTOR, PARENTS_EVENING))
    assert callee.types()[-1] == "call_invitation"
    town.a.cluster.post(town.b.cluster.me, Blocked(PARENT, STUDENT))
    await town.settle()
    assert connection is not None and connection.closed == 1012, "a message that came shows that another was lost"
    await town.say(parent, HANG_UP)


def lose_first(town: Town, sender: MemoryHarness, to: MemoryHarness, kind: str) -> None:
    """The next message of that type which that node sends to a device of the other one is lost."""

    def loses(one: NodeRef, other: NodeRef, message: Message) -> bool:
        is_it = isinstance(message, ToDevice) and json.loads(message.frame)["type"] == kind
        if not is_it or (one, other) != (sender.cluster.me, to.cluster.me):
            return False
        town.bus.loses = lambda _sender, _to, _message: False
        return True

    town.bus.loses = loses


@pytest.mark.parametrize("lost", ["on the way to the former home", "on the way from there"])
@in_town
async def test_a_device_that_changed_its_home_while_its_call_ended_begins_anew_if_the_end_was_lost(town: Town, lost: str) -> None:
    """The owner did not know yet where it is, and its former home was to send the message on."""
    caller, callee = await town.ringing(town.b, town.a)
    owner = town.bus.nodes[town.b.cluster.me]
    lose_first(town, *((town.b, town.a) if lost == "on the way to the former home" else (town.a, town.c)), "call_ended")
    owner.cut = True
    await town.say(caller, HANG_UP)
    connection = await town.resume(callee, town.c)
    assert connection.received[0]["resumed"]
    owner.cut = False
    await asyncio.sleep(0.2)
    await town.settle()
    assert connection.closed == 1012
    assert (await come_back(town, callee, town.c)).welcome.get("call_id") is None


@pytest.mark.parametrize("lost", ["on the way to the former home", "on the way from there"])
@in_town
async def test_a_device_that_changed_its_home_while_it_was_called_rings_although_the_invitation_was_lost(
    town: Town, lost: str
) -> None:
    caller, callee = await town.connect(town.b, PARENT), await town.connect(town.a, TUTOR)
    sender, to = (town.b, town.a) if lost == "on the way to the former home" else (town.a, town.c)
    lose_first(town, sender, to, "call_invitation")
    slow = town.bus.channels.setdefault((town.b.cluster.me, town.a.cluster.me), Channel())
    slow.due = asyncio.get_running_loop().time() + 0.1
    await town.b.say(caller, invitation(TUTOR, PARENTS_EVENING))
    connection = await town.resume(callee, town.c)
    await town.settle()
    assert caller.types() == ["call_state ringing"]
    assert callee.types() == [], "its owner takes it for one that rings"
    sender.cluster.post(to.cluster.me, Blocked(PARENT, STUDENT))
    await town.settle()
    assert connection.closed == 1012
    assert (await come_back(town, callee, town.c)).types() == ["call_invitation"]
    await town.say(caller, HANG_UP)


@in_town
async def test_a_device_that_changed_its_home_twice_begins_anew_if_what_its_first_home_sent_on_was_lost(town: Town) -> None:
    caller, callee = await town.ringing(town.b, town.a)
    owner, d = town.bus.nodes[town.b.cluster.me], await town.another("d")
    lose_first(town, town.a, town.c, "call_ended")
    owner.cut = True
    await town.say(caller, HANG_UP)
    await town.resume(callee, town.c)
    connection = await town.resume(callee, d)
    owner.cut = False
    await asyncio.sleep(0.2)
    await town.settle()
    assert connection.closed == 1012


@in_town
async def test_of_a_node_that_did_not_hold_its_lease_for_a_moment_no_party_hears(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    heard = caller.types(), callee.types()
    town.bus.fence(town.b.cluster.me)
    town.bus.regain(town.b.cluster.me)
    await town.settle()
    assert (caller.types(), callee.types()) == heard
    await town.say(callee, HANG_UP)


@in_town
async def test_a_device_that_came_back_while_its_node_was_cut_off_hears_where_its_call_stands_once_that_is_over(
    town: Town,
) -> None:
    caller, callee = await town.connected(town.a, town.b)
    town.bus.fence(town.b.cluster.me)
    await town.resume(callee, town.b)
    heard = callee.types()
    town.bus.regain(town.b.cluster.me)
    await town.settle()
    assert callee.types() == [*heard, "call_state connected"]
    await town.say(caller, HANG_UP)


@in_town
async def test_a_device_that_rang_and_was_away_when_its_node_came_back_hears_the_end_too(town: Town) -> None:
    caller, _ = await town.ringing(town.a, town.b)
    second = await town.connect(town.a, TUTOR)
    await town.lose(second)
    await cut_off(town)
    await is_back(town)
    await town.say(caller, HANG_UP)
    await town.resume(second, town.a)
    assert second.welcome["resumed"]
    assert "call_ended cancelled" in second.types()
