"""A party asks the other to call somebody else instead, in virtual time."""

import asyncio
from typing import Any

import pytest

from relay.signaling.calls.live import MAX_TRANSFERS
from relay.signaling.ports import Privacy
from tests.signaling.exchange import MemoryExchange, in_memory
from tests.signaling.people import (
    AGREE,
    FAMILY,
    HANG_UP,
    PARENT,
    PARENTS_EVENING,
    REFUSE,
    STRANGER,
    STUDENT,
    TO_PARENT,
    TUTOR,
    Client,
    answer,
    error,
    frame,
    invitation,
)


async def with_parent(exchange: MemoryExchange) -> tuple[Client, Client, Client]:
    """The student talks to the tutor; the parent is there. The tutor would have the student call the parent."""
    parent = await exchange.connect(PARENT)
    caller, callee = await exchange.connected()
    return caller, callee, parent


@in_memory
async def test_a_party_that_agrees_calls_somebody_else_instead(exchange: MemoryExchange) -> None:
    caller, callee, parent = await with_parent(exchange)
    await exchange.say(callee, TO_PARENT)
    asked = caller.last("call_transfer")
    assert asked["target"] == {
        "conversation_id": 125,
        "profile_id": 321,
        "profile_type": "parent",
        "name": "Elena Lindgren",
        "avatar": "",
    }
    assert asked["expires_at"] - asked["server_time"] == 30_000
    await exchange.say(caller, AGREE)
    assert caller.types()[-1] == callee.types()[-1] == "call_ended transferred"
    assert caller.last("call_ended")["transfer"] == asked["target"]
    assert "transfer" not in callee.last("call_ended")
    assert parent.types() == []

    await exchange.say(caller, invitation(PARENT, FAMILY, transferred_from=asked["call_id"]))
    assert parent.types() == ["call_invitation"]
    assert await exchange.ends() == [(456, "ended", "transferred"), (456, "initiated", None)]
    [_, second] = await exchange.rows()
    assert second.call.transferred_from == asked["call_id"]


@pytest.mark.parametrize("which", ["made up", "not transferred", "somebody else's"])
@in_memory
async def test_a_call_comes_from_a_transfer_only_if_there_was_one(exchange: MemoryExchange, which: str) -> None:
    caller, callee, parent = await with_parent(exchange)
    call_id = caller.last("call_state")["call_id"]
    if which == "somebody else's":
        await exchange.say(callee, TO_PARENT)
        await exchange.say(caller, AGREE)
        await exchange.say(parent, invitation(TUTOR, PARENTS_EVENING, transferred_from=call_id, ref="mine"))
        refused = parent
    else:
        await exchange.say(callee, HANG_UP)
        named = "f" * 32 if which == "made up" else call_id
        await exchange.say(caller, invitation(PARENT, FAMILY, transferred_from=named, ref="mine"))
        refused = caller
    assert error(refused) == "invalid_message"
    assert refused.last("error")["ref"] == "mine"
    assert len(await exchange.rows()) == 1


@in_memory
async def test_a_transfer_is_known_to_a_server_that_was_started_since(exchange: MemoryExchange) -> None:
    caller, callee, parent = await with_parent(exchange)
    await exchange.say(callee, TO_PARENT)
    await exchange.say(caller, AGREE)
    exchange.calls._exchange.transferred.clear()
    await exchange.say(caller, invitation(PARENT, FAMILY, transferred_from=caller.last("call_ended")["call_id"]))
    assert parent.types()[-1] == "call_invitation"


@in_memory
async def test_the_caller_may_transfer_the_callee_too(exchange: MemoryExchange) -> None:
    caller, callee, _ = await with_parent(exchange)
    await exchange.say(caller, TO_PARENT)
    assert callee.last("call_transfer")["target"]["conversation_id"] == 124
    await exchange.say(callee, AGREE)
    assert callee.last("call_ended")["transfer"]["profile_id"] == 321


@in_memory
async def test_a_party_that_refuses_stays(exchange: MemoryExchange) -> None:
    caller, callee, _ = await with_parent(exchange)
    await exchange.say(callee, TO_PARENT)
    await exchange.say(caller, REFUSE)
    assert callee.types()[-1] == "call_transfer_answer refused"
    await exchange.say(caller, AGREE)
    assert error(caller) == "wrong_state"
    assert exchange.calls.call_count == 1
    await exchange.say(callee, TO_PARENT)
    assert caller.types()[-1] == "call_transfer"


@in_memory
async def test_a_party_that_does_not_say_in_30_seconds_stays(exchange: MemoryExchange) -> None:
    caller, callee, _ = await with_parent(exchange)
    await exchange.say(callee, TO_PARENT)
    await asyncio.sleep(29.9)
    assert callee.types()[-1] == "call_state connected"
    await asyncio.sleep(0.2)
    assert callee.types()[-1] == "call_transfer_answer refused"
    await exchange.say(caller, AGREE)
    assert error(caller) == "wrong_state"


@in_memory
async def test_one_transfer_is_asked_for_at_a_time(exchange: MemoryExchange) -> None:
    caller, callee, _ = await with_parent(exchange)
    await exchange.say(callee, TO_PARENT)
    for client in (callee, caller):
        await exchange.say(client, TO_PARENT)
        assert error(client) == "wrong_state"


@pytest.mark.parametrize("said", [AGREE, REFUSE])
@in_memory
async def test_nobody_answers_to_their_own_wish_or_to_none(exchange: MemoryExchange, said: str) -> None:
    caller, callee, _ = await with_parent(exchange)
    for client in (caller, callee):
        await exchange.say(client, said)
        assert error(client) == "wrong_state"
    await exchange.say(callee, TO_PARENT)
    await exchange.say(callee, said)
    assert error(callee) == "wrong_state"
    assert exchange.calls.call_count == 1


@pytest.mark.parametrize(
    "why",
    ["unknown to the asker", "asker blocked", "stranger", "away", "busy", "blocked", "nobody", "undisturbed", "no such profile"],
)
@in_memory
async def test_whom_the_other_party_cannot_call_it_is_not_transferred_to(exchange: MemoryExchange, why: str) -> None:
    """And whoever asks does not learn why."""
    caller, callee, parent = await with_parent(exchange)
    target: dict[str, Any] = {"target_profile_id": 321, "target_profile_type": "parent"}
    match why:
        case "unknown to the asker":
            exchange.directory.members[PARENTS_EVENING].discard(TUTOR)
        case "asker blocked":
            exchange.directory.blocks.add((PARENT, TUTOR))
        case "stranger":
            await exchange.connect(STRANGER)
            target = {"target_profile_id": 654, "target_profile_type": "advertiser"}
        case "away":
            await exchange.lose(parent)
        case "busy":
            other = await exchange.connect(STRANGER)
            exchange.directory.members[FAMILY].add(STRANGER)
            await exchange.say(other, invitation(PARENT, FAMILY))
            await exchange.say(parent, answer(FAMILY))
        case "blocked":
            exchange.directory.blocks.add((PARENT, STUDENT))
        case "nobody":
            exchange.directory.privacy[PARENT] = Privacy.NOBODY
        case "undisturbed":
            exchange.directory.undisturbed.add(PARENT)
        case _:
            target = {"target_profile_id": 1, "target_profile_type": "tutor"}
    exchange.directory.asked = 0
    await exchange.say(callee, frame("call_transfer", **target))
    assert error(callee) == "not_allowed"
    assert callee.last("error")["message"] == "the other party cannot call this profile now"
    assert exchange.directory.asked == 4, "nor by how long it takes"
    assert "call_transfer" not in caller.types()


@in_memory
async def test_a_party_cannot_go_on_asking_who_is_there(exchange: MemoryExchange) -> None:
    caller, callee, parent = await with_parent(exchange)
    await exchange.lose(parent)
    for _ in range(MAX_TRANSFERS):
        await exchange.say(callee, TO_PARENT)
        assert error(callee) == "not_allowed"
    await exchange.connect(PARENT)
    await exchange.say(callee, TO_PARENT)
    first, *_, last = callee.said("error")
    assert {**last, "seq": 0} == {**first, "seq": 0}
    await exchange.say(caller, TO_PARENT)
    assert callee.types()[-1] == "call_transfer", "the other one has not asked yet"


@pytest.mark.parametrize("profile", [STUDENT, TUTOR])
@in_memory
async def test_nobody_is_transferred_to_who_is_in_the_call(exchange: MemoryExchange, profile: tuple[str, int]) -> None:
    _, callee, _ = await with_parent(exchange)
    target_type, target_id = profile
    await exchange.say(callee, frame("call_transfer", target_profile_id=target_id, target_profile_type=target_type))
    assert error(callee) == "invalid_message"


@in_memory
async def test_a_call_that_ends_takes_a_wish_to_transfer_it_along(exchange: MemoryExchange) -> None:
    caller, callee, _ = await with_parent(exchange)
    await exchange.say(callee, TO_PARENT)
    await exchange.say(callee, HANG_UP)
    assert caller.types()[-1] == "call_ended hangup"
    assert "transfer" not in caller.last("call_ended")
    await asyncio.sleep(60)
    assert callee.types()[-1] == "call_state ended"
