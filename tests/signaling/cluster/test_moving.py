"""A device whose connection breaks comes back to another node: it is the same device, and has missed nothing."""

import asyncio

import pytest

from relay.cluster.messages import Came, FromDevice, Gone
from relay.ids import Profile
from relay.signaling.presence.devices import RESUMED_ELSEWHERE
from tests.kit.wait import eventually
from tests.signaling.cluster.test_death import LEASE
from tests.signaling.cluster.town import Town, in_town
from tests.signaling.harness import MemoryHarness
from tests.signaling.people import HANG_UP, LESSON, STUDENT, TIMERS, TUTOR, Client, answer, frame, invitation


def chat(text: str) -> str:
    return frame("call_chat", LESSON, text=text, message_id=text)


def heard(client: Client) -> list[str]:
    return [one["text"] for one in client.said("call_chat") if not one["own"]]


@pytest.mark.parametrize("to", ["a", "b", "c"])
@in_town
async def test_a_party_comes_back_to_another_node_and_has_missed_nothing(town: Town, to: str) -> None:
    """`a` owns the call, and `b` was the home of the callee."""
    caller, callee = await town.connected(town.a, town.b)
    await town.say(caller, chat("1"))
    await town.lose(callee)
    await town.say(caller, chat("2"), chat("3"))
    await town.resume(callee, getattr(town, to))
    assert callee.welcome["resumed"]
    await town.say(caller, chat("4"))
    assert heard(callee) == ["1", "2", "3", "4"]
    await town.say(callee, chat("5"))
    assert heard(caller) == ["5"]
    await town.say(callee, HANG_UP)
    assert caller.types()[-1] == "call_ended hangup"


@pytest.mark.parametrize("to", ["b", "c"])
@in_town
async def test_a_party_at_the_owner_itself_moves_to_another_node(town: Town, to: str) -> None:
    caller, callee = await town.connected(town.a, town.b)
    await town.lose(caller)
    await town.say(callee, chat("1"))
    await town.resume(caller, getattr(town, to))
    assert caller.welcome["resumed"]
    await town.say(callee, chat("2"))
    assert heard(caller) == ["1", "2"]
    await town.resume(caller, town.a)
    await town.say(callee, chat("3"))
    assert heard(caller) == ["1", "2", "3"]
    await town.say(caller, HANG_UP)


@in_town
async def test_a_device_that_moves_before_its_old_connection_was_missed_has_that_closed(town: Town) -> None:
    _, callee = await town.connected(town.a, town.b)
    older = callee.connection
    assert older is not None
    await town.resume(callee, town.c)
    assert older.closed == RESUMED_ELSEWHERE
    await town.say(callee, HANG_UP)


@pytest.mark.parametrize("seed", range(30))
@in_town
async def test_a_device_that_moves_while_it_is_spoken_to_gets_everything_once_and_in_order(town: Town, seed: int) -> None:
    """Some of it comes by way of its former home, and some at once."""
    town.bus.dice.seed(seed)
    town.bus.delay = 0.0004
    caller, callee = await town.connected(town.a, town.b)
    said = [str(number) for number in range(24)]

    async def speak() -> None:
        for text in said:
            await town.a.say(caller, chat(text))
            await asyncio.sleep(town.bus.dice.random() * 0.0002)

    async def move() -> None:
        for node in (town.c, town.b, town.a, town.c):
            await asyncio.sleep(town.bus.dice.random() * 0.001)
            await town.resume(callee, node)
            assert callee.welcome["resumed"]

    await asyncio.gather(speak(), move())
    await town.settle()
    assert heard(callee) == said
    await town.say(caller, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"


@in_town
async def test_what_an_owner_said_to_a_device_that_came_to_it_by_way_of_others_makes_it_no_owner_elsewhere(town: Town) -> None:
    """It arrives by way of both former homes. The node took itself for the one to which it has to send what the device says."""
    caller, callee = await town.connected(town.a, town.c)
    slow = town.bus.channels[town.a.cluster.me, town.c.cluster.me]
    slow.due = asyncio.get_running_loop().time() + 1
    await town.a.say(caller, chat("1"))
    await town.resume(callee, town.b)
    await town.resume(callee, town.a)
    await asyncio.sleep(1)
    assert callee.welcome["resumed"]
    assert heard(callee) == ["1"]
    await town.say(caller, HANG_UP)
    await town.say(callee, chat("2"))
    assert callee.types()[-1] == "error no_call"
    assert callee.device.told_by == set()


@in_town
async def test_a_message_that_comes_back_to_the_home_of_its_device_after_that_has_gone_is_not_one_of_another_node(
    town: Town,
) -> None:
    """The node that took itself for the owner of its call has passed it on."""
    caller, _ = await town.connected(town.a, town.b)
    gone = await town.connect(town.a, STUDENT, version=1)
    card = gone.device.card(town.a.cluster.me)
    await town.lose(gone)
    town.b.cluster.post(town.a.cluster.me, FromDevice(card, chat("1").encode()))
    await town.settle()
    assert town.a.calls._context.devices.known(STUDENT) == (caller.device,)
    await town.say(caller, HANG_UP)


@in_town
async def test_a_message_that_comes_back_to_the_former_home_of_its_device_does_not_make_it_the_home_again(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.a)
    card = callee.device.card(town.a.cluster.me)
    town.bus.loses = lambda _sender, _to, message: isinstance(message, Came)
    await town.resume(callee, town.b)
    town.c.cluster.post(town.a.cluster.me, FromDevice(card, chat("1").encode()))
    await town.settle()
    await town.say(caller, chat("2"))
    assert heard(callee) == ["2"]
    known = town.a.calls._context.devices.with_id(card.device_id)
    assert known is not None and known.remote is not None and known.remote.node == town.b.cluster.me
    await town.say(caller, HANG_UP)


@in_town
async def test_a_device_that_leaves_the_owner_while_it_rings_does_not_ring_on_if_the_call_is_lost_with_it(town: Town) -> None:
    _, callee = await town.ringing(town.a, town.a)
    connection = await town.resume(callee, town.b)
    await town.kill(town.a)
    town.bus.sheets.clear()
    await asyncio.sleep(LEASE)
    await town.notice(town.a)
    assert connection.closed == 1012
    assert town.owner(TUTOR) is None


@in_town
async def test_a_device_that_rings_answers_at_the_node_to_which_it_has_moved(town: Town) -> None:
    caller, callee = await town.ringing(town.a, town.b)
    await town.lose(callee)
    await town.resume(callee, town.c)
    await town.say(callee, answer())
    assert callee.types() == ["call_invitation", "call_state answered"]
    await town.say(caller, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"


@in_town
async def test_a_call_that_begins_while_the_callee_is_between_two_nodes_reaches_it(town: Town) -> None:
    caller, callee = await town.connect(town.a, STUDENT), await town.connect(town.b, TUTOR)
    town.bus.delay = 0.001
    await asyncio.gather(town.resume(callee, town.c), town.a.say(caller, invitation(TUTOR)))
    await town.settle()
    assert callee.types() == ["call_invitation"]
    await town.say(callee, answer())
    assert caller.types()[-1] == "call_state answered"
    await town.say(caller, HANG_UP)


@in_town
async def test_another_device_at_another_node_takes_the_call_of_one_that_is_away(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    await town.lose(callee)
    tablet = await town.connect(town.c, TUTOR)
    assert tablet.last("call_state")["yours"] is False
    await town.say(tablet, frame("call_rejoin", LESSON))
    assert "call_update offer" in tablet.types()
    await town.resume(callee, town.b)
    assert callee.types()[-1] == "call_ended answered_elsewhere"
    await town.say(caller, HANG_UP)
    assert tablet.types()[-1] == "call_ended hangup"


@in_town
async def test_a_device_asks_for_the_call_that_one_at_another_node_is_in(town: Town) -> None:
    takes = ("call_elsewhere", "call_rejoin_request")
    holder = await town.connect(town.b, TUTOR, takes=takes)
    caller = await town.connect(town.a, STUDENT)
    await town.say(caller, invitation(TUTOR))
    await town.say(holder, answer())
    tablet = await town.connect(town.c, TUTOR, takes=takes)
    assert tablet.last("call_elsewhere")["can_move"]
    await town.say(tablet, frame("call_rejoin", LESSON, move=True))
    request = holder.last("call_rejoin_request")["request_id"]
    await town.say(holder, frame("call_rejoin_answer", LESSON, accepted=True, request_id=request))
    assert tablet.types()[-1] == "call_state answered"
    assert holder.types()[-1] == "call_elsewhere"
    await town.say(tablet, HANG_UP)


@in_town
async def test_a_device_that_does_not_come_back_is_gone_for_the_owner_too(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    await town.lose(callee)
    await asyncio.sleep(TIMERS.signaling_grace + 1)
    assert caller.types()[-1] == "call_ended signaling_lost"
    assert await town.ends() == [(STUDENT.profile_id, "ended", "signaling_lost")]


@in_town
async def test_the_word_that_a_device_is_gone_gives_its_call_no_second_grace(town: Town) -> None:
    """The home's timer ends a moment before the owner's."""
    caller, callee = await town.connected(town.a, town.b)
    town.bus.delay = 0.1
    await town.lose(callee)
    town.bus.delay = 0.00002
    await asyncio.sleep(TIMERS.signaling_grace + 1)
    assert caller.types()[-1] == "call_ended signaling_lost"


@in_town
async def test_a_version_1_client_that_is_lost_at_another_node_ends_the_call_like_at_the_owner(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b, version=1)
    await town.lose(callee)
    again = await town.connect(town.c, TUTOR, version=1)
    assert again.last("call_state")["yours"] is True
    await town.say(again, HANG_UP)
    assert caller.types()[-1] == "call_ended hangup"


async def _token_of(town: Town, node: MemoryHarness, profile: Profile) -> tuple[Client, str]:
    client = await town.connect(node, profile)
    return client, str(client.welcome["resume"])


@in_town
async def test_a_token_is_good_for_its_own_profile_only_at_any_node(town: Town) -> None:
    _, token = await _token_of(town, town.b, TUTOR)
    thief = await town.c.connect(STUDENT, resume=token)
    assert not thief.welcome["resumed"]
    assert town.posted(Gone) == 0


@in_town
async def test_a_device_whose_missed_messages_are_gone_comes_as_another_one_and_has_the_call(town: Town) -> None:
    caller, callee = await town.connected(town.a, town.b)
    await town.say(callee, '{"type":"ping","last_seq":3}')
    await town.lose(callee)
    again = await town.c.connect(TUTOR, resume=callee.token)  # and says that it has nothing
    await town.settle()
    assert not again.welcome["resumed"]
    assert again.last("call_state")["yours"] is True
    await town.c.say(again, HANG_UP)
    await town.settle()
    assert caller.types()[-1] == "call_ended hangup"


@pytest.mark.parametrize("seed", range(10))
@in_town
async def test_a_device_that_moves_to_the_owner_gets_what_was_on_its_way_before_what_comes_after(town: Town, seed: int) -> None:
    town.bus.dice.seed(seed)
    caller, callee = await town.connected(town.a, town.b)
    town.bus.delay = 0.01
    moving = asyncio.ensure_future(town.resume(callee, town.a))
    for number in range(30):
        await town.a.say(caller, chat(str(number)))
        await asyncio.sleep(0.001)
    await moving
    await town.settle()
    assert heard(callee) == [str(number) for number in range(30)]
    await town.say(caller, HANG_UP)


@in_town
async def test_a_message_to_a_device_whose_way_back_was_lost_does_not_go_round_between_two_nodes(town: Town) -> None:
    """The device went from `a` to `b`, and back; `b` gave it away, but its answer came too late, so `a` has it not."""
    _, callee = await town.connected(town.c, town.a)
    device_id = callee.device.device_id
    await town.resume(callee, town.b)
    coming = asyncio.ensure_future(town.resume(callee, town.a))
    await eventually(lambda: device_id in town.b.calls._home._moved, "it is given away", every=1e-6)
    town.bus.nodes[town.b.cluster.me].cut = True
    await coming
    assert not callee.welcome["resumed"], "as another device"
    town.bus.nodes[town.b.cluster.me].cut = False
    await asyncio.sleep(1)
    await town.settle()
    assert town.bus.in_flight == 0
    await town.say(callee, HANG_UP)
